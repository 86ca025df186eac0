"""What Prefect costs a build, and how soon a build says its first line: in pairs, by turns.

python -m tests.bench.prefect_cost [--pairs 5]

The same build, from pages to tokens, with a Prefect server of its own and with --no-prefect, each
in a copy of one data directory whose pages are whole. CPU seconds are those of the command and of
all that it started; on a busy machine they say more than wall seconds.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.peers import ROOT
from tests.chaos.whole import build

MOST_CPU = 6.0  # s that Prefect may cost a build
MOST_WALL = 5.0  # s, on a machine that is not busy
FIRST_LINE = 2.0  # s to the first line


def run(folder: Path, data: Path, number: str, *options: str) -> tuple[float, float, float]:
    """Build in a copy; return wall and CPU seconds, and the seconds to the first line."""
    copy = folder / number
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns("latest.json", "snapshots.json"))
    for home in (*copy.glob("*-*"), *copy.glob("about/*-*")):
        if not home.name.startswith(("links-", "pages-")):
            shutil.rmtree(home)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    own = {"XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-P", "-m", "webtext", "build", str(folder / "recipe.toml")]
    words += ["--data", str(copy), "--workers", "1", *options]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with subprocess.Popen(words, stderr=subprocess.PIPE, env={**kept, **own}) as process:
        assert process.stderr
        process.stderr.readline()
        first = time.monotonic() - began
        process.stderr.read()
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        sys.exit(f"{words} ended with exit code {process.returncode}")
    shutil.rmtree(copy)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, spent, first


def main() -> None:
    """Print the pairs, and the medians of their differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    differences, firsts = [], []
    print(f"{'pair':>6}{'with: wall s':>14}{'CPU s':>8}{'first line':>12}"
          f"{'without: wall s':>17}{'CPU s':>8}{'first line':>12}")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = build(folder)
        data.run(workers=0)
        run(folder, data.data, "warm")  # makes the cache's blank database, and compiles kernels
        for pair in range(pairs):
            turns = [("with", ()), ("without", ("--no-prefect",))]
            found = {
                turn: run(folder, data.data, f"{turn}-{pair}", *options)
                for turn, options in (turns if pair % 2 else reversed(turns))
            }
            a, b = found["with"], found["without"]
            print(f"{pair:>6}{a[0]:>14.1f}{a[1]:>8.1f}{a[2]:>12.2f}{b[0]:>17.1f}{b[1]:>8.1f}{b[2]:>12.2f}",
                  flush=True)  # fmt: skip
            differences.append([x - y for x, y in zip(a, b, strict=True)])
            firsts += [a[2], b[2]]
    wall, spent, _ = (statistics.median(column) for column in zip(*differences, strict=True))
    print(f"Prefect costs {wall:.1f} s of wall and {spent:.1f} s of CPU time, the pairs' median;")
    print(
        f"the first line comes after {statistics.median(firsts):.2f} s, {max(firsts):.2f} at most"
    )
    if spent > MOST_CPU or (wall > MOST_WALL and os.getloadavg()[0] < (os.cpu_count() or 1)):
        sys.exit(f"more than {MOST_WALL} s of wall (on a free machine) or {MOST_CPU} s of CPU time")
    if statistics.median(firsts) > FIRST_LINE:
        sys.exit(f"the first line comes after more than {FIRST_LINE} s")


if __name__ == "__main__":
    main()
