"""How long-running work reports its progress, without knowing the listener."""

from collections.abc import Callable, Mapping
from typing import Protocol

Figures = Mapping[str, float]  # by name, such as pages a second


class Progress(Protocol):
    """Receives how much of the work is done; the listener computes rate and time left."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Report `done` units of `total` (None if not known yet); `note` has a few live figures."""


def silent(done: int, total: int | None, note: str = "") -> None:
    """Ignore all reports."""


def meter(
    ticks: Callable[[], int],
    progress: Progress,
    items: int,
    total: int | None,
    note: Callable[[], str] = str,
) -> Callable[[int], None]:
    """Return a function of the items done, which reports ticks instead if they have a total.

    `note` gives what else is to be shown, "" if only the number of items is.
    """

    def show(done: int) -> None:
        if total is None:
            progress(done, items)
        else:
            progress(min(ticks(), total), total, note() or f"{done}/{items} shards")

    return show
