"""What the table of measures costs the documents step: CPU with it and without, in turn.

    python -m tests.bench.measures [--pages 600] [--pairs 5]

Every n-th page of the mini-web, with the built-in recipe. Each of a pair runs in a process of its
own; the CPU is that of the process and its sandbox, less what a few pages take. Printed are the
per cents that the table adds in each pair, and their median.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

from tests.bench.extraction import DATA, pages, write_warc
from webtext.flows.building.settings import load
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.warc_import import ImportWarc, import_warc
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Stage, run_chain
from webtext.pipeline.filters.measuring.measures import Table
from webtext.pipeline.filters.step import chain_of

WANTED = 3.0  # per cent


def run(chain: tuple[Stage, ...], imported: Directory, out: Directory, measuring: bool) -> None:
    """Take the pages through the chain."""
    for number in imported.numbers("outcomes"):
        paths = out.shard(number), out.shard(number, under="dropped")
        if measuring:
            table = Table(chain, imported, out, number)
            run_chain(table.chain, page_batches(imported, number), *paths, table)
        else:
            run_chain(chain, page_batches(imported, number), *paths)


def timed(home: Path, measuring: bool) -> float:
    """Return the CPU seconds of a run and its sandbox, less those of a run over a few pages."""
    whole, few = (_spent(home / name, measuring) for name in ("pages", "few"))
    return whole - few


def _spent(imported: Path, measuring: bool) -> float:
    command = [sys.executable, "-m", "tests.bench.measures", "--run", str(imported)]
    process = subprocess.Popen([*command, *(["--measuring"] if measuring else [])])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("a run failed")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=600)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measuring", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        with tempfile.TemporaryDirectory() as folder:
            chain = chain_of(load("webtext", ()))
            run(chain, Directory(chosen.run), Directory(Path(folder)), chosen.measuring)
        return
    if not DATA.is_dir():
        sys.exit(f"needs the real data in {DATA}, which is not part of the project")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, found in (
            ("few", islice(pages(), 20)),
            ("pages", islice(pages(), 0, None, max(1, 6394 // chosen.pages))),
        ):
            write_warc(home / f"{name}.warc.gz", found)
            warc = home / f"{name}.warc.gz"
            import_warc(ImportWarc(), [warc], None, Directory(home / name), 0, silent)
        more = []
        for _ in range(chosen.pairs):
            without, with_it = timed(home, False), timed(home, True)
            more.append(100 * (with_it / without - 1))
            print(f"{without:.2f} s without, {with_it:.2f} s with: {more[-1]:+.1f} %", flush=True)
    print(f"median {statistics.median(more):+.1f} %")
    if statistics.median(more) > WANTED:
        sys.exit(f"more than {WANTED} %")


if __name__ == "__main__":
    main()
