"""Where a redirect may lead."""

from tests.web.case import head, lost, to, turned
from tests.web.server import Peer


async def ever_on(peer: Peer) -> None:
    await peer.send(to(f"/{len(peer.path)}{peer.path[1:]}"))


OTHER_SCHEMES = {
    "file": "///etc/passwd",
    "data": "text/html,<p>x",
    "ftp": "//ftp.test/x",
    "javascript": "alert(1)",
}

REDIRECTS = (
    turned(27, "redirect", "one redirect", "/b", None, final="http://redirect.test/b"),
    turned(27, "self-loop", "a redirect to itself", "/", "redirect_limit", value=1),
    lost(27, "chain", "a redirect to ever new pages", ever_on, "redirect_limit", value=6),
    turned(
        27,
        "ping-pong",
        "two in a ring",
        "/pong",
        "redirect_limit",
        paths={"/pong": to("/")},
        value=2,
    ),
    lost(28, "no-location", "302 without Location", head(status="302 Found"), "bad_redirect"),
    turned(28, "bad-location", "a Location that is no URL", "http://[::1", "bad_redirect"),
    turned(28, "empty-location", "an empty Location", "", "bad_redirect"),
    *(
        turned(30, f"to-{scheme}", f"a redirect to {scheme}:", f"{scheme}:{rest}", "bad_redirect")
        for scheme, rest in OTHER_SCHEMES.items()
    ),
    turned(
        35,
        "to-denied",
        "a redirect to what another host's robots.txt denies",
        "http://denying.test/secret",
        "robots_denied",
        robots="disallow: /secret (*)",
        final="http://denying.test/secret",
    ),
    *(
        turned(
            36,
            f"to-port-{port}",
            f"a redirect to port {port}",
            f"http://to-port-{port}.test:{port}/",
            "bad_redirect",
        )
        for port in (22, 25, 6379)
    ),
    turned(
        36,
        "to-http",
        "a redirect from https to http",
        "http://to-http.test/plain",
        None,
        scheme="https",
        final="http://to-http.test/plain",
    ),
)
