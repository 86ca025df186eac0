"""Live figures of a crawl, as a line that the progress bar shows."""

import time
from collections import Counter
from collections.abc import Mapping

from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.frontier.rows import Done

MEMORY = 0.8  # share of the former rate that stays after a second: about five seconds count


class Meter:
    """The progress of a crawl, its speed, and the most frequent failures."""

    def __init__(self, progress: Progress = silent) -> None:
        self.progress = progress
        self.total = 0
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
        self.progress(self.tally.total(), self.total)

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
        top = [
            f"{reason.removeprefix('crawl.')} {count:,}"
            for reason, count in self.tally.most_common()
            if reason != "kept"
        ]
        parts = [
            *([self.trouble] if self.trouble else []),
            f"{self._rate:,.1f} pages/s",
            f"{self._speed / 1e6:,.2f} MB/s",
            f"{in_flight:,} in flight",
            f"{hosts:,} hosts",
            *([f"{parked:,} hosts parked"] if parked else []),
            f"{self.total - done - leased:,} pending",
            f"{leased:,} leased",
            f"{self.tally['kept']:,} kept",
            *([f"{self.unchanged:,} unchanged"] if self.unchanged else []),
            *top[:3],
        ]
        self.progress(done, self.total, ", ".join(parts))
