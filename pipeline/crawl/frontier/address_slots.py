"""When each part of a crawl may ask an address that hosts of several parts share.

Parts do not know of each other. So for each address, time is dealt out in slots, the first to part
1, the next to part 2, and so on round, by the clock of the machine: a request goes out in the
first tenths of its part's own slot, so two parts never ask an address closer together than
`crawl.delay_per_ip`, as far as their machines' clocks agree. Where an address's rounds begin is
derived from its text, alike in all parts, so that a part's addresses do not all wait for the same
moment.
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple, Self

from webtext.pipeline.crawl.settings import Crawl

GRANTED = 0.1  # of the delay, from a slot's start, in which a turn may be taken
USED = 0.2  # in which a turn that was taken may be used; later ones wait for the next round
ROUNDING = 1e-3  # s after a slot's start that a part waits for, so that it is surely there


class Slots(NamedTuple):
    """One part's slots."""

    delay: float  # s, between requests to an address by all parts together
    length: float  # s, of a slot
    number: int  # of the part, from 1
    of: int

    @classmethod
    def of_crawl(cls, settings: Crawl) -> Self | None:
        """Return those of a crawl; None if it has one part, or if addresses have no delay."""
        part = settings.portion
        if part.of == 1 or not settings.delay_per_ip:
            return None
        return cls(settings.delay_per_ip, settings.slot, part.number, part.of)

    def wait(self, address: str, wall: float, share: float = GRANTED) -> float:
        """Return in how many seconds a slot of an address begins, 0 in the first `share` of one.

        `wall` is Unix time.
        """
        whole = self.length * self.of
        into = (wall + _phase(address) * whole - (self.number - 1) * self.length) % whole
        return 0.0 if into < self.delay * share + 2 * ROUNDING else whole - into + ROUNDING


@lru_cache(65_536)
def _phase(address: str) -> float:
    """Return a number from 0 to 1 that depends on an address only."""
    return int.from_bytes(hashlib.sha256(address.encode()).digest()[:8], "big") / (1 << 64)
