"""What can go wrong here that a user can mend.

ValueError
└── UserError           the command line prints one line and exits 2
    ├── DivergedError       the loss or the gradient is no number any more; names what was read
    └── DisagreementError   compiled code computes something else than what it was made from

Exception
└── ElsewhereError      another process has stopped, and says why itself; exit without a word
"""

from collections.abc import Sequence


class UserError(ValueError):
    """A mistake that the user can mend; says what was found, what was wanted, what to do."""


class DivergedError(UserError):
    """The training has left the numbers; `step` and `windows` say where, for who wants to look."""

    def __init__(self, message: str, step: int, windows: Sequence[int]) -> None:
        super().__init__(message)
        self.step = step
        self.windows = tuple(windows)


class DisagreementError(UserError):
    """Compiled code computes something else than the model; says how much, and which part."""


class ElsewhereError(Exception):
    """A process that trains with this one has stopped; `code` is what it exits with."""

    def __init__(self, code: int) -> None:
        super().__init__(f"another process has stopped with exit code {code}, and said why")
        self.code = code
