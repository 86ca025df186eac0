"""Protect the Prefect server that we start: only this user's processes and browser may use it.

A port of loopback is open to every user of the machine and to every page that a browser shows. So
the API requires a secret from a file of the user's, and `Door`, in front of it, rejects requests
from pages of other sites: by the Origin header, and by the Host header against DNS rebinding.
"""

import base64
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

SECRET = "secret"  # noqa: S105 -- the name of the file, below PREFECT_HOME
SECRET_BYTES = 32  # of random data. Source: the default of Python's `secrets`
LOGIN = "/webtext"  # the page that gives the secret to Prefect's own pages
PROOF = "/webtext/proof"  # where the server proves that it knows the secret
REPORT = "/webtext/report"  # the page that shows the report of the served data directory
REPORT_FILE = "/webtext/report.html"  # the report itself, for who knows the secret

# Prefect's pages run scripts of their own, also inline ones; whatever they ask for must come from
# here. Without this its login page asks a maker of statistics for settings, although
# PREFECT_SERVER_ANALYTICS_ENABLED is false: it cannot read that setting before the login.
POLICY = (
    b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; form-action 'self'; "
    b"base-uri 'self'; frame-ancestors 'none'"
)

# Both versions of Prefect's pages look for the secret in base64 under this name.
PAGE = b"""<!doctype html><meta charset="utf-8"><title>webtext</title>
<p>This page needs JavaScript, as Prefect's do.</p>
<script>
localStorage.setItem("prefect-password", btoa(decodeURIComponent(location.hash.slice(1))));
location.replace("/");
</script>
"""

# A link cannot carry the secret, so the page asks for the report with it. The report may run no
# script, wherever its text comes from: the frame is a sandbox.
SHOWING = b"""<!doctype html><meta charset="utf-8"><title>webtext: the report</title>
<style>html,body,iframe{margin:0;border:0;width:100%;height:100%;display:block}</style>
<script>
fetch("/webtext/report.html",
  {headers: {Authorization: "Basic " + localStorage.getItem("prefect-password")}})
  .then(async (answer) => {
    const said = await answer.text();
    const frame = document.createElement("iframe");
    frame.setAttribute("sandbox", "");
    frame.title = "the report";
    if (answer.ok) { frame.srcdoc = said; document.body.append(frame); }
    else document.body.textContent = said;
  });
</script><body></body>
"""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def secret_of(home: Path) -> str:
    """Return the secret of the Prefect server that keeps its state in `home`; make it if missing.

    Only the user may access the file; one that others could have read or written is replaced.
    """
    path = home / SECRET
    try:
        found = path.lstat()
        ours = found.st_uid == os.getuid() and stat.S_ISREG(found.st_mode)
        if ours and not found.st_mode & 0o077 and (kept := path.read_text().strip()):
            return kept
        path.unlink()
    except FileNotFoundError:
        pass
    made = f"webtext:{secrets.token_urlsafe(SECRET_BYTES)}"
    # Under its name it is whole at once: another process may make or read it at the same time.
    partial = home / f"{SECRET}.{secrets.token_hex(8)}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(made + "\n")
        try:
            path.hardlink_to(partial)
        except FileExistsError:  # another process was quicker
            return secret_of(home)
        except OSError:  # a disk without hard links
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return made


def proof(secret: str, challenge: str) -> str:
    """Return the answer to a challenge, which only a process that knows the secret can compute."""
    return hmac.new(secret.encode(), challenge.encode(), hashlib.sha256).hexdigest()


class Door:
    """An ASGI application in front of another one, which lets in requests from this machine only.

    It does not check the secret, but for the report: the application behind it does that.
    """

    def __init__(self, app: App, port: int, secret: str, report: Path | None = None) -> None:
        self.app = app
        self.secret = secret
        self.report = report
        self.hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
        self.origins = {b"http://" + host for host in self.hosts}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif (why := self.objection(scope["headers"])) is not None:
            await refuse(scope["type"], why, receive, send)
        elif scope["type"] == "http" and scope["path"] == LOGIN:
            await answer(send, 200, PAGE, b"text/html; charset=utf-8")
        elif scope["type"] == "http" and scope["path"] == PROOF:
            shown = proof(self.secret, scope.get("query_string", b"").decode("latin-1"))
            await answer(send, 200, shown.encode())
        elif scope["type"] == "http" and scope["path"] == REPORT:
            await answer(send, 200, SHOWING, b"text/html; charset=utf-8")
        elif scope["type"] == "http" and scope["path"] == REPORT_FILE:
            await answer(send, *self.reported(scope["headers"]))
        else:
            await self.app(scope, receive, confined(send))

    def reported(self, headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes, bytes]:
        """Return the answer to a request for the report: status, body, content type."""
        kind = b"text/plain; charset=utf-8"
        wanted = b"Basic " + base64.b64encode(self.secret.encode())
        given = next((value for name, value in headers if name == b"authorization"), b"")
        if not hmac.compare_digest(given, wanted):
            return 401, b"webtext: log in on Prefect's pages first\n", kind
        try:
            if self.report is not None:
                return 200, self.report.read_bytes(), b"text/html; charset=utf-8"
        except OSError:
            pass
        return 404, b"webtext: no report yet; make one with: webtext report --data DATA\n", kind

    def objection(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        """Return why a request with these headers is rejected, None if it is accepted."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return "this server has another name"
        for name, value in headers:
            if name == b"origin" and value.lower() not in self.origins:
                return "pages of other sites have no access here"
            if name == b"sec-fetch-site" and value not in (b"same-origin", b"none"):
                return "pages of other sites have no access here"
        return None


def confined(send: Send) -> Send:
    """Return a `send` that lets a page ask no other site, and no other page show it in a frame."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            policy = (b"content-security-policy", POLICY)
            message["headers"] = [*message.get("headers", []), policy]
        await send(message)

    return sending


async def refuse(kind: str, why: str, receive: Receive, send: Send) -> None:
    """Reject a request, or a WebSocket before its handshake is complete."""
    if kind == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": why})
    else:
        await answer(send, 403, f"webtext: {why}\n".encode())


async def answer(
    send: Send, status: int, body: bytes, kind: bytes = b"text/plain; charset=utf-8"
) -> None:
    """Send a whole response that must not be cached."""
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"content-security-policy", POLICY),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
