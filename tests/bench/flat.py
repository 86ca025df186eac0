"""Whether memory stays flat while thousands of pages become judged documents.

    python -m tests.bench.flat [--pages 10000]

Every page of the mini-web in turn, and from the start again, each under an address of its own. One
worker; the memory of the process and of its sandbox, watched ten times a second. Printed for each
thousand pages: the peak, and what was held at its end. Exit code 1 where the last thousand's peak
is over that of the second by more than a tenth: the first also pays for what is loaded once.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pyarrow as pa

from tests.bench.extraction import DATA, RECIPE, pages, write_warc
from tests.bench.memory import Memory, resident
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.warc_import import ImportWarc, import_warc
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import run_chain

STEP = 1000  # pages
MORE = 1.1  # times the second thousand's peak that the last may reach


def repeated() -> Iterator[tuple[str, bytes]]:
    """Yield every page, and from the start again, with a new address each time."""
    yield from pages()
    for turn in count(1):
        for url, body in pages():
            yield f"{url}{'&' if '?' in url else '?'}again={turn}", body


def watched(
    batches: Iterator[pa.RecordBatch], memory: Memory, found: list[int]
) -> Iterator[pa.RecordBatch]:
    """Pass batches on; add the peak bytes of each thousand pages to `found`, and print them."""
    done = 0
    for batch in batches:
        yield batch
        done += batch.num_rows  # the next is asked for when this one is done
        while done >= STEP * (len(found) + 1):
            found.append(memory.peak)
            print(f"{STEP * len(found):>6,} pages: peak {memory.peak / 1e6:4.0f} MB, "
                  f"at its end {resident(os.getpid()) / 1e6:4.0f} MB", flush=True)  # fmt: skip
            memory.peak = 0


def peaks(warc: Path, folder: Path) -> list[int]:
    """Take the pages of a file to documents; return the peak bytes of each thousand."""
    imported = Directory(folder / "pages")
    import_warc(ImportWarc(), [warc], None, imported, 0, silent)
    found: list[int] = []
    with Memory(os.getpid()) as memory:
        batches = watched(page_batches(imported, 0, rows=100), memory, found)
        run_chain(RECIPE, batches, folder / "kept.parquet", folder / "dropped.parquet")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=10_000)
    chosen = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"needs the real data in {DATA}, which is not part of the project")
    with tempfile.TemporaryDirectory() as folder:
        warc = Path(folder, "pages.warc.gz")
        write_warc(warc, islice(repeated(), chosen.pages))
        found = peaks(warc, Path(folder))
    if len(found) < 3 or not 0 < found[-1] <= MORE * found[1]:
        sys.exit(f"not flat: {found}")


if __name__ == "__main__":
    main()
