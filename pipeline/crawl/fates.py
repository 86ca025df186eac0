"""Every way in which a URL's crawl can end, in one closed list.

A URL is kept, or its outcome carries one of these in `dropped_by`. The texts are what `report`
and the documentation show; `value` says what `dropped_value` holds.
"""

from typing import Final

ROBOTS_DENIED: Final = "crawl.robots_denied"
ROBOTS_UNREACHABLE: Final = "crawl.robots_unreachable"
OPTED_OUT: Final = "crawl.opted_out"
FORGOTTEN: Final = "crawl.forgotten"
BAD_URL: Final = "crawl.bad_url"
BLOCKED_ADDRESS: Final = "crawl.blocked_address"
DNS: Final = "crawl.dns"
CONNECT: Final = "crawl.connect"
TLS: Final = "crawl.tls"
TIMEOUT: Final = "crawl.timeout"
TOO_SLOW: Final = "crawl.too_slow"
TOO_LARGE: Final = "crawl.too_large"
BAD_HTTP: Final = "crawl.bad_http"
BAD_ENCODING: Final = "crawl.bad_encoding"
BAD_REDIRECT: Final = "crawl.bad_redirect"
REDIRECT_LIMIT: Final = "crawl.redirect_limit"
HTTP_4XX: Final = "crawl.http_4xx"
HTTP_429: Final = "crawl.http_429"
HTTP_5XX: Final = "crawl.http_5xx"
HTTP_OTHER: Final = "crawl.http_other"
EMPTY: Final = "crawl.empty"
WRONG_TYPE: Final = "crawl.wrong_type"
HOST_GIVEN_UP: Final = "crawl.host_given_up"
OTHER_PART: Final = "crawl.other_part"

MEANING: Final[dict[str, str]] = {
    ROBOTS_DENIED: "robots.txt disallows the URL, or a URL that it redirects to",
    ROBOTS_UNREACHABLE: "robots.txt could not be had, which counts as a complete disallow",
    OPTED_OUT: "the page or its host reserves its use for training",
    FORGOTTEN: "it leads to what is left out because its owner asked for it (`webtext forget`)",
    BAD_URL: "not an http or https URL that may be fetched: its scheme, its spelling, or a port "
    'that is not in crawl.ports (value: the port; crawl.allow = ["HOST:PORT"] allows a site)',
    BLOCKED_ADDRESS: "the host's address is private, loopback or otherwise not public; "
    'crawl.allow = ["HOST"] or ["HOST:PORT"] allows a site of your own',
    DNS: "the host's name has no address",
    CONNECT: "no connection, or one that broke before a response",
    TLS: "no encrypted connection that could be trusted",
    TIMEOUT: "no connection or no first byte in time; value: seconds",
    TOO_SLOW: "the response was not whole when its time was up; value: seconds",
    TOO_LARGE: "the body was cut at its largest size; value: bytes",
    BAD_HTTP: "the answer was not HTTP that can be read",
    BAD_ENCODING: "the body's content encoding is unknown, nested too deep or broken",
    BAD_REDIRECT: "a redirect to nowhere, or to a URL that may not be fetched; value: its port, if "
    "that decided",
    REDIRECT_LIMIT: "more redirects than allowed; value: their number",
    HTTP_4XX: "status 4xx other than 429; value: the status",
    HTTP_429: "too many requests, at every attempt; value: 429",
    HTTP_5XX: "status 5xx; value: the status",
    HTTP_OTHER: "a status that no page comes with (1xx, 204, 3xx, 999); value: the status",
    EMPTY: "status 200 or 203 without a body",
    WRONG_TYPE: "not one of the content types asked for, by header or by its first bytes",
    HOST_GIVEN_UP: "the host failed too many times in a row; value: how many",
    OTHER_PART: "it was redirected to a host that another part of the crawl asks",
}

HOST_FAULTS: Final = frozenset({ROBOTS_UNREACHABLE, DNS, CONNECT, TLS, TIMEOUT, TOO_SLOW, HTTP_429})
"""Failures that tell of the host rather than of the page: enough in a row, and it is given up.

A 503 counts as well; it is told from other 5xx by the fetcher's wish to try again.
"""

PASSING: Final = frozenset({408, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524, 530})
"""Temporary statuses: overload, maintenance, and a content network's errors about the server."""

FINAL: Final = frozenset(
    {
        ROBOTS_DENIED,
        OPTED_OUT,
        TOO_LARGE,
        BAD_HTTP,
        BAD_ENCODING,
        BAD_REDIRECT,
        REDIRECT_LIMIT,
        HTTP_4XX,
        HTTP_OTHER,
        EMPTY,
        WRONG_TYPE,
    }
)
"""Failures that a later crawl with the same settings takes over: the host has answered.

All others may pass: it tries those again.
"""


def final(fate: str, status: int | None) -> bool:
    """Whether a failure with this status is taken over by later crawls."""
    return fate in FINAL and not (fate == HTTP_4XX and status in PASSING)
