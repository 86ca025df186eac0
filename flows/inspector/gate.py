"""Protect the inspector: only who was given its secret may read the corpus, and only from here.

A port of loopback is open to every user of the machine and to every page that a browser shows. So
the address that is printed holds a secret, which becomes a cookie; the Host header is checked
against DNS rebinding, and Origin and Sec-Fetch-Site against pages of other sites. Text of the web
is hostile: the policy allows no script and no style but our own files, no request to anywhere
else, and no text that becomes markup (Trusted Types with no policy at all).
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
FIELD = "secret"
SECRET_BYTES = 32  # of random data. Source: the default of Python's `secrets`

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",  # with "no-referrer", our own forms have the origin "null"
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "x-dns-prefetch-control": "off",
}
FORBIDDEN = "webtext: open the address that `webtext inspect` printed; this one lacks its secret\n"


def new_secret() -> str:
    """Return a secret for one run of the inspector."""
    return secrets.token_urlsafe(SECRET_BYTES)


class Gate:
    """An ASGI application in front of another one, which lets in who knows the secret."""

    def __init__(self, app: ASGIApp, port: int, secret: str) -> None:
        self.app = app
        self.secret = secret
        self.cookie = f"webtext-{port}"  # cookies of all ports of a host are sent to each
        self.hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        sending = with_headers(send)
        headers = Headers(scope=scope)
        if why := self.objection(headers):
            await PlainTextResponse(f"webtext: {why}\n", 403)(scope, receive, sending)
        elif (given := self.given(scope)) is not None:
            await self.let_in(scope, given)(scope, receive, sending)
        elif not self.known(headers):
            await PlainTextResponse(FORBIDDEN, 403)(scope, receive, sending)
        else:
            await self.app(scope, receive, sending)

    def objection(self, headers: Headers) -> str | None:
        """Return why a request with these headers is rejected, None if it is accepted."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return "this server has another name"
        if any(origin.lower() not in self.origins for origin in headers.getlist("origin")):
            return "pages of other sites have no access here"
        came = headers.get("sec-fetch-site", "none")
        if came not in {"same-origin", "none"}:
            return "pages of other sites have no access here"
        return None

    def given(self, scope: Scope) -> str | None:
        """Return the secret in the address, if there is one."""
        pairs = parse_qsl(scope["query_string"].decode("latin-1"))
        return next((value for name, value in pairs if name == FIELD), None)

    def let_in(self, scope: Scope, given: str) -> PlainTextResponse | RedirectResponse:
        """Exchange the secret in the address for a cookie, so that no link or picture shows it."""
        if not self.right(given):
            return PlainTextResponse(FORBIDDEN, 403)
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        rest = urlencode([(name, value) for name, value in pairs if name != FIELD])
        path = "/" + scope["path"].lstrip("/\\")  # "//host" would be another server
        response = RedirectResponse(path + ("?" + rest) * bool(rest), 303)
        response.set_cookie(self.cookie, self.secret, httponly=True, samesite="strict")
        return response

    def known(self, headers: Headers) -> bool:
        """Whether a request has the cookie."""
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        return found is not None and self.right(found.value)

    def right(self, given: str) -> bool:
        """Whether this is the secret; the time taken does not tell how much of it is right."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.secret.encode())


def with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    """Return a `send` that adds the policy to every response."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
