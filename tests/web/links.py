"""How a link may be spelt, and how many links may mean one page."""

from tests.web.case import Case, head, linked, page
from tests.web.server import Peer, Site

HOMOGRAPH = "xn--80ak6aa92e.test"
MIXED = "xn--pypal-4ve.test"


async def days(peer: Peer) -> None:
    """Serve a page that links to as many further ones as there are days."""
    day = peer.path.count("next")
    links = "".join(f'<a href="{peer.path}/next/{n}">day {day + n}</a>' for n in range(31))
    await peer.send(page(f"<html><body>{links}</body></html>".encode()))


async def tomorrow(peer: Peer) -> None:
    year = int(peer.path.strip("/") or 2026)
    await peer.send(head(f"Location: /{year + 1}", "Content-Length: 0", status="302 Found"))


def refused(number: int, name: str, says: str, link: str) -> Case:
    return linked(number, name, says, link, "bad_url", alone=True)


LINKS = (
    Case(
        59,
        "homograph",
        "a name in Cyrillic that looks Latin",
        Site(page()),
        None,
        link="http://аррӏе.test/",
        hosts={HOMOGRAPH: Site(page())},
        same=(f"http://{HOMOGRAPH}/", "http://АРРӀЕ.test/"),
        final=f"http://{HOMOGRAPH}/",
    ),
    Case(
        59,
        "mixed-script",
        "a name in two scripts",
        Site(page()),
        None,
        link="http://pаypal.test/",
        hosts={MIXED: Site(page())},
        final=f"http://{MIXED}/",
    ),
    refused(59, "long-label", "a label of 64 letters", "http://" + "a" * 64 + ".test/"),
    refused(59, "empty-label", "a label of none", "http://empty..label.test/"),
    linked(
        59,
        "trailing-dot",
        "a dot at the end of the host",
        "http://trailing-dot.test./",
        None,
        same=("http://trailing-dot.test/",),
    ),
    refused(60, "long-url", "a URL of 64 kB", "http://long-url.test/" + "x" * 64_000),
    linked(
        60,
        "blanks",
        "blanks in and around a URL",
        "  http://blanks.test/a b ",
        None,
        final="http://blanks.test/a%20b",
    ),
    linked(
        60,
        "controls",
        "control characters in a path",
        "http://controls.test/a\tb\nc\x01",
        None,
        final="http://controls.test/abc",
    ),
    refused(60, "control-in-host", "a control character in a host", "http://control\x01.test/"),
    refused(60, "blank-in-host", "a blank in a host", "http://blank in.test/"),
    linked(
        60,
        "backslashes",
        "backslashes for slashes",
        "http:\\\\backslashes.test\\a",
        None,
        final="http://backslashes.test/a",
    ),
    linked(
        60,
        "backslash-at",
        "a backslash before an at sign and an inner address",
        "http://backslash-at.test\\@10.0.0.1/",
        None,
        final="http://backslash-at.test/@10.0.0.1/",
    ),
    linked(
        60,
        "credentials",
        "a name and a password, which are not sent",
        "http://user:secret-word@credentials.test/",
        None,
        final="http://credentials.test/",
    ),
    *(
        refused(61, f"port-{name}", f"port {port}", f"http://port-{name}.test:{port}/")
        for name, port in {
            "zero": "0",
            "beyond": "99999",
            "twice": "80:80",
            "word": "http",
            "ssh": "22",
            "redis": "6379",
        }.items()
    ),
    linked(
        62,
        "fragments",
        "links to places in one page",
        "http://fragments.test/a#top",
        None,
        same=("http://fragments.test/a#foot", "https://www.fragments.test/a/"),
        final="http://fragments.test/a",
    ),
    linked(
        62,
        "sessions",
        "the number of a session in each link",
        "http://sessions.test/a?PHPSESSID=1f3a&id=7",
        None,
        same=(
            "http://sessions.test/a?id=7&PHPSESSID=99ff",
            "http://sessions.test/a;jsessionid=0AF3?id=7",
            "http://sessions.test/a?id=7",
        ),
    ),
    Case(62, "calendar", "a page that links to ever further days", Site(days), None, alone=True),
    Case(
        62,
        "calendar-of-redirects",
        "a page that redirects to ever further years",
        Site(tomorrow),
        "crawl.redirect_limit",
        value=6,
    ),
)
