"""Kill what keeps a corpus growing, at random moments over six months; the bytes must be the same.

python -m tests.chaos.served [--kills 80] [--pages 40] [--seed 0]

A `webtext serve` builds every few seconds what a folder of dumps links to; a dump of the demo's web
arrives a month, and its six months' tokens are those of a data directory that nothing disturbed.
In each month processes are killed, by turns:

- `server`: Prefect's. It is started again.
- `runner`: what starts runs. It is started again.
- `flow`: the run itself, with all its work. A later run goes on from there.
- `serve`: the command itself. All that it has started ends within GONE_SECONDS, then it is started
  again and takes up what was cut off.

A month is over when every directory that its recipe makes is whole. Told are how long it took
after a kill until a new one was at work (a server that answers; a `serve` that says so), how long
that month took after its last kill, how long the longest orphan of a `serve` lived, and what went
wrong.
"""

import argparse
import itertools
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from tests.bench.months import FEW, SHARES, Changing, parts
from tests.chaos.kills import ROOT
from tests.chaos.victims import WORDS, Running, started, strike
from webtext.flows.building.settings import load
from webtext.flows.demo.site import submissions, web
from webtext.flows.prefect.home import REGISTER, registered
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError

KILLS = 80  # twenty of each kind
PAGES = 40
KINDS = ("server", "runner", "flow", "serve")
GONE_SECONDS = 15.0  # s for what a killed `serve` has started to end
MONTH_SECONDS = 600.0  # s for a month of 20 s on two free cores
EVERY = "5s"
SPREAD = 10.0  # s after a month's dump, or the last kill, within which a process is killed
PER_MONTH = 4  # kills
LOOK_SECONDS = 0.5  # s between two looks at a data directory
BACK_SECONDS = 120.0  # s for a new process to be at work; 10 on two free cores

WORDS |= {"runner": (b"webtext.flows.prefect.runner",), "flow": (b"prefect", b"engine")}


@dataclass
class Told:
    """What came of the kills."""

    tried: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)  # there was no such process
    back: dict[str, list[float]] = field(default_factory=dict)  # s until a new one was at work
    gone: list[float] = field(default_factory=list)  # s that orphans lived
    after: list[float] = field(default_factory=list)  # s from the last kill to the month's end
    wrong: list[str] = field(default_factory=list)


class Served:
    """One data directory that grows, its recipe, and the `webtext serve` that keeps it so."""

    def __init__(self, place: Path, port: int) -> None:
        self.place = place
        self.data = place / "data"
        self.dumps = place / "dumps"
        self.dumps.mkdir(parents=True)
        self.lines = [
            f"links.sources = ['{self.dumps}/RS_*.zst']",
            f"crawl.connect_to = ['*:80:127.0.0.1:{port}', '*:443:127.0.0.1:{port}']",
            "crawl.first_byte_timeout = 5.0",  # on busy cores a page may take seconds
        ]
        self.number = itertools.count()
        self.running: Running | None = None

    def start(self) -> None:
        kept = {name: value for name, value in os.environ.items() if "PREFECT_" not in name}
        state = {"XDG_STATE_HOME": str(self.place / "state"), "PYTHONPATH": str(ROOT)}
        options = [word for line in self.lines for word in ("--set", line)]
        command = [sys.executable, "-P", "-m", "webtext", "serve", "demo", "--every", EVERY]
        command += ["--port", "0", "--workers", "1", "--data", str(self.data), *options]
        said = self.place / f"said-{next(self.number)}"
        self.running = started(command, said, {**kept, **state}, self.place)

    def victim(self, kind: str) -> int | None:
        assert self.running
        if kind == "serve":
            return self.running.process.pid
        return next(iter(self.running.alive(kind)), None)

    def at_work(self, kind: str, killed: int) -> bool:
        """Whether there is another process of a kind, and does its work."""
        assert self.running
        if kind == "serve":
            return "stop with Ctrl-C" in self.running.words()
        if kind == "server":
            return registered(self.data / ".prefect" / REGISTER) is not None
        return self.victim(kind) not in (None, killed) or (kind == "flow" and self.done)

    @property
    def done(self) -> bool:
        """Whether all that the recipe makes of the present dumps is whole."""
        try:
            planned = Build(load("demo", self.lines), self.data).plan()
            return all(one.done for one in planned)
        except (UserError, OSError):
            return False

    def content(self) -> dict[str, bytes]:
        homes = [one.home for one in Build(load("demo", self.lines), self.data).plan()]
        homes = [home for home in homes if home.name.startswith(("corpus-", "tokens-"))]
        files = [path for home in homes for path in sorted(home.path.rglob("*.*"))]
        return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files
                if path.suffix in (".parquet", ".bin")}  # fmt: skip


def grow(
    served: Served, months: list[list[bytes]], told: Told, kinds: list[str], rng: random.Random
) -> None:
    """Let the months come, and kill by turns."""
    served.start()
    assert served.running
    try:
        for month, lines in enumerate(months, 1):
            packed = zstandard.ZstdCompressor().compress(b"\n".join(lines) + b"\n")
            arriving = served.dumps / "arriving"
            arriving.write_bytes(packed)
            arriving.rename(served.dumps / f"RS_2015-{month:02}.zst")
            for _ in range(PER_MONTH if kinds else 0):
                shoot(served, told, kinds.pop(0) if kinds else "server", rng.uniform(0, SPREAD))
            began = time.monotonic()
            if not waited(lambda: served.done, MONTH_SECONDS):
                told.wrong.append(
                    f"month {month} was not over in time: {served.running.words()[-800:]}"
                )
                return
            told.after.append(time.monotonic() - began)
    finally:
        served.running.kill()


def shoot(served: Served, told: Told, kind: str, moment: float) -> None:
    """Kill a process of a kind after so many seconds; a `serve` is started again."""
    assert served.running
    time.sleep(moment)
    waited(lambda: served.victim(kind), 60)
    victim = served.victim(kind)
    if victim is None or not strike(victim):
        told.missed[kind] += 1
        return
    told.tried[kind] += 1
    began = time.monotonic()
    if kind == "serve":
        served.running.process.wait()
        orphans = served.running
        if not waited(lambda: not orphans.alive(), GONE_SECONDS):
            names = "; ".join(map(orphans.called, orphans.alive()))
            told.wrong.append(f"outlive a killed serve: {names}")
            orphans.kill()
        told.gone.append(time.monotonic() - began)
        served.start()
    if not waited(lambda: served.at_work(kind, victim), BACK_SECONDS):
        told.wrong.append(f"no {kind} was at work {BACK_SECONDS:.0f} s after a kill")
    told.back.setdefault(kind, []).append(time.monotonic() - began)


def waited(holds: Callable[[], object], seconds: float) -> bool:
    """Wait until something holds that takes time to find out; return whether it came to that."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def kills(folder: Path, count: int, pages: int, seed: int) -> Told:
    """Make so many kills over as many times six months as that takes; return what came of them."""
    rng, told = random.Random(seed), Told()
    table = web(pages, FEW)
    months = parts(list(submissions(table)), SHARES)
    left = [KINDS[number % len(KINDS)] for number in range(count)]
    rng.shuffle(left)
    with Changing(table) as site:
        calm = Served(folder / "calm", site.port)
        grow(calm, months, Told(), [], rng)
        wanted = calm.content()
        assert wanted
        turn = 0
        while left:
            kinds, left = left[: PER_MONTH * len(months)], left[PER_MONTH * len(months) :]
            served = Served(folder / f"turn-{turn}", site.port)
            grow(served, months, told, kinds, rng)
            turn += 1
            if served.done and served.content() != wanted:
                told.wrong.append(f"turn {turn}: other bytes than of six calm months")
            print(f"turn {turn}: {dict(told.tried)}, wrong: {told.wrong}", flush=True)
            shutil.rmtree(served.place, ignore_errors=True)
    return told


def shown(told: Told) -> None:
    """Print what came of the kills."""
    for kind in KINDS:
        back = sorted(told.back.get(kind, [0.0]))
        print(
            f"{kind:<8} {told.tried[kind]:>4} killed, {told.missed[kind]} times none was there; "
            f"another at work after {statistics.median(back):.1f} s (median), "
            f"{back[-1]:.1f} at most"
        )
    print(f"orphans of a killed serve lived {max(told.gone, default=0):.1f} s at most")
    print(f"months ended {max(told.after, default=0):.0f} s after the last kill at most")


def main() -> None:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--pages", type=int, default=PAGES)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = kills(Path(folder), chosen.kills, chosen.pages, chosen.seed)
    shown(told)
    if told.wrong:
        sys.exit("\n".join(told.wrong))


if __name__ == "__main__":
    main()
