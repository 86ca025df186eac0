"""Prefect's own server: `python -m webtext.flows.prefect.server PORT PARENT` ends with PARENT.

Prefect's built-in ephemeral server stays behind when the flow's process is killed; this one
does not, and it has written all of its rows when it is asked to stop.
"""

import os
import sys
import threading

import uvicorn

from webtext.flows.prefect.door import Door
from webtext.pipeline.core.pool import die_with


def main(port: int, parent: int) -> None:
    """Serve on loopback until stopped, or until the process `parent` is gone.

    It is named and not asked for, because it may be gone before this is reached.
    """
    threading.Thread(target=die_with, args=(parent,), daemon=True).start()
    from prefect.server.api.server import create_app  # takes seconds, so after the line above

    uvicorn.run(
        Door(create_app(), port, os.environ["PREFECT_SERVER_API_AUTH_STRING"]),
        host="127.0.0.1",
        port=port,
        log_level="error",
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
