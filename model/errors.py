"""The errors of training that a user can fix, and how another process's stop is passed on.

ValueError
└── UserError           the command line prints one line and exits 2
    ├── DivergedError       the loss or the gradient is not finite, or spikes; names what was read
    └── DisagreementError   compiled code computes something else than the eager code

Exception
└── ElsewhereError      another process has stopped and says why itself; exit without a message
"""

from collections.abc import Sequence


class UserError(ValueError):
    """A mistake that the user can fix; says what was found, what was wanted, what to do."""


class DivergedError(UserError):
    """The loss or the gradient is not finite, or spikes; `step` and `windows` say where."""

    def __init__(self, message: str, step: int, windows: Sequence[int]) -> None:
        super().__init__(message)
        self.step = step
        self.windows = tuple(windows)


class DisagreementError(UserError):
    """Compiled code computes something else than the model; says by how much, and which part."""


class ElsewhereError(Exception):
    """Another process of this training has stopped; `code` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"another process has stopped with exit code {code}, and said why")
        self.code = code
