"""From a page to a judged document against datatrove, on the same pages, one worker each.

    python -m tests.bench.extraction [--pages 600] [--texts 1500] [--parts extract recipe rules]
                                     [--only webtext]

The pages are every n-th of the mini-web's. CPU seconds are those of a process and all its
children, less what the same does with a single page, which takes off imports and compiled code's
loading. `extract` is a run that reads and extracts, less one that only reads. `recipe` is WARC
record in, judged document out: extraction, language (ours only: datatrove's model cannot be had
offline; ours drops no page by it, so that the rules see as many documents as theirs), Gopher
repetition and quality, C4, FineWeb; ours writes Parquet and theirs nothing. `rules` asks every
rule about every text, where datatrove's filters stop at a document's first objection. The texts are
every n-th of those of all the mini-web's 6,233 pages that have any, taken by the fast engine; each
is seen once. `--texts 6233` takes datatrove some eight minutes.

The peer is what `pip install datatrove[processing]` gives today: 0.10.1, which asks for trafilatura
below 1.12 and so gets 1.11.0. `recipe` also says what each of our parts costs.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

from tests.bench import peers
from tests.bench.extraction_budget import budget
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.warc_import import ImportWarc, import_warc
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.records import PAGE
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.filters.c4 import C4
from webtext.pipeline.filters.fineweb import FineWeb
from webtext.pipeline.filters.gopher import GopherQuality, GopherRepetition
from webtext.pipeline.filters.rules import Rules, ask, edited
from webtext.pipeline.filters.step import documents
from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.text.language import Language
from webtext.pipeline.words.document import Document

DATA = Path(__file__).parents[3] / "shared" / "data"
ONE = "page.warc.gz"
WANTED = {"extract": 1.5, "recipe": 4.0, "rules": 30.0}  # times datatrove's speed
RULES = Rules(
    gopher_repetition=GopherRepetition(enabled=True),
    gopher_quality=GopherQuality(),
    c4=C4(enabled=True, terminal=False),
    fineweb=FineWeb(enabled=True),
)
RECIPE = (Extract(), Clean(), Language(keep=(), min_probability=0.0), RULES)


def pages(data: Path = DATA) -> Iterator[tuple[str, bytes]]:
    """Yield address and body of the pages of all WARC files there, of the sites and of the news."""
    for path in sorted((data / "miniweb").glob("*.warc.zst"), reverse=True):
        with zstandard.open(path) as file:
            records = ArchiveIterator(file, WarcRecordType.response, parse_http=True)
            for record in records:
                if "html" in (record.http_headers.get("Content-Type") or ""):
                    yield record.headers["WARC-Target-URI"], record.reader.read()


def write_warc(path: Path, chosen: Iterable[tuple[str, bytes]]) -> None:
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


def texts() -> list[str]:
    """Return the main texts of the mini-web's pages."""
    extract = Extract(engine="resiliparse", min_chars=1)
    every = list(pages())
    found: list[str] = []
    for at in range(0, len(every), 500):
        rows = [{"id": "", "url": url, "body": body, "content_type": "text/html"}
                for url, body in every[at : at + 500]]  # fmt: skip
        read = extract(pa.RecordBatch.from_pylist(rows, PAGE))
        found += [text for text in read["text"].to_pylist() if text]
    return found


def passes(text: str) -> bool:
    """Ask every enabled rule about a text; return whether none objects."""
    doc = Document(text)
    objections = []
    for name, group in RULES.groups():
        if group.enabled:
            doc = edited(group, doc)
            objections += [asked.objection for asked in ask(name, group, doc)]
    return not any(objections)


def task(name: str, path: Path) -> tuple[int, int]:
    """Do one task; return how many documents came in, and how many were left."""
    if name == "rules":
        given = [json.loads(line) for line in path.open(encoding="utf-8")]
        return len(given), sum(map(passes, given))
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


def shares(whole: Path) -> str:
    """Return what each part of our recipe costs a page, in words."""
    spent = json.loads(measured("webtext", "budget", whole)[1])
    return ", ".join(f"{part} {seconds * 1e3:.2f}" for part, seconds in spent.items())


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
        if part == "recipe" and who == "webtext":
            print(f"{part}, {who}, ms a page: {shares(whole)}", flush=True)
    if len(spent) == len(("webtext", "datatrove")):
        print(f"{part}: {spent['datatrove'] / spent['webtext']:.1f} times datatrove's speed "
              f"(wanted: {WANTED[part]})")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=600)
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--parts", nargs="+", choices=WANTED, default=list(WANTED))
    parser.add_argument("--only", nargs="+", default=["webtext", "datatrove"])
    parser.add_argument("--task", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.task and chosen.task[0] == "budget":
        path = Path(chosen.task[1])
        budget(RECIPE, path.with_name(ONE))  # loads compiled code
        print(json.dumps(budget(RECIPE, path)))
        return
    if chosen.task:
        print(*task(chosen.task[0], Path(chosen.task[1])))
        return
    if not DATA.is_dir():
        sys.exit(f"needs the real data in {DATA}, which is not part of the project")
    with tempfile.TemporaryDirectory() as folder:
        whole, one = Path(folder, "pages.warc.gz"), Path(folder, ONE)
        if {"extract", "recipe"} & set(chosen.parts):
            every = list(pages())
            picked = [every[n * len(every) // chosen.pages] for n in range(chosen.pages)]
            write_warc(whole, picked)
            write_warc(one, picked[:1])
        for part in chosen.parts:
            if part == "rules":
                several, single = Path(folder, "texts.jsonl"), Path(folder, "text.jsonl")
                found = texts()
                rows = [found[n * len(found) // chosen.texts] for n in range(chosen.texts)]
                several.write_text("".join(json.dumps(row) + "\n" for row in rows))
                single.write_text(json.dumps(rows[0]) + "\n")
                compare(part, several, single, chosen.only)
            else:
                compare(part, whole, one, chosen.only)


if __name__ == "__main__":
    main()
