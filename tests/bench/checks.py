"""What checking costs a build: the CPU time of one with all checks, and of one without any.

    python -m tests.bench.checks [--pages 1500] [--pairs 7]

Both make the same directories, from WARC files to tokens, in processes of their own and in turns,
so that a busy machine slows both alike. Without checks, no file is hashed (neither for its manifest
nor against it), nothing is remembered, and Parquet pages have no checksums. Prints the ratio of
each pair and their median, and the share of the CPU time that passes inside the sums of files,
which is the part that can be told apart without a second build.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.bench.peers import ROOT
from tests.pipeline.warcfile import http, record
from webtext.flows.building.run_build import run_steps
from webtext.flows.building.settings import load
from webtext.flows.demo.site import web
from webtext.pipeline.build import Build
from webtext.pipeline.core import shards
from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.step import Planned

MOST = 1.02  # of the CPU time of a build without checks


def archive(path: Path, pages: int) -> None:
    """Write the pages of the demo's web as a WARC file."""
    found = [(host, at, one) for (host, at), one in web(pages).items() if one.status == 200]
    with path.open("wb") as file:
        for number, (host, at, one) in enumerate(found):
            if one.content_type.startswith("text/html") and one.repeat == 1:
                file.write(record(f"http://{host}{at}", http(one.body), number=number))


def steps(folder: Path, data: Path) -> list[Planned]:
    """Return the steps of a build from that file."""
    lines = [f"pages.warc = ['{folder}/a.warc']", "tokens.shard_tokens = 200_000"]
    return Build(load("demo", lines), data).plan()


def without_checks() -> None:
    """Make a build of this process check and hash nothing."""
    checked.check = lambda _home: 0
    checked.confirm = lambda _path: None
    checked.remember = lambda _home, _found: None
    checked.hashed = lambda home, names: {
        name: ["0" * 64, *checked.stamp(checked.at(home, name))] for name in names
    }
    pq.ParquetWriter = partial(_without, pq.ParquetWriter, write_page_checksum=False)
    pq.ParquetFile = partial(_without, pq.ParquetFile, page_checksum_verification=False)
    import webtext.pipeline.build as building

    building.check = checked.check  # imported by name


def _without(made: Callable[..., Any], *given: Any, **settings: Any) -> Any:
    """Call a function of pyarrow with other settings; the last given ones are the caller's."""
    own = {"write_page_checksum", "page_checksum_verification"} & settings.keys()
    return made(*given, **{**settings, **dict.fromkeys(own, False)})


class Clock:
    """CPU time of this process inside some functions, calls within calls counted once."""

    def __init__(self) -> None:
        self.spent, self.depth = 0.0, 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and is timed."""

        def timed(*given: Any, **settings: Any) -> Any:
            self.depth += 1
            begun = time.process_time()
            try:
                return function(*given, **settings)
            finally:
                self.depth -= 1
                self.spent += (time.process_time() - begun) * (self.depth == 0)

        return timed


def one(folder: Path, data: Path, checks: bool) -> None:
    """Build, and print the CPU time of this process before, and inside the sums of files."""
    clock = Clock()
    if checks:
        import webtext.pipeline.build as building

        checked.hashed = clock.around(checked.hashed)
        checked.confirm = clock.around(checked.confirm)
        building.check = checked.check = clock.around(checked.check)
    else:
        without_checks()
    assert shards.checked is checked
    run_steps(steps(folder, folder / "warm"), folder / "warm", 0)  # whole already: only imports
    print(time.process_time(), end=" ", flush=True)
    clock.spent = 0.0
    run_steps(steps(folder, data), data, 0)
    print(clock.spent, flush=True)


def measured(folder: Path, data: Path, checks: bool) -> tuple[float, float]:
    """Return the CPU time of a build with all that it starts, and the share inside the sums."""
    words = [sys.executable, "-m", "tests.bench.checks", "--one", str(folder), str(data)]
    with subprocess.Popen(
        [*words, "on" if checks else "off"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = process.stdout.read().split()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, "the build failed"
    took = usage.ru_utime + usage.ru_stime - float(said[0])
    return took, float(said[1]) / took


def main() -> None:
    """Build in turns, and print what the checks cost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=1500)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(Path(args.one[0]), Path(args.one[1]), args.one[2] == "on")
        return
    with tempfile.TemporaryDirectory(prefix="webtext-checks-") as scratch:
        folder = Path(scratch)
        archive(folder / "a.warc", args.pages)
        run_steps(steps(folder, folder / "warm"), folder / "warm", 0)
        ratios, shares = [], []
        for pair in range(args.pairs):
            order = (True, False) if pair % 2 else (False, True)
            found = {on: measured(folder, folder / f"{pair}-{on}", on) for on in order}
            ratios.append(found[True][0] / found[False][0])
            shares.append(found[True][1])
            print(
                f"with checks {found[True][0]:.2f} s of CPU time, without {found[False][0]:.2f}: "
                f"{ratios[-1]:.3f}; inside the sums {shares[-1]:.2%}",
                flush=True,
            )
    middle = statistics.median(ratios)
    print(
        f"median ratio {middle:.3f}, wanted at most {MOST}; in sums {statistics.median(shares):.2%}"
    )
    sys.exit(middle > MOST)


if __name__ == "__main__":
    main()
