"""Work for a user without a home, as `docker run --user` makes one: no entry, no HOME, or both.

Libraries ask for a home when they are imported, to keep settings or caches there, and for a name.
"""

import atexit
import getpass
import os
import shutil
import tempfile
from pathlib import Path


def settle() -> None:
    """Give this process and those that it starts a home and a user's name, where they have none.

    The home is a directory of the system's for temporary files, which is gone with the process.
    """
    try:
        Path.home()
    except RuntimeError:
        made = tempfile.mkdtemp(prefix="webtext-home-")
        atexit.register(_remove, made, os.getpid())
        os.environ["HOME"] = made
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the one up to Python 3.12, the other from 3.13 on
        os.environ["USER"] = f"uid-{os.getuid()}"


def _remove(made: str, owner: int) -> None:
    """Remove the home that was made, unless this is a fork of the process that made it."""
    if os.getpid() == owner:
        shutil.rmtree(made, ignore_errors=True)
