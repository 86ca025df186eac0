"""How long work says how far it is, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """Told how much of the work is done; rate and time left are the listener's to compute."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """`done` units of `total` (None where not known yet); `note` is a few live figures."""


def silent(done: int, total: int | None, note: str = "") -> None:
    """Listen to nothing."""
