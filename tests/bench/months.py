"""Six months of a corpus that grows, over the demo's web: what each costs, and what is kept.

python -m tests.bench.months [--pages 3000] [--static] [--until pages] [--shares 60 10 10 10 9 1]

The links of the demo's dump arrive in six parts, one file a month, in one folder; each month the
same recipe is built in the same data directory, up to the corpus. After each month some of the
pages that were linked change, and some die. At the end one build in a new data directory takes all
six files from the web as it is by then. Printed are the requests that the web saw, wall and CPU
seconds and the bytes that were archived, a month; and how the documents kept differ from those of
that last build.

A page that changed or died after it was fetched stays in the grown corpus as it was fetched: that
is the difference that must be, with what it makes of duplicates. With --static nothing changes or
dies, and both corpora must have the same texts; the final URL may be the other of two forms of one
URL, where later months link to a page by another form than the one it was fetched by. With --until
pages it is the pages that are compared, by their digests: for machines on which six builds take
too long.
"""

import argparse
import asyncio
import hashlib
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pyarrow.dataset as ds
import zstandard
from aiohttp import web as http

from tests.chaos.victims import TICKS, ticks
from webtext.flows.building.settings import load
from webtext.flows.demo.site import PAGES, Answer, Web, submissions, web
from webtext.pipeline.build import Build
from webtext.pipeline.urls.urls import url_id

SHARES = (60, 10, 10, 10, 9, 1)  # per cent of the links, a month
FEW = frozenset({"aiohttp", "click", "jinja2", "pyarrow", "rich"})  # whose texts are few pages
MANY = 1_000  # pages for which all packages' texts are read
CHANGING = 2  # per cent of all pages that change after a month
DYING = 2  # ... and die


@dataclass
class Changing:
    """The demo's web on loopback, in a thread; counts what it is asked."""

    table: Web
    asked: Counter[str] = field(default_factory=Counter)  # by path, robots.txt apart
    touched: set[str] = field(default_factory=set)  # ids of pages that changed or died
    port: int = 0

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self._serve, args=(ready,), daemon=True).start()
        ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)

    def _serve(self, ready: threading.Event) -> None:
        async def listen() -> None:
            server = await self.loop.create_server(http.Server(self._answer), "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        self.loop.run_until_complete(listen())
        self.loop.run_forever()

    async def _answer(self, request: http.BaseRequest) -> http.StreamResponse:
        host = (request.host or "").split(":")[0].lower()
        self.asked["robots" if request.path == "/robots.txt" else "page"] += 1
        found = self.table.get((host, request.path), Answer(b"<h1>404 Not Found</h1>", 404))
        await asyncio.sleep(found.wait)
        headers = {"Content-Type": found.content_type}
        if found.location:
            headers["Location"] = found.location
        return http.Response(body=found.body * found.repeat, status=found.status, headers=headers)

    def pass_a_month(self, month: int) -> None:
        """Let some pages change and some die, drawn by their names."""
        for (host, path), answer in list(self.table.items()):
            if answer.status != 200 or path in ("/", "/robots.txt") or "troubles" in host:
                continue
            luck = int.from_bytes(hashlib.sha256(f"{month} {host}{path}".encode()).digest()[:4])
            luck %= 100
            if luck < CHANGING:
                more = f"<p>It was changed in month {month}, by one sentence that stands here.</p>"
                body = answer.body.replace(b"</article>", more.encode() + b"</article>")
                body = body if body != answer.body else answer.body + more.encode()
                self.table[host, path] = replace(answer, body=body)
            elif luck < CHANGING + DYING:
                self.table[host, path] = Answer(b"<p>Gone.</p>", 410)
            else:
                continue
            self.touched.add(url_id(f"http://{host}{path}"))


def parts(lines: list[bytes], shares: tuple[int, ...]) -> list[list[bytes]]:
    """Cut lines, in an order that their digests draw, into parts of these per cents."""
    drawn = sorted(lines, key=lambda line: hashlib.sha256(line).digest())
    ends = [len(drawn) * sum(shares[: n + 1]) // sum(shares) for n in range(len(shares))]
    return [drawn[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def build(data: Path, dumps: Path, port: int, until: str, workers: int) -> None:
    """Build what the demo's recipe says, up to a step, as the command does each month."""
    lines = [
        f"links.sources = ['{dumps}/RS_*.zst']",
        f"crawl.connect_to = ['*:80:127.0.0.1:{port}', '*:443:127.0.0.1:{port}']",
        "crawl.first_byte_timeout = 2.0",
    ]
    Build(load("demo", lines), data).run(until, workers=workers)


def size(data: Path, pattern: str = "**/*") -> int:
    """Return how many bytes the files hold."""
    return sum(path.stat().st_size for path in data.glob(pattern) if path.is_file())


def newest(data: Path, step: str) -> Path:
    return data / json.loads((data / "latest.json").read_text())[step]


def kept(data: Path, until: str) -> dict[str, str]:
    """Return the text of each document kept, or the digest of each page, by its id."""
    crawled = until == "pages"
    files = sorted(newest(data, until).glob("outcomes/*.parquet" if crawled else "*.parquet"))
    table = ds.dataset([str(path) for path in files]).to_table(
        ["id", "digest" if crawled else "text"],
        filter=ds.field("dropped_by").is_null() if crawled else None,
    )
    return dict(zip(*(column.to_pylist() for column in table.columns), strict=True))


def cpu() -> float:
    """Return the CPU seconds of this process, of its children that live and of all that ended.

    The web's are among them; the processes that read pages live on from month to month.
    """
    found = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ended = sum(one.ru_utime + one.ru_stime for one in found)
    return ended + sum(map(ticks, descendants(os.getpid()))) / TICKS


def descendants(parent: int) -> list[int]:
    """Return the living processes that a process has started, directly or not."""
    found = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def measured(
    data: Path, dumps: Path, served: Changing, until: str, workers: int
) -> tuple[int, int, float, float, int, int]:
    """Build; return requests for robots.txt and pages, wall and CPU seconds, WARC and all bytes."""
    asked, began = served.asked.copy(), time.monotonic()
    spent = cpu()
    held, all_held = size(data, "pages-*/*.warc.gz"), size(data)
    build(data, dumps, served.port, until, workers)
    spent = cpu() - spent
    new = served.asked - asked
    archived = size(data, "pages-*/*.warc.gz") - held
    grown = size(data) - all_held
    return new["robots"], new["page"], time.monotonic() - began, spent, archived, grown


def months(
    folder: Path,
    pages: int,
    static: bool,
    shares: tuple[int, ...],
    until: str = "corpus",
    workers: int = 0,
) -> bool:
    """Print the table; return whether the kept documents differ only where they must."""
    table = web(pages, FEW if pages < MANY else frozenset())
    lines = list(submissions(table))
    dumps, data = folder / "dumps", folder / "data"
    dumps.mkdir()
    heads = ("links", "robots", "pages", "wall s", "CPU s", "WARC kB", "all kB", "kept")
    print(f"{'month':>8}" + "".join(f"{head:>9}" for head in heads))

    def tell(name: str, links: int, data: Path) -> None:
        robots, asked, wall, spent, archived, grown = measured(data, dumps, served, until, workers)
        count = len(kept(data, until))
        print(
            f"{name:>8}{links:>9,}{robots:>9,}{asked:>9,}{wall:>9.1f}{spent:>9.1f}"
            f"{archived / 1e3:>9,.0f}{grown / 1e3:>9,.0f}{count:>9,}",
            flush=True,
        )

    with Changing(table) as served:
        for month, part in enumerate(parts(lines, shares), 1):
            packed = zstandard.ZstdCompressor().compress(b"\n".join(part) + b"\n")
            (dumps / f"RS_2015-{month:02}.zst").write_bytes(packed)
            tell(str(month), len(part), data)
            if not static and month < len(shares):
                served.pass_a_month(month)
        tell("again", 0, data)
        tell("at once", len(lines), folder / "once")
        return compared(data, folder / "once", served.touched, until)


def compared(grown: Path, once: Path, touched: set[str], until: str) -> bool:
    """Print how what is kept differs; return whether only by pages that were touched."""
    files = [{path.name: path.read_bytes() for path in newest(data, until).glob("*.parquet")}
             for data in (grown, once)]  # fmt: skip
    if files[0] and files[0] == files[1]:
        print("the corpora are the same to the byte")
        return True
    a, b = kept(grown, until), kept(once, until)
    differing = {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
    plain = differing - touched
    print(
        f"{len(a.keys() & b.keys()):,} kept in both, {len(a.keys() - b.keys()):,} only in what "
        f"grew, {len(b.keys() - a.keys()):,} only at once, "
        f"{sum(a[key] != b[key] for key in a.keys() & b.keys()):,} with another content; "
        f"{len(differing & touched):,} of these changed or died after they were fetched"
    )
    related = set() if until == "pages" else relatives(grown, once, touched)
    left = plain - related
    print(f"{len(plain & related):,} more are copies of such pages; {len(left):,} are neither")
    return not left


def relatives(grown: Path, once: Path, touched: set[str]) -> set[str]:
    """Return the documents that are in a cluster of duplicates with a page that was touched."""
    clusters: dict[tuple[Path, str], set[str]] = {}
    for data in (grown, once):
        files = sorted(str(path) for path in newest(data, "duplicates").glob("*.parquet"))
        rows = ds.dataset(files).to_table(["id", "cluster", "keeper"]).to_pylist()
        for row in rows:
            clusters.setdefault((data, row["cluster"]), set()).update((row["id"], row["keeper"]))
    found: set[str] = set()
    reach = set(touched)
    while more := {key for ids in clusters.values() if ids & reach for key in ids} - reach:
        reach |= more
        found |= more
    return found


def main() -> None:
    """Run six months."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=PAGES)
    parser.add_argument("--static", action="store_true", help="nothing changes and nothing dies")
    parser.add_argument("--until", choices=["pages", "corpus"], default="corpus")
    parser.add_argument("--workers", type=int, default=0, help="0: no start-up of processes")
    parser.add_argument("--shares", type=int, nargs="+", default=SHARES)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shares = tuple(chosen.shares)
        asked = (chosen.pages, chosen.static, shares, chosen.until, chosen.workers)
        if not months(Path(folder), *asked):
            sys.exit("what is kept differs where it must not")


if __name__ == "__main__":
    main()
