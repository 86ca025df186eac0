"""How politely the hosts of a replay were asked, by the replay's own log."""

import json
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple


class Pace(NamedTuple):
    """What the server saw, over pages, robots.txt and every hop of a redirect."""

    hosts: int
    requests: int
    smallest: float  # gap between two requests to a host, as a share of the delay owed to it

    def __str__(self) -> str:
        return (
            f"{self.requests:,} requests to {self.hosts:,} hosts; the smallest gap between two to "
            f"one host was {self.smallest:.3f} of its delay"
        )


def pace(lines: Iterable[str], delay: float) -> Pace:
    """Return the pace of an access log, where every host is owed `delay` seconds."""
    times: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        hit = json.loads(line)
        times[hit["host"].partition(":")[0]].append(hit["time"])
    gaps = (b - a for at in times.values() for a, b in pairwise(sorted(at)))
    smallest = min(gaps, default=float("inf")) / delay
    return Pace(len(times), sum(map(len, times.values())), smallest)


def pace_of(log: Path, delay: float) -> Pace:
    """Return the pace of the access log in a file."""
    with log.open(encoding="utf-8") as lines:
        return pace(lines, delay)
