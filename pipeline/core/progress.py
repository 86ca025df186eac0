"""How long-running work reports its progress, without knowing the listener."""

from typing import Protocol


class Progress(Protocol):
    """Receives how much of the work is done; the listener computes rate and time left."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Report `done` units of `total` (None if not known yet); `note` has a few live figures."""


def silent(done: int, total: int | None, note: str = "") -> None:
    """Ignore all reports."""
