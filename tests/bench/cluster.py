"""What a shard costs by the local pool, by Dask's workers, and by workers that share only a store.

    python -m tests.bench.cluster [--files 12] [--pages 60] [--items 100]

Two workers each time. Printed are the wall seconds of items that do nothing, and of the step
`documents` over WARC files with made pages, a shard a file. The store is moto's server on loopback,
in this process; the workers that share only it run as users start them. A first build by the same
workers is not counted: it loads libraries. The local pool starts its processes anew in each step,
so its times have that in them, and those of Dask's workers, which run already, do not.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.flows.building.test_growing import link, one
from tests.flows.cluster.test_by_store import cluster
from tests.pipeline.core.test_pool import square
from tests.store_server import served
from webtext.flows.building.settings import load
from webtext.flows.cluster.connecting import opened
from webtext.pipeline.build import Build
from webtext.pipeline.core.pool import Workers, each
from webtext.pipeline.core.stores.working_copy import working_copy

WORKERS = 2


def sources(folder: Path, files: int, pages: int) -> list[str]:
    """Write links and WARC files of made pages; return the overrides that name them."""
    (folder / "links.json").write_text("".join(link(n, "a") for n in range(files * pages)))
    for number in range(files):
        mine = [one(n) for n in range(number * pages, (number + 1) * pages)]
        (folder / f"{number:03d}.warc").write_bytes(b"".join(mine))
    return [f"pages.warc = ['{folder}/*.warc']", f"links.sources = ['{folder}/links.json']"]


def measured(data: Path, workers: Workers, overrides: list[str], items: int) -> tuple[float, float]:
    """Return the seconds of items that do nothing, and of the step `documents`, the second time."""
    begun = time.monotonic()
    each(square, range(items), workers)
    idle = time.monotonic() - begun
    spent = 0.0
    for least in (21, 20):  # another directory, of as much work
        build = Build(
            load("webtext", [*overrides, f"rules.gopher_quality.word_count.at_least = {least}"]),
            data,
        )
        build.run("pages", workers)
        begun = time.monotonic()
        build.run("documents", workers)
        spent = time.monotonic() - begun
    return idle, spent


@contextmanager
def three(folder: Path) -> Iterator[Iterator[tuple[str, Path, Any]]]:
    """Give, one after the other, a name, a data directory and who works there."""

    def ways() -> Iterator[tuple[str, Path, Any]]:
        yield "local", folder / "local", WORKERS
        with opened(None, WORKERS, folder / "shared", print) as runner:
            yield "dask, one directory", folder / "shared", runner
        with served() as s3:
            os.environ |= {**s3.environment, "WEBTEXT_STORES": str(folder / "stores")}
            with cluster(s3, folder / "cluster") as made:
                for number in range(WORKERS):
                    made.worker(f"machine-{number}")
                data = working_copy(f"s3://{s3.bucket()}/data")
                time.sleep(15)  # they load what they need
                with opened(made.address, WORKERS, data, print) as runner:
                    yield "dask, a store alone", data, runner

    yield ways()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=12, help="WARC files, so shards of documents")
    parser.add_argument("--pages", type=int, default=60, help="of each")
    parser.add_argument("--items", type=int, default=100, help="that do nothing")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overrides = sources(folder, args.files, args.pages)
        with three(folder) as ways:
            for way, data, workers in ways:
                idle, spent = measured(data, workers, overrides, args.items)
                print(
                    f"{way}: {args.items} items that do nothing {idle:.2f} s "
                    f"({idle / args.items * 1000:.0f} ms each), documents {spent:.2f} s "
                    f"({spent / args.files * 1000:.0f} ms a shard of {args.pages} pages)"
                )


if __name__ == "__main__":
    main()
