"""Pages per second of CPU that a crawl takes, against Scrapy and against bare aiohttp.

    python -m tests.bench.crawl [--pages 10000] [--rounds 2] [--only webtext scrapy aiohttp]

One server, in a process of its own on this machine, answers for thousands of hosts, five pages
each, and closes the connection after every answer, so that nobody can keep one. The pages are those
of the mini-web, as recorded, or made up where it is not there; each host has a robots.txt. No
delays, 300 hosts at a time: the CPU is the bound. Counted are the user and system seconds of the
crawling process, from the list of links to the last byte on disk, without its imports.

Every contender gets the same URLs; that it got every page whole is checked by the bytes that it
counted. `crawl_peers.py` says what the others do.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

from tests.bench import peers
from webtext.pipeline.archive import sniff
from webtext.pipeline.core.records import LINK
from webtext.pipeline.core.shards import Directory, read_shard, write_parquet
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.policy import metarefresh, optout
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.urls import urls

EACH = 5  # pages of a host
SHARDS = 16
AT_ONCE = 300  # hosts in flight; the crawl's own default
MINIWEB = peers.ROOT.parent / "shared" / "data" / "miniweb"
BODIES = 2000  # different pages


def pages() -> list[bytes]:
    """Return the bodies to serve: real ones, without those that send a crawler elsewhere."""
    rng = random.Random(1)
    if not MINIWEB.exists():
        words = [f"{rng.getrandbits(20):x}" for _ in range(5000)]
        texts = (" ".join(rng.choices(words, k=3000)) for _ in range(400))
        return [f"<!doctype html><title>A page</title><p>{text}".encode() for text in texts]
    found = []
    for path in sorted(MINIWEB.glob("*.warc.zst")):
        window = zstandard.ZstdDecompressor(max_window_size=1 << 31)
        with path.open("rb") as file, window.stream_reader(file) as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                body = record.reader.read() if record.http_content_type == "text/html" else b""
                if kept(body):
                    found.append(body)
    return rng.sample(found, min(BODIES, len(found)))


def kept(body: bytes) -> bool:
    """Tell whether a crawl keeps such a page: no archive, no opt-out, no refresh."""
    asks = optout.in_markup(body, "webtext") or metarefresh.target(body, "http://example.com/")
    return bool(body) and not asks and sniff.fits("text/html", body, ("text/html",))


def listed(port: int, count: int) -> list[str]:
    """Return the URLs, those of a host far apart."""
    hosts = count // EACH
    return [
        f"http://www.host{i % hosts:05}-of-many.com:{port}/{2010 + i % 9}/an-article/{i}.html"
        for i in range(count)
    ]


def links_of(folder: Path, wanted: list[str]) -> Directory:
    """Write the links as a harvest does."""
    shards: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for url in wanted:
        domain, key = urls.domain(url), urls.url_id(url)
        row = {"id": key, "url": url, "domain": domain, "score": 3, "submissions": []}
        shards[urls.bucket(domain, SHARDS)][key] = row
    links = Directory(folder)
    for number in range(SHARDS):
        rows = [row for _, row in sorted(shards[number].items())]
        write_parquet(links.shard(number), [pa.RecordBatch.from_pylist(rows, LINK)], LINK)
    return links


def webtext(folder: Path, wanted: list[str], port: int) -> tuple[int, int, float]:
    """Crawl as `webtext crawl` does; return pages, bytes of bodies and CPU seconds."""
    links, out = links_of(folder / "links", wanted), Directory(folder / "pages")
    out.path.mkdir()
    settings = Crawl(
        delay=0,
        delay_per_ip=0,
        latency_factor=0,
        hosts_in_flight=AT_ONCE,
        ports=(port,),
        connect_to=(f"*:{port}:127.0.0.1:{port}",),
    )
    started = cpu()
    crawl(settings, links, out)
    took = cpu() - started
    rows = [row for path in out.shards("outcomes") for row in read_shard(path).to_pylist()]
    kept = [row for row in rows if row["dropped_by"] is None and row["warc_length"]]
    return len(kept), sum(row["body_bytes"] for row in kept), took


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def alone(contender: str, port: int, count: int) -> dict[str, Any]:
    """Run one contender in a process of its own, and check that it got everything."""
    python = peers.python("scrapy") if contender == "scrapy" else Path(sys.executable)
    module = "tests.bench.crawl" if contender == "webtext" else "tests.bench.crawl_peers"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "urls.txt").write_text("\n".join(listed(port, count)), encoding="utf-8")
        command = [str(python), "-m", module, "--run", contender, folder, str(port)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=peers.ROOT)
    got: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return got


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    everybody = ["webtext", "scrapy", "aiohttp"]
    parser.add_argument("--only", nargs="+", choices=everybody, default=everybody)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        folder = Path(chosen.run[1])
        wanted = (folder / "urls.txt").read_text(encoding="utf-8").split("\n")
        print(json.dumps(webtext(folder, wanted, int(chosen.run[2]))))
        return
    bodies = pages()
    sizes = [len(body) for body in bodies]
    whole = sum(sizes[i % len(sizes)] for i in range(chosen.pages))
    command = [sys.executable, "-m", "tests.bench.crawl_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for body in bodies:
            server.stdin.write(b"%d\n" % len(body) + body)
        server.stdin.write(b"0\n")
        server.stdin.flush()
        port = int(server.stdout.readline())
        best: dict[str, float] = {}
        for _ in range(chosen.rounds):
            for contender in chosen.only:
                count, size, took = alone(contender, port, chosen.pages)
                if (count, size) != (chosen.pages, whole):
                    sys.exit(f"{contender}: {count} pages, {size} bytes; {chosen.pages}, {whole}")
                rate = count / took
                best[contender] = max(rate, best.get(contender, 0.0))
                print(f"{contender}: {count} pages in {took:.2f} CPU s, {rate:.0f} a second")
        server.kill()
    print(f"pages of {whole / chosen.pages / 1000:.1f} kB, {chosen.pages // EACH} hosts")
    for peer, goal in (("scrapy", 5.0), ("aiohttp", 0.4)):
        if {"webtext", peer} <= best.keys():
            print(f"webtext / {peer}: {best['webtext'] / best[peer]:.2f} (wanted: {goal:g})")


if __name__ == "__main__":
    main()
