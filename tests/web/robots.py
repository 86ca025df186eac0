"""What may stand in robots.txt, or in its place."""

import gzip
from collections.abc import Awaitable, Callable
from typing import Any

from tests.web.case import ALLOW, dripping, head, page, plain, resetting, ruled, silence, to
from tests.web.server import Peer

DENY = b"User-agent: *\nDisallow: /\n"


def hops(count: int) -> Callable[[Peer], Awaitable[None]]:
    """Redirect robots.txt `count` times, then deny everything."""

    async def answer(peer: Peer) -> None:
        here = int(peer.path.removeprefix("/hop") or 0) if "hop" in peer.path else 0
        await peer.send(plain(DENY) if here == count else to(f"/hop{here + 1}"))

    return answer


def hopping(count: int) -> dict[str, Any]:
    return {f"/hop{number}": hops(count) for number in range(1, count + 1)}


LONG = DENY + b"#" * 500
LINES = b"User-agent: *\n" + b"".join(b"Disallow: /a%d\n" % n for n in range(100_000))

ROBOTS = (
    *(
        ruled(
            37,
            f"robots-{status}",
            f"robots.txt answers {status}",
            plain(b"", f"{status} Error"),
            "robots_unreachable",
            again=True,
            never="/",
            robots=f"unreachable: status {status}",
        )
        for status in (500, 503)
    ),
    ruled(
        37,
        "robots-silent",
        "robots.txt does not come",
        silence,
        "robots_unreachable",
        again=True,
        never="/",
    ),
    ruled(
        37,
        "robots-slow",
        "robots.txt comes by the byte",
        dripping(head(), b"#"),
        "robots_unreachable",
        again=True,
        never="/",
    ),
    ruled(
        37,
        "robots-reset",
        "robots.txt breaks off with a reset",
        resetting(b"HTTP/1.1 2"),
        "robots_unreachable",
        again=True,
        never="/",
    ),
    ruled(
        37,
        "robots-half",
        "robots.txt ends too early",
        plain(DENY)[:-5],
        "robots_unreachable",
        again=True,
        never="/",
    ),
    ruled(
        37,
        "robots-tls",
        "robots.txt redirects to a host with an expired certificate",
        to("https://expired.test/robots.txt"),
        "robots_unreachable",
        again=True,
        never="/",
    ),
    ruled(
        37,
        "robots-nonsense",
        "robots.txt is not HTTP",
        b"nonsense",
        "robots_unreachable",
        never="/",
    ),
    *(
        ruled(
            38,
            f"robots-{status}",
            f"robots.txt answers {status}",
            plain(DENY, f"{status} No"),
            None,
            robots=f"allow: status {status}",
        )
        for status in (400, 401, 403, 404, 410)
    ),
    ruled(
        39,
        "robots-429",
        "robots.txt answers 429 with Retry-After",
        plain(b"", "429 Busy", "Retry-After: 7"),
        "robots_unreachable",
        again=True,
        retry_after=7.0,
        never="/",
    ),
    ruled(
        40,
        "robots-5-hops",
        "5 redirects to a robots.txt that denies",
        hops(5),
        "robots_denied",
        paths=hopping(5),
    ),
    ruled(
        40,
        "robots-6-hops",
        "6 of them",
        hops(6),
        None,
        paths=hopping(6),
        robots="allow: too many redirects",
    ),
    ruled(40, "robots-loop", "robots.txt redirects to itself", to("/robots.txt"), None),
    ruled(
        40,
        "robots-abroad",
        "robots.txt redirects to another host's, which denies",
        to("http://denying.test/robots.txt"),
        "robots_denied",
        path="/secret",
    ),
    ruled(
        41,
        "robots-long",
        "100,000 rules",
        plain(LINES),
        "robots_denied",
        path="/a9",
        robots="disallow: /a9",
    ),
    ruled(41, "robots-longer", "a rule beyond 512 KiB", plain(LINES + DENY), None),
    ruled(
        41,
        "robots-line",
        "one line of 2 MB",
        plain(b"User-agent: *" + b"#" * 2_000_000 + b"\n" + DENY),
        None,
    ),
    ruled(
        42,
        "robots-stars",
        "a rule that makes regular expressions run for years",
        plain(b"User-agent: *\nDisallow: /*a*a*a*a*a*a*a*b"),
        None,
        path="/" + "a" * 2000,
    ),
    ruled(43, "robots-html", "robots.txt is a web page", page(), None),
    ruled(
        43,
        "robots-bom",
        "it begins with a byte order mark",
        plain(b"\xef\xbb\xbf" + DENY),
        "robots_denied",
    ),
    ruled(
        43,
        "robots-nul",
        "it has NULs between its lines",
        plain(DENY.replace(b"\n", b"\0\n")),
        "robots_denied",
    ),
    ruled(
        43, "robots-utf16", "it is UTF-16", plain(DENY.decode().encode("utf-16")), "robots_denied"
    ),
    ruled(
        43,
        "robots-cr",
        "its lines end in CR alone",
        plain(DENY.replace(b"\n", b"\r")),
        "robots_denied",
    ),
    *(
        ruled(43, f"robots-{name}", says, answer, "robots_denied", robots="disallow: / (*)")
        for name, says, answer in (
            (
                "length-decoded",
                "it is coded, and its length is that of the decoded file",
                plain(LONG, "200 OK", "Content-Encoding: gzip").replace(LONG, gzip.compress(LONG)),
            ),
            (
                "not-gzip",
                "it is gzip by header alone",
                plain(DENY, "200 OK", "Content-Encoding: gzip"),
            ),
            ("unknown", "an encoding foo by name", plain(DENY, "200 OK", "Content-Encoding: foo")),
            ("length-word", "a length in words", head("Content-Length: much") + DENY),
            ("status-glued", "no blank after its status", plain(DENY, "200OK")),
        )
    ),
    ruled(43, "robots-random", "it is random bytes", plain(bytes(range(256)) * 50), None),
    ruled(
        43,
        "robots-ours",
        "the group of our name stands before the general one",
        plain(DENY + b"User-agent: WebText\nDisallow: /private\n"),
        None,
        robots="allow: no rule matches (webtext)",
    ),
    ruled(
        43,
        "robots-longest",
        "the longest match decides, not the first",
        plain(b"User-agent: *\nDisallow: /\nAllow: /pub*.html$\n"),
        None,
        path="/public/a.html",
        robots="allow: /pub*.html$",
    ),
    ruled(
        43,
        "robots-octets",
        "percent-encoded octets are the octets",
        plain("User-agent: *\nDisallow: /caf\xe9\n".encode()),
        "robots_denied",
        path="/caf%C3%A9/menu",
    ),
    ruled(43, "robots-empty", "it is empty", plain(b""), None),
    *(
        ruled(
            44,
            f"delay-{name}",
            f"Crawl-delay: {asked}",
            plain(ALLOW + f"Crawl-delay: {asked}\n".encode()),
            None,
            crawl_delay=seconds,
        )
        for name, asked, seconds in (
            ("some", "7", 7.0),
            ("years", "1e9", 60.0),
            ("infinite", "inf", None),
            ("negative", "-1", None),
            ("nan", "nan", None),
            ("tiny", "0.001", 0.001),
            ("word", "slowly", None),
        )
    ),
)
