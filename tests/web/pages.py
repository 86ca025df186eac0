"""What a page may be: its status, its type, its certificate, its reservations."""

from datetime import UTC, datetime
from email.utils import format_datetime

from tests.web.case import (
    ALLOW,
    HTML,
    Case,
    dripping,
    head,
    kept,
    lost,
    page,
    plain,
    ruled,
    turned,
)
from tests.web.robots import DENY
from tests.web.server import Peer, Site

PAST = format_datetime(datetime(1999, 1, 1, tzinfo=UTC), usegmt=True)


def busy(
    number: int, name: str, asks: str, seconds: float | None, status: str = "429 Busy"
) -> Case:
    reason = "http_429" if status.startswith("429") else "http_5xx"
    says = f"{status[:3]} with Retry-After: {asks}"
    answer = plain(b"", status, f"Retry-After: {asks}")
    return lost(number, name, says, answer, reason, again=True, retry_after=seconds)


STATUSES = (
    busy(45, "retry-soon", "120", 120.0),
    busy(45, "retry-503", "120", 120.0, "503 Busy"),
    busy(45, "retry-years", "99999999", 86_400.0),
    busy(45, "retry-overflow", "9" * 400, 86_400.0),
    busy(45, "retry-negative", "-5", None),
    busy(45, "retry-past", PAST, 0.0),
    busy(45, "retry-far", "Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
    busy(45, "retry-nonsense", "soon", None),
    lost(
        46,
        "always-429",
        "429 to everything",
        plain(b"", "429 Busy"),
        "http_429",
        again=True,
        value=429,
    ),
    lost(
        47,
        "forbidden",
        "403 with a page that says why",
        page(status="403 No"),
        "http_4xx",
        value=403,
    ),
    lost(47, "gone", "410", plain(b"", "410 Gone"), "http_4xx", value=410, again=False),
    kept(47, "login", "200 with a page that asks for a login", page(), body=HTML),
    kept(48, "soft-404", "200 for every path", page(), path="/no/such/page"),
    lost(47, "broken", "500", plain(b"", "500 Oops"), "http_5xx", value=500),
    lost(
        67,
        "unmodified",
        "304 to what was asked without a condition",
        head(status="304 Not Modified"),
        "http_other",
    ),
    lost(
        9,
        "partial",
        "206 to what was asked whole",
        page(status="206 Partial"),
        "http_other",
        value=206,
    ),
    kept(
        68,
        "odd-dates",
        "dates that are none",
        page(
            HTML, "Date: yesterday", "Expires: -1", "Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT"
        ),
    ),
)

WORD = "none of them hostile"
FRENCH = "Le café est fermé à midi, où l’été s’achève déjà."
CHINESE = "这是一个普通的网页，上面有一些普通的文字，没有任何恶意。"
JAPANESE = "これは普通のページで、普通の文章が書かれています。"


def written(sentence: str, charset: str) -> bytes:
    """Return a page that says a sentence often enough for the charset to be told from it."""
    return f"<html><body><article><p>{sentence * 20}</p></article></body></html>".encode(charset)


REFRESH = b'<meta http-equiv="refresh" content="%s">'


def refreshing(content: str) -> bytes:
    return page(REFRESH % content.encode() + HTML)


async def refreshing_inside(peer: Peer) -> None:
    await peer.send(refreshing(f"0;url=http://127.0.0.1:{peer.trap}/"))


async def to_ever_further(peer: Peer) -> None:
    await peer.send(refreshing(f"0;url={peer.path}x"))


TYPES = (
    kept(
        49,
        "charset-lies",
        "a charset that does not exist",
        page(HTML, kind="text/html; charset=nonsense-8"),
        text=WORD,
    ),
    kept(
        49,
        "header-lies",
        "UTF-8 by header, Windows-1252 in truth",
        page(written(FRENCH, "cp1252"), kind="text/html; charset=utf-8"),
        text=FRENCH,
    ),
    kept(
        49,
        "mark-and-meta",
        "a byte order mark of UTF-8, Latin-1 by header and markup",
        page(
            b"\xef\xbb\xbf<meta charset=iso-8859-1>" + written(FRENCH, "utf-8"),
            kind="text/html; charset=iso-8859-1",
        ),
        text=FRENCH,
    ),
    kept(50, "utf-16", "UTF-16 without a mark", page(HTML.decode().encode("utf-16-le")), text=WORD),
    kept(
        50,
        "utf-16-mark",
        "UTF-16 with one",
        page(HTML.decode().encode("utf-16"), kind=""),
        text=WORD,
    ),
    kept(
        50,
        "utf-7",
        "UTF-7, which no browser reads any more",
        page(HTML.replace(b"<p>", b"<p>+ADw-script+AD4-"), kind="text/html; charset=utf-7"),
        text=WORD,
    ),
    kept(50, "gb18030", "GB18030, undeclared", page(written(CHINESE, "gb18030")), text=CHINESE),
    kept(
        50,
        "shift-jis",
        "Shift-JIS, undeclared",
        page(written(JAPANESE, "shift-jis")),
        text=JAPANESE,
    ),
    kept(
        50,
        "mixed",
        "UTF-8 with a few bytes of Windows-1252",
        page(HTML.replace(b"</p>", "é".encode() * 9 + b" caf\xe9 \x93so\x94</p>")),
        text=WORD,
    ),
    kept(
        51,
        "nul-in-text",
        "NULs between the words",
        page(HTML.replace(b" words", b" wo\0rds")),
        text=WORD,
    ),
    kept(52, "no-type", "HTML without a Content-Type", page(kind=""), body=HTML),
    *(
        lost(
            52,
            f"html-is-{name}",
            f"text/html that is {name}",
            page(magic + b"x" * 900),
            "wrong_type",
        )
        for name, magic in {
            "pdf": b"%PDF-1.7\n",
            "png": b"\x89PNG\r\n\x1a\n",
            "zip": b"PK\x03\x04",
            "noise": bytes(range(32)) * 9,
        }.items()
    ),
    lost(
        52,
        "no-type-pdf",
        "a PDF without a Content-Type",
        page(b"%PDF-1.7\n", kind=""),
        "wrong_type",
    ),
    lost(
        52,
        "image",
        "an image that says so",
        page(b"\x89PNG\r\n\x1a\n", kind="image/png"),
        "wrong_type",
    ),
    lost(
        52,
        "endless-image",
        "an image without end, that says so in its header",
        dripping(head("Content-Type: image/png"), b"x" * 999),
        "wrong_type",
    ),
    lost(52, "json", "JSON", page(b'{"a": 1}', kind="application/json"), "wrong_type"),
    kept(
        53,
        "octets",
        "HTML as application/octet-stream",
        page(kind="application/octet-stream"),
        body=HTML,
    ),
    lost(
        53,
        "octets-zip",
        "a zip as application/octet-stream",
        page(b"PK\x03\x04" + b"x" * 99, kind="application/octet-stream"),
        "wrong_type",
    ),
    kept(
        53, "xhtml", "XHTML as XML", page(b'<?xml version="1.0"?>\n' + HTML, kind="application/xml")
    ),
    lost(
        53,
        "feed",
        "a feed as XML",
        page(b'<?xml version="1.0"?><rss></rss>', kind="text/xml"),
        "wrong_type",
    ),
    Case(
        63,
        "refresh",
        "a page that sends its readers on at once, by meta refresh",
        Site(refreshing("0;url=/x"), paths={"/x": page()}),
        None,
        body=HTML,
        final="http://refresh.test/x",
    ),
    kept(
        63,
        "refresh-twice",
        "each page sends on to a further one; one such step is made",
        to_ever_further,
        final="http://refresh-twice.test/x",
    ),
    kept(
        63,
        "refresh-later",
        "a page that asks to be left after five seconds",
        refreshing("5;url=/x"),
        never="/x",
    ),
    kept(
        63,
        "refresh-noscript",
        "one for browsers without scripts alone",
        page(b"<noscript>" + REFRESH % b"0;url=/x" + b"</noscript>" + HTML),
        never="/x",
    ),
    kept(63, "refresh-to-file", "one to a local file", refreshing("0;url=file:///etc/passwd")),
    kept(63, "refresh-self", "one to itself", refreshing("0;url=/")),
    lost(
        63,
        "refresh-inside",
        "one into the crawler's network",
        refreshing_inside,
        "blocked_address",
    ),
    Case(
        63,
        "refresh-denied",
        "one to what the host's robots.txt denies",
        Site(refreshing("0;url=/secret"), plain(b"User-agent: *\nDisallow: /secret\n")),
        "crawl.robots_denied",
        never="/secret",
    ),
    kept(
        63,
        "script-redirect",
        "a redirect by script, which is not run",
        page(b"<script>location.href = '/x'</script>" + HTML),
        never="/x",
    ),
)


OPT_OUTS = (
    lost(
        66,
        "header-noai",
        "X-Robots-Tag: noai",
        page(HTML, "X-Robots-Tag: noindex, NoAI"),
        "opted_out",
    ),
    lost(66, "header-noml", "X-Robots-Tag: noml", page(HTML, "X-Robots-Tag: noml"), "opted_out"),
    lost(
        66, "header-ours", "the same, to us", page(HTML, "X-Robots-Tag: webtext: noai"), "opted_out"
    ),
    kept(66, "header-others", "the same, to another", page(HTML, "X-Robots-Tag: otherbot: noai")),
    kept(66, "header-noindex", "X-Robots-Tag: noindex", page(HTML, "X-Robots-Tag: noindex")),
    lost(
        66,
        "meta-noai",
        "meta robots noai",
        page(HTML.replace(b"<title>", b'<META content="noai, noimageai" name=Robots><title>')),
        "opted_out",
    ),
    lost(
        66,
        "meta-tdm",
        "meta tdm-reservation",
        page(HTML.replace(b"<title>", b"<meta name='tdm-reservation' content='1'><title>")),
        "opted_out",
    ),
    lost(66, "header-tdm", "TDM-Reservation: 1", page(HTML, "TDM-Reservation: 1"), "opted_out"),
    kept(66, "header-no-tdm", "TDM-Reservation: 0", page(HTML, "TDM-Reservation: 0")),
    lost(
        66,
        "usage",
        "Content-Usage: train-ai=n",
        page(HTML, "Content-Usage: train-ai=n"),
        "opted_out",
    ),
    kept(
        66,
        "usage-yes",
        "Content-Usage: bots=n, train-ai=y",
        page(HTML, "Content-Usage: bots=n, train-ai=y"),
    ),
    ruled(
        66,
        "usage-robots",
        "Content-Usage in robots.txt",
        plain(ALLOW + b"Content-Usage: /blog train-ai=n\n"),
        "opted_out",
        path="/blog/1",
        never="/blog/1",
    ),
    ruled(
        66,
        "usage-elsewhere",
        "the same, for other pages",
        plain(ALLOW + b"Content-Usage: /blog train-ai=n\n"),
        None,
    ),
    kept(
        66,
        "opt-out-recorded",
        "noai, where the recipe only records it",
        page(HTML, "X-Robots-Tag: noai"),
        settings={"enforce_opt_out": False},
    ),
    ruled(
        37,
        "robots-ignored",
        "rules that the recipe ignores",
        plain(DENY),
        None,
        settings={"respect_robots": False},
    ),
    turned(
        30,
        "relative",
        "a redirect relative to its page",
        "../b c",
        None,
        path="/",
        final="http://relative.test/b%20c",
    ),
)
