"""Make the samples of real data that are part of the project: `python -m tests.samples FROM`.

FROM is the whole of the data, the folder that developers have beside the checkout. The samples lie
as the files there do. README.md says where they come from, and under which licence.
"""

import argparse
import io
import json
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import zstandard
from fastwarc.warc import ArchiveIterator

HERE = Path(__file__).parent
HOSTS = {  # whose pages anyone may hand on
    **dict.fromkeys(
        (f"{name}.apache.org" for name in ("flink", "guacamole", "httpd", "jena", "kafka", "lucene",
         "mina", "predictionio", "sling", "storm", "struts", "zeppelin")), "Apache-2.0",
    ),
    "fbinfer.com": "MIT",
    "peteroupc.github.io": "Unlicense",
}  # fmt: skip
LONGEST_PAGE = 20_000  # bytes of a page, and of another file
MOST_PAGES = 7  # of a host and language
MOST_OTHERS = 3  # files of a host that are no page: feeds and sitemaps, for scripts are others'
LONGEST_TEXT = 1_200  # characters of one language
LEVEL = 19  # of zstd: they are made once


def packed(name: str, data: bytes) -> None:
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(data))
    print(f"{name}: {path.stat().st_size:,} bytes, {len(data):,} unpacked")


def lines(path: Path) -> list[bytes]:
    with zstandard.open(path, "rb") as file:
        return list(file.read().splitlines(keepends=True))


def texts(whole: Path) -> None:
    """Keep the texts of those hosts with their number, and the pairs of them that are alike."""
    kept = {}
    for number, line in enumerate(lines(whole / "dedup/miniweb_texts.jsonl.zst")):
        row = json.loads(line)
        if urlsplit(row["id"]).hostname in HOSTS:
            kept[row["id"]] = json.dumps({"number": number, **row}, ensure_ascii=False) + "\n"
    packed("dedup/miniweb_texts.jsonl.zst", "".join(kept.values()).encode())
    head, *pairs = lines(whole / "dedup/miniweb_pairs.tsv.zst")
    ours = [pair for pair in pairs if kept.keys() >= set(pair.decode().split()[1:])]
    packed("dedup/miniweb_pairs.tsv.zst", b"".join([head, *ours]))


def languages(whole: Path) -> None:
    """Keep the beginning of the declaration in each language, and all of the short strings."""
    rows = [json.loads(line) for line in lines(whole / "langid/udhr.jsonl.zst")]
    cut = [row | {"text": row["text"][:LONGEST_TEXT]} for row in rows]
    said = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in cut)
    packed("langid/udhr.jsonl.zst", said.encode())
    short = "langid/cld2_teststr.jsonl.zst"
    packed(short, b"".join(lines(whole / short)))


def pages(whole: Path) -> None:
    """Keep some small pages of each host and language, and some other files."""
    out = io.BytesIO()
    seen: Counter[tuple[str, str]] = Counter()
    with zstandard.open(whole / "miniweb/sites.warc.zst") as file:
        for record in ArchiveIterator(file, parse_http=False):
            url = urlsplit(record.headers.get("WARC-Target-URI", ""))
            if url.hostname not in HOSTS or record.content_length > LONGEST_PAGE:
                continue
            payload = record.reader.read()
            served = payload.partition(b"\r\n\r\n")[0].lower()
            page = b"text/html" in served
            if not page and b"text/plain" not in served and b"application/xml" not in served:
                continue
            language = url.path[-2:] if url.hostname == "httpd.apache.org" else ""
            kind = (url.hostname, language if page else "other")
            seen[kind] += 1
            if seen[kind] <= (MOST_PAGES if page else MOST_OTHERS) or url.path == "/robots.txt":
                head = "".join(f"{name}: {value}\r\n" for name, value in record.headers.items())
                out.write(f"WARC/1.1\r\n{head}\r\n".encode() + payload + b"\r\n\r\n")
    packed("miniweb/sites.warc.zst", out.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("whole", metavar="FROM", type=Path)
    whole = parser.parse_args().whole
    texts(whole)
    languages(whole)
    pages(whole)
    (HERE / "links").mkdir(exist_ok=True)
    name = "links/webtext_top1000_domains.txt"
    (HERE / name).write_bytes((whole / name).read_bytes())


if __name__ == "__main__":
    main()
