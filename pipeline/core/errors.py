"""What can go wrong that is not a page's doing.

An error that a page can cause is a fate of that page's row (`dropped_by`), not an exception.

    Exception
    ├── UserError       a user can mend it: the command line prints one line and exits 2
    ├── PipelineError   our own law broken: rows lost, a shard that kills its worker
    └── StoppedError    nothing went wrong: somebody ended the run, which can go on
"""


class UserError(ValueError):
    """A mistake that the user can mend; says what was found, what was wanted, what to do."""


class PipelineError(RuntimeError):
    """The run cannot go on, and no setting would mend it."""


class StoppedError(Exception):
    """The run was ended from outside and can go on; says by whom."""
