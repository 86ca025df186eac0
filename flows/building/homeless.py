"""Support a user without a home, as under `docker run --user`: no passwd entry, no HOME, or both.

Some libraries look up the home, for settings or caches, and the user's name on import.
"""

import atexit
import getpass
import os
import shutil
import tempfile
from pathlib import Path


def settle() -> None:
    """Set a home and a user name for this process and its child processes, where they are missing.

    The home is a temporary directory, which is removed when the process ends.
    """
    try:
        Path.home()
    except RuntimeError:
        made = tempfile.mkdtemp(prefix="webtext-home-")
        atexit.register(_remove, made, os.getpid())
        os.environ["HOME"] = made
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the first up to Python 3.12, the second from 3.13 on
        os.environ["USER"] = f"uid-{os.getuid()}"


def _remove(made: str, owner: int) -> None:
    """Remove the home that was made, unless this process is a fork of the one that made it."""
    if os.getpid() == owner:
        shutil.rmtree(made, ignore_errors=True)
