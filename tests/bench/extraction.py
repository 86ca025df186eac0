"""From a page to a judged document against datatrove, on the same pages, one worker each.

    python -m tests.bench.extraction [--pages 600] [--parts extract recipe rules] [--only webtext]

The pages are every n-th of the mini-web's. CPU seconds are those of a process and all its
children, less what the same does with a single page, which takes off imports and compiled code's
loading. `extract` is a run that reads and extracts, less one that only reads. `recipe` is WARC
record in, judged document out: extraction, language (ours only: datatrove's model cannot be had
offline; ours drops no page by it, so that the rules see as many documents as theirs), Gopher
repetition and quality, C4, FineWeb; ours writes Parquet and theirs nothing. `rules` asks every
rule about every one of the 1,385 labelled texts, where datatrove's filters stop at a document's
first objection; cold is the first pass of a process, warm is the second.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipeline.clean import Clean
from pipeline.documents import documents
from pipeline.extract import Extract
from pipeline.filters.c4 import C4
from pipeline.filters.fineweb import FineWeb
from pipeline.filters.gopher import GopherQuality, GopherRepetition
from pipeline.filters.rules import Rules
from pipeline.language import Language
from pipeline.pages import ImportWarc, import_warc, page_batches
from pipeline.progress import silent
from pipeline.shards import Directory, read_shard
from tests.bench import peers

DATA = Path(__file__).parents[3] / "shared" / "data"
WANTED = {"extract": 1.5, "recipe": 4.0, "rules": 30.0}  # times datatrove's speed
RULES = Rules(
    gopher_repetition=GopherRepetition(enabled=True),
    gopher_quality=GopherQuality(),
    c4=C4(enabled=True, terminal=False),
    fineweb=FineWeb(enabled=True),
)
RECIPE = (Extract(), Clean(), Language(keep=(), min_probability=0.0), RULES)


def pages() -> Iterator[tuple[str, bytes]]:
    """Yield address and body of the mini-web's pages."""
    for name in ("sites", "news"):
        with zstandard.open(DATA / "miniweb" / f"{name}.warc.zst") as file:
            records = ArchiveIterator(file, WarcRecordType.response, parse_http=True)
            for record in records:
                if "html" in (record.http_headers.get("Content-Type") or ""):
                    yield record.headers["WARC-Target-URI"], record.reader.read()


def write_warc(path: Path, chosen: list[tuple[str, bytes]]) -> None:
    """Write pages as a WARC file, of the kind that both read without looking twice."""
    with path.open("wb") as file:
        for number, (url, body) in enumerate(chosen):
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
            http = head % len(body) + body
            fields = (
                "WARC/1.1\r\nWARC-Type: response\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
                f"WARC-Record-ID: <urn:uuid:{number:032x}>\r\nWARC-Target-URI: {url}\r\n"
                "WARC-Identified-Payload-Type: text/html\r\n"
                "Content-Type: application/http; msgtype=response\r\n"
                f"Content-Length: {len(http)}\r\n\r\n"
            )
            file.write(gzip.compress(fields.encode() + http + b"\r\n\r\n", 6))


def task(name: str, path: Path) -> tuple[int, int]:
    """Do one task; return how many documents came in, and how many were left."""
    if name.startswith("rules"):
        texts = [json.loads(line) for line in path.open(encoding="utf-8")]
        left = 0
        for _ in range(2 if name == "rules twice" else 1):
            left = sum(
                not any(asked.enabled and asked.objection for asked in list(RULES.measures(text)))
                for text in texts
            )
        return len(texts), left
    with tempfile.TemporaryDirectory() as folder:
        imported, out = Directory(Path(folder, "pages")), Directory(Path(folder, "documents"))
        import_warc(ImportWarc(), [path], None, imported, 0, silent)
        if name == "read":
            count = sum(batch.num_rows for batch in page_batches(imported, 0))
            return count, count
        chain = RECIPE if name == "recipe" else RECIPE[:1]
        funnel = documents(chain, imported, out, 0, silent)
        kept = sum(read_shard(path, ["id"]).num_rows for path in out.shards())
        return funnel[0].read, kept


def measured(who: str, name: str, path: Path) -> tuple[float, str]:
    """Return the CPU seconds of a task, its children's among them, and what it printed."""
    command = [sys.executable, "-m", "tests.bench.extraction", "--task", name, str(path)]
    if who != "webtext":
        script = Path(__file__).with_name("extraction_peers.py")
        command = [str(peers.python(who)), str(script), name, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=peers.ROOT)
    assert process.stdout is not None
    said = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{who}: {name} failed")
    return usage.ru_utime + usage.ru_stime, said


def cost(who: str, name: str, all_of_it: Path, one: Path) -> tuple[float, str]:
    """Return the CPU seconds of a task without what it costs to begin it."""
    begun, _ = measured(who, name, one)
    seconds, said = measured(who, name, all_of_it)
    return seconds - begun, said


def compare(part: str, whole: Path, one: Path, contenders: list[str]) -> None:
    """Print what a part costs each contender, and our speed in terms of theirs."""
    spent: dict[str, float] = {}
    for who in contenders:
        seconds, said = cost(who, part, whole, one)
        if part == "extract":
            seconds -= cost(who, "read", whole, one)[0]
        came, left = map(int, said.split())
        spent[who] = seconds / came
        print(f"{part}, {who}: {seconds:.1f} s, {seconds / came * 1e3:.2f} ms a page, {left} "
              f"left of {came}", flush=True)  # fmt: skip
        if part == "rules" and who == "webtext":
            twice, _ = cost(who, "rules twice", whole, one)
            spent["warm"] = (twice - seconds) / came
            print(f"{part}, {who}, warm: {spent['warm'] * 1e3:.2f} ms a page", flush=True)
    for ours in ("webtext", "warm"):
        if ours in spent and "datatrove" in spent:
            print(f"{part}: {spent['datatrove'] / spent[ours]:.1f} times datatrove's speed"
                  f"{', warm' if ours == 'warm' else ''} (wanted: {WANTED[part]})")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=600)
    parser.add_argument("--parts", nargs="+", choices=WANTED, default=list(WANTED))
    parser.add_argument("--only", nargs="+", default=["webtext", "datatrove"])
    parser.add_argument("--task", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.task:
        print(*task(chosen.task[0], Path(chosen.task[1])))
        return
    if not DATA.is_dir():
        sys.exit(f"needs the real data in {DATA}, which is not part of the project")
    with tempfile.TemporaryDirectory() as folder:
        whole, one = Path(folder, "pages.warc.gz"), Path(folder, "page.warc.gz")
        if {"extract", "recipe"} & set(chosen.parts):
            every = list(pages())
            picked = [every[n * len(every) // chosen.pages] for n in range(chosen.pages)]
            write_warc(whole, picked)
            write_warc(one, picked[:1])
        for part in chosen.parts:
            if part == "rules":
                texts, text = Path(folder, "texts.jsonl"), Path(folder, "text.jsonl")
                with zstandard.open(DATA / "dedup" / "miniweb_texts.jsonl.zst") as file:
                    rows = [json.loads(line)["text"] for line in file.read().splitlines()]
                texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
                text.write_text(json.dumps(rows[0]) + "\n")
                compare(part, texts, text, chosen.only)
            else:
                compare(part, whole, one, chosen.only)


if __name__ == "__main__":
    main()
