"""The command `webtext`, and `python -m webtext`."""

import os
import sys

# A standard stream that the caller has closed (`>&-`, some daemons) would lend its number to the
# next file that is opened, and what is printed would be written into that file.
while (_at := os.open(os.devnull, os.O_RDWR)) <= 2:
    os.set_inheritable(_at, True)
os.close(_at)
sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 -- they stay open
sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115

# A file of the user's in the working directory is never imported for one of ours or of Python's:
# not by the processes that we start (Python reads this in each), and not here, where -m has put
# that directory first. The command `webtext` itself has its own folder there.
os.environ["PYTHONSAFEPATH"] = "1"
if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]

import signal  # noqa: E402 -- from here on the path is right

# Ctrl-C ends the process without a traceback while it imports; from then on `main` answers it.
_before = signal.getsignal(signal.SIGINT)
if _before is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
from webtext.flows.commands.command_line import main  # noqa: E402 -- which takes a second

signal.signal(signal.SIGINT, _before)

if __name__ == "__main__":
    main()
