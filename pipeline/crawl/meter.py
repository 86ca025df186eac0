"""Live figures of a crawl, as a line that the progress bar shows; those of its parts are summed."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping

from webtext.pipeline.core.pool import tick
from webtext.pipeline.core.progress import Figures, Progress, silent
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.frontier.rows import Done

MEMORY = 0.8  # share of the former rate that stays after a second: about five seconds count
FATE = "crawl."  # begins the names of the figures of failures
TOP = 3  # failures that are shown
DIGITS = {"pages/s": 1, "MB/s": 2}  # after the point; others are numbers of things
SHOWN = ("pages/s", "MB/s", "in flight", "hosts", "pending", "leased", "kept")  # also if 0
ORDER = ("parts without a network", *SHOWN[:4], "hosts parked", *SHOWN[4:], "unchanged")


class Meter:
    """The progress of a crawl, its speed, and the most frequent failures."""

    every = 1.0  # s between two looks

    def __init__(self, progress: Progress = silent) -> None:
        self.progress = progress
        self.total = 0
        self.stop: Callable[[], object] = _interrupt  # the crawl, from its own thread
        self.trouble = ""  # the reason why the crawl waits, for people
        self.tally: Counter[str] = Counter()
        self.unchanged = 0  # unchanged since an earlier crawl, of those counted here
        self._pages = self._bytes = 0  # since the last update
        self._rate = self._speed = 0.0  # per second, smoothed
        self._looked = time.monotonic()

    def start(self, total: int, tally: Mapping[str, int]) -> None:
        """Start or resume with so many URLs, of which these are done."""
        self.total = total
        self.tally.update(tally)
        self.show(self.tally.total(), {})

    def show(self, done: int, figures: Figures) -> None:
        """Show how many URLs are done, and the figures."""
        self.progress(done, self.total, line(figures, self.trouble))

    def count(self, done: Done) -> None:
        """Count an outcome."""
        self.tally[done.dropped_by or "kept"] += 1
        self.unchanged += done.revisit is not None
        self._pages += 1
        self._bytes += done.body_bytes or 0

    def given_up(self, count: int) -> None:
        """Count the URLs of hosts that were given up."""
        if count:
            self.tally[fates.HOST_GIVEN_UP] += count

    def look(self, in_flight: int, leased: int, hosts: int, parked: int = 0) -> None:
        """Update the progress bar.

        `hosts` are the active ones, `parked` those that are left alone until a time.
        """
        now = time.monotonic()
        passed = max(now - self._looked, 0.001)
        self._rate += (1 - MEMORY) * (self._pages / passed - self._rate)
        self._speed += (1 - MEMORY) * (self._bytes / passed - self._speed)
        self._pages = self._bytes = 0
        self._looked = now
        done = self.tally.total()
        failed = {name: count for name, count in self.tally.items() if name != "kept"}
        self.show(
            done,
            {
                "pages/s": self._rate,
                "MB/s": self._speed / 1e6,
                "in flight": in_flight,
                "hosts": hosts,
                "hosts parked": parked,
                "pending": self.total - done - leased,
                "leased": leased,
                "kept": self.tally["kept"],
                "unchanged": self.unchanged,
                **failed,
            },
        )


def _interrupt() -> None:
    raise KeyboardInterrupt


class PartMeter(Meter):
    """The figures of one part of a crawl, told to whoever sums those of all."""

    def __init__(self, until: float = math.inf) -> None:
        """Stop the crawl at a time, of the monotonic clock."""
        super().__init__()
        self.until = until
        self.late = False  # whether it was stopped because of the time
        self._told = 0

    def show(self, done: int, figures: Figures) -> None:
        """Tell how many more URLs are done; stop the crawl if nobody waits for this part."""
        more, self._told = done - self._told, done
        trouble = {"parts without a network": 1} if self.trouble else {}
        try:
            tick(more, {**trouble, **figures})
        except KeyboardInterrupt:
            self.stop()
        if time.monotonic() > self.until and not self.late:
            self.late = True
            self.stop()

    def end(self) -> None:
        """Tell what came of the part, without what is no more: its hosts and its speed."""
        tick(0, {**self.tally, "unchanged": self.unchanged})


def line(figures: Figures, trouble: str = "") -> str:
    """Return figures in words; of the failures, those that happened most often.

    >>> line({"pages/s": 12.34, "hosts": 1234, "hosts parked": 0, "crawl.dns": 5})
    '12.3 pages/s, 1,234 hosts, dns 5'
    """
    ranked = sorted(figures.items(), key=lambda item: -item[1])
    top = [(name, count) for name, count in ranked if name.startswith(FATE)]
    parts = [
        f"{figures[name]:,.{DIGITS.get(name, 0)}f} {name}"
        for name in ORDER
        if name in figures and (figures[name] or name in SHOWN)
    ]
    failures = [f"{name.removeprefix(FATE)} {count:,.0f}" for name, count in top[:TOP]]
    return ", ".join([*([trouble] if trouble else []), *parts, *failures])
