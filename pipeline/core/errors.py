"""Errors that are not caused by a page.

An error that a page causes is recorded in that page's row (`dropped_by`), not as an exception.

    Exception
    ├── UserError       a user can correct it: the command line prints one line and exits 2
    ├── PipelineError   an invariant is broken: rows lost, a shard that kills its worker
    └── StoppedError    not an error: somebody stopped the run, which can be continued
"""

import errno
import shutil
from pathlib import Path


class UserError(ValueError):
    """A mistake that the user can correct; says what was found, what was wanted, what to do."""


class PipelineError(RuntimeError):
    """The run cannot go on, and no setting would help."""


class StoppedError(Exception):
    """The run was stopped from outside and can be continued; says who stopped it."""


def out_of_room(error: OSError, path: Path) -> Exception:
    """Turn a disk-full error into a message that says how to go on; return others unchanged."""
    if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return error
    free = shutil.disk_usage(path).free
    return UserError(
        f"{error.filename or path}: no space left on the disk ({free / 1e9:.1f} GB free); what is "
        "finished is kept: make room and run the same command again"
    )
