"""Kill one process of a build at a random moment; the same command must end in the same bytes.

A trial copies an undisturbed data directory without a step, and starts the same command there.
(What later steps made is kept: it is made again only where the step's manifest, which holds the
sha256 of its files, is another. After a crawl it is, for WARC files hold the time of day.) While
the step is made, a process is killed:

- `main`: the command itself. Then all that it has started ends, and the same command goes on.
- `worker`, `sandbox`, `tracker`: of the pool, of what reads pages, Python's own tracker of the
  pool's locks. A new tracker complains of locks that it doesn't know; these are Python's words.
- `lock`: a worker while it holds the lock of the progress (`holding`).
- `server`: Prefect's.
- `any`: one of all of these, by chance.
- `term`: nobody is killed, the command is sent SIGTERM, which must end in a line and exit code 130.

Where the command lives on, it must end well by itself. In the end corpus, tokens and funnel are
those of the undisturbed build, `verify` finds nothing, nothing hangs, no process is left over, and
no traceback was shown.
"""

import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.holding import COMMAND, DIE
from tests.chaos.victims import WORDS, Running, started, strike, wait_until
from webtext.pipeline.build import Build
from webtext.pipeline.core.directories.checked import MANIFEST, listed
from webtext.pipeline.filters.measuring.measures import UNDER
from webtext.pipeline.insight.verification import verify
from webtext.pipeline.steps import STEPS

ROOT = Path(__file__).resolve().parents[2]
BYTES = (
    "corpus-*/*.parquet",
    "about/corpus-*/**/*.parquet",
    "about/corpus-*/README.md",
    "tokens-*/*.bin",
    "tokens-*/*.parquet",
)
CRAWL = "pages"
NAMES = tuple(dict.fromkeys(step.name for step in STEPS))
TRACKERS = re.compile(
    r"Traceback \(most recent call last\):\n"
    r"(  File \"[^\"]*multiprocessing/resource_tracker\.py\".*\n(    .*\n)*)+KeyError: .*"
)
SHOWN = 2_000  # last characters of what a command said, where something is wrong
AFTER_SECONDS = 300.0  # s for a command to begin a step, on busy cores
SOONER = 0.6  # the share of the last moment that the next may be drawn from
DRAWS = 8  # moments that are drawn until one hits: a short step may be over before it

# By kind: the steps in which there is such a process.
WHERE: dict[str, tuple[str, ...]] = {
    "main": ("links", "pages", "documents", "signatures", "duplicates", "corpus", "tokens"),
    "worker": ("links", "documents", "signatures", "corpus", "tokens"),
    "lock": ("links", "documents", "signatures", "corpus", "tokens"),
    "sandbox": ("documents",),
    "tracker": ("links", "documents"),
    "server": ("links", "pages", "documents", "tokens"),
    "any": ("links", "pages", "documents", "tokens"),
    "term": ("links", "pages", "documents", "tokens"),
}
TIMES = {
    "main": 3,
    "worker": 2,
    "lock": 2,
    "sandbox": 3,
    "tracker": 1,
    "server": 1,
    "any": 2,
    "term": 1,
}


@dataclass(frozen=True)
class Undisturbed:
    """A build that nothing disturbed, and the command that makes it in a data directory."""

    data: Path
    arguments: Callable[[Path], list[str]]  # of `webtext`, for a data directory

    def content(self) -> dict[str, Any]:
        return content(self.data)

    def seconds(self, step: str) -> float:
        """Return roughly how long a step takes: from its directory to its manifest."""
        (home,) = self.data.glob(f"{step}-*")
        made = [path.stat().st_mtime for path in home.rglob("*") if path.is_file()]
        return max(max(made) - min(made), 0.0) + 1.5  # its workers start before they write


def undisturbed(place: Path, options: list[str]) -> Undisturbed:
    """Build the demo's recipe with these options, and let nothing disturb it."""

    def arguments(data: Path) -> list[str]:
        return ["build", "demo", "--data", str(data), "--workers", "2", *options]

    place.mkdir()
    whole = Undisturbed(place / "data", arguments)
    running = start(whole, "nothing", whole.data, place)
    assert running.end() == 0, running.words()
    return whole


@dataclass(frozen=True)
class Trial:
    """One kill."""

    kind: str
    step: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind} in {self.step} (seed {self.seed})"


def all_trials(times: dict[str, int] | None = None, seed: int = 0) -> list[Trial]:
    """Return all trials: so many of each kind in each step."""
    found = [
        Trial(kind, step, seed + number)
        for kind, steps in WHERE.items()
        for step in steps
        for number in range((times or TIMES)[kind])
    ]
    random.Random(seed).shuffle(found)
    return found


def missed(whole: Undisturbed, trial: Trial, folder: Path) -> str | None:
    """Make a trial in a new folder; return what is wrong afterwards, None if nothing is."""
    rng = random.Random(str(trial))
    for draw in range(DRAWS):
        place = folder / str(draw)
        data = begun(whole, trial.step, place)
        running = start(whole, trial.kind, data, place)
        try:
            moment = rng.uniform(0.0, whole.seconds(trial.step)) * SOONER**draw
            if hit(trial, running, place, moment):
                return wrong(whole, trial, running, data, place)
        finally:
            running.kill()
            wait_until(lambda: not running.alive(), AFTER_SECONDS)  # noqa: B023 -- called here
            shutil.rmtree(place)
    return f"{trial}: none of {DRAWS} moments hit"


def begun(whole: Undisturbed, step: str, place: Path) -> Path:
    """Return a data directory in which a step is not made, after a crawl no later one either."""
    data = place / "data"
    gone = NAMES[NAMES.index(step) :] if step == CRAWL else (step,)
    own = ("latest.json", "events.jsonl", ".prefect", ".holder*")
    ignored = shutil.ignore_patterns(*[f"{name}-*" for name in gone], *own)
    shutil.copytree(whole.data, data, ignore=ignored)
    return data


def environment(place: Path) -> dict[str, str]:
    """Return the environment of a command that reports to no server but its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    state = {"XDG_STATE_HOME": str(place / "state"), DIE: str(place / "die")}
    return {**kept, **state, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


def start(whole: Undisturbed, kind: str, data: Path, place: Path, said: str = "said") -> Running:
    """Start the command."""
    by = ["-c", COMMAND] if kind == "lock" else ["-P", "-m", "webtext"]
    plain = [] if kind == "server" else ["--no-prefect"]
    command = [sys.executable, *by, *whole.arguments(data), *plain]
    return started(command, place / said, environment(place), place)


def hit(trial: Trial, running: Running, place: Path, moment: float) -> bool:
    """Kill so many seconds after the step has begun; return whether there was something to kill.

    For a worker that is to die by itself, the step's workers need not have started.
    """
    data = place / "data"
    alive = running.process.poll
    wait_until(lambda: list(data.glob(f"{trial.step}-*")) or alive() is not None, AFTER_SECONDS)
    over = lambda: list(data.glob(f"{trial.step}-*/manifest.json"))  # noqa: E731
    if trial.kind in WORDS and trial.kind != "any":
        wait_until(
            lambda: running.alive(trial.kind) or over() or alive() is not None, AFTER_SECONDS
        )
    time.sleep(moment)
    if alive() is not None:
        return False
    if trial.kind == "lock":
        mark = place / "die"
        mark.touch()
        wait_until(lambda: not mark.exists() or alive() is not None, AFTER_SECONDS)
        return not mark.exists()
    if trial.kind in ("main", "term"):
        number = signal.SIGKILL if trial.kind == "main" else signal.SIGTERM
        return strike(running.process.pid, number)
    there = running.alive(trial.kind)
    return bool(there) and strike(random.Random(moment).choice(there))


def wrong(
    whole: Undisturbed, trial: Trial, running: Running, data: Path, place: Path
) -> str | None:
    """Return what is wrong after a kill, once the same command has ended well."""
    try:
        code = running.end()
        if left := running.orphans():
            return f"{trial}: processes {left} live on"
        allowed = {"main": (-signal.SIGKILL,), "term": (130,), "any": (0, -signal.SIGKILL)}
        if code not in allowed.get(trial.kind, (0,)):
            return f"{trial}: exit code {code}: {running.words()[-SHOWN:]}"
        if "Traceback" in TRACKERS.sub("", running.words()):
            return f"{trial}: a traceback: {running.words()[-SHOWN:]}"
        again = start(whole, "again", data, place, "again")
        try:
            code = again.end()
        finally:
            again.kill()
    except TimeoutError as error:
        return f"{trial}: {error}: {running.words()[-SHOWN:]}"
    if code or "Traceback" in again.words():
        return f"{trial}: the same command ended with {code}: {again.words()[-SHOWN:]}"
    if left := again.orphans():
        return f"{trial}: processes {left} live on after the same command"
    return differences(whole, trial, data)


def differences(whole: Undisturbed, trial: Trial, data: Path) -> str | None:
    """Return how a data directory differs from the undisturbed one, None if it does not."""
    now, then = content(data), whole.content()
    if now != then:
        other = sorted(name for name in now.keys() | then if now.get(name) != then.get(name))
        return f"{trial}: other bytes in {other}"
    if funnel(data) != funnel(whole.data):
        return f"{trial}: another funnel: {funnel(data)}"
    if found := [str(each) for each in verify(data)]:
        return f"{trial}: verify names {found}"
    if partial := [str(path) for path in data.rglob("*.partial")]:
        return f"{trial}: left over: {partial}"
    return None


def content(data: Path) -> dict[str, Any]:
    """Return every file whose bytes must not depend on how it came about, and of all but a crawl
    what their manifests say of the files.
    """
    paths = sorted(path for pattern in BYTES for path in data.glob(pattern))
    found: dict[str, Any] = {str(path.relative_to(data)): path.read_bytes() for path in paths}
    homes = [path.parent for path in data.glob(f"*-*/{MANIFEST}")]
    for home in homes:
        if not home.name.startswith(f"{CRAWL}-"):
            # A table of measures tells where in the WARC files each page lies.
            sums = {name: said for name, said in listed(home).items() if UNDER not in name}
            found[home.name] = sums
    return found


def funnel(data: Path) -> Any:
    """Return what each stage has read, kept and dropped."""
    return Build(None, data).funnel()["stages"]
