"""Where Prefect keeps its state (never in the user's home), and which server already runs.

Prefect reads its settings when it is imported: use this before anything imports it.
"""

import json
import os
import socket
import sys
import urllib.parse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webtext.flows.prefect.api import AUTH, Api, proves
from webtext.flows.prefect.door import LOGIN, SECRET
from webtext.pipeline.core.directories.data_directory import Holder, alive, myself
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import write_json

REGISTER = "server.json"  # in PREFECT_HOME: the server that runs on this database
URL = "PREFECT_API_URL"
REACH_SECONDS = 5.0  # s for an answer of a server that the user has named


def settle(data: Path) -> Path:
    """Make Prefect keep its state in the data directory and send no telemetry; return the folder.

    A PREFECT_HOME that is already set is kept.

    Raises:
        UserError: nothing can be written there.
    """
    os.environ.setdefault("PREFECT_HOME", str((data / ".prefect").resolve()))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    home = Path(os.environ["PREFECT_HOME"]).expanduser()
    usual = (data / ".prefect").resolve()
    probe = home / f".probe-{os.getpid()}"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home == usual:
            home.chmod(0o700)  # no other user may read what Prefect keeps there
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{home}: Prefect's state cannot be written there ({error.strerror}); choose another "
            "place with --data, or with PREFECT_HOME"
        ) from None
    return home


def running(home: Path, to_stay: bool = False) -> Api | None:
    """Return the server to use: the one that the user names, this database's, or this user's.

    With `to_stay`, a server that ends with its build is not accepted.

    Raises:
        UserError: the server that PREFECT_API_URL names cannot be reached; or a running build has
            a server that ends with it.
    """
    if theirs := os.environ.get(URL):
        return named(theirs)
    here = registered(home / REGISTER)
    if here and to_stay and ends_with_a_build(home / REGISTER):
        raise UserError(
            f"{home}: a build is at work there, with a Prefect server that ends with it; wait for "
            "it, or stop it: a scheduled run goes on from there"
        )
    return here or registered(users_own())


def named(url: str) -> Api:
    """Return the server that PREFECT_API_URL names.

    Raises:
        UserError: it is not a URL, or the server does not answer.
    """
    hint = "start that server, or unset PREFECT_API_URL to have one started"
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise UserError(f"PREFECT_API_URL={url}: no address of a Prefect server; {hint}")
    api = Api(url.rstrip("/"), os.environ.get(AUTH))
    if not api.healthy(REACH_SECONDS):
        raise UserError(f"PREFECT_API_URL={url}: does not answer; {hint}")
    return api


def registered(path: Path) -> Api | None:
    """Return the server that is written in a file, if its process is alive and it answers."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        holder = Holder(**told["holder"])
        secret = (Path(told["home"]) / SECRET).read_text(encoding="utf-8").strip()
        api = Api(told["url"], secret)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if holder.host != socket.gethostname() or not alive(holder.pid, holder.started):
        return None
    return api if proves(api.url, secret) else None


def ends_with_a_build(path: Path) -> bool:
    """Whether the server that is written in a file belongs to a single build."""
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get("lone"))
    except (OSError, ValueError, AttributeError):
        return False


def register(path: Path, url: str, home: Path, lone: bool = False) -> None:
    """Write down this process's server for others to find; a `lone` one ends with its build."""
    told = {"url": url, "home": str(home), "lone": lone, "holder": asdict(myself())}
    write_json(path, told)


def unregister(path: Path) -> None:
    """Remove the entry of this process's server; leave one of another process unchanged."""
    try:
        holder = Holder(**json.loads(path.read_text(encoding="utf-8"))["holder"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if holder.host == socket.gethostname() and holder.pid == os.getpid():
        path.unlink(missing_ok=True)


def users_own() -> Path:
    """Return the file where `webtext serve` writes which server this user watches.

    Source of the path: the XDG base directory specification.
    """
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "webtext" / REGISTER


def pages_of(api: Api, home: Path) -> str:
    """Return the URL of the server's pages for a browser, and how the browser gets access.

    The secret is shown on a terminal only: other output may be read by other people.
    """
    pages = api.url.removesuffix("/api")
    if not api.auth or os.environ.get(URL):  # the user's own server
        return pages
    if sys.stderr.isatty():
        return f"{pages}{LOGIN}#{urllib.parse.quote(api.auth)}"
    return f"{pages} (log in with the text in {home / SECRET})"
