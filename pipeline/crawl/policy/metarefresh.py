"""The redirect within a page: `<meta http-equiv="refresh" content="0; url=...">`.

A header `Refresh: 0; url=...` says the same, and is read by the same rule.

Sites that moved often say so only in their markup, on a page that holds nothing else. Only a
refresh without a wait counts as a redirect, as for search engines: a page with a wait is a page
to read, or a slide show, or a page that reloads itself. A refresh in `noscript` is for browsers
without scripts, and often leads to a page that only says that scripts are needed.
"""

import html
import re
from contextlib import suppress

import ada_url

from webtext.pipeline.crawl.http.messages import text
from webtext.pipeline.crawl.policy import markup

# Read in one pass without backtracking, so that a page of unclosed elements is not slow.
_token = re.compile(
    rb"<!--|-->|<(/?)(noscript|script|style|template|title|textarea)\b|<meta\b([^<>]{1,4000})>",
    re.IGNORECASE,
)
# Zero whole seconds, perhaps a fraction, a separator, and the URL, with or without a name and
# quotes. Source: HTML Living Standard, "shared declarative refresh steps".
_base = re.compile(rb"<base\b([^<>]{1,4000})>", re.IGNORECASE)
_unread = re.compile(
    rb"<!--.*?(?:-->|\Z)|<(script|style|template|title)\b.*?(?:</\1|\Z)", re.IGNORECASE | re.DOTALL
)
_at_once = re.compile(
    r"\s*(?:0+[\d.]*|\.[\d.]*)(?:\s*[;,]\s*|\s+)(?:url\s*=\s*)?(?:\"([^\"]*)|'([^']*)|(.*))",
    re.IGNORECASE | re.DOTALL,
)


def target(body: bytes, url: str, metas: list[bytes] | None = None) -> str | None:
    """Return the target of the immediate refresh in page `body` of `url`, None without one.

    `metas` are its meta elements, if they are known already.

    It is relative to the page's base element, if it has one.

    >>> target(b'<meta http-equiv=Refresh content="0;URL=/new">', "http://example.com/old")
    'http://example.com/new'
    """
    if b"refresh" not in b"".join(markup.metas(body) if metas is None else metas).lower():
        return None  # nearly every page
    head = markup.head(body)
    if (base := _base.search(_unread.sub(b"", head))) is not None:
        href = text(markup.attributes(base[1]).get(b"href", b""))
        with suppress(ValueError):
            url = str(ada_url.join_url(url, href))
    return stated(_refresh(head), url)


def stated(refresh: str, url: str) -> str | None:
    """Return the target of a refresh without a wait on `url`, None if it has none.

    >>> stated("0; url=/new", "http://example.com/old"), stated("5; url=/", "http://example.com/")
    ('http://example.com/new', None)
    """
    found = _at_once.match(refresh)
    location = next(filter(None, found.groups()), "").strip() if found else ""
    try:
        return str(ada_url.join_url(url, location)) if location else None
    except ValueError:
        return None


def _refresh(head: bytes) -> str:
    """Return the content of the first refresh that a browser with scripts obeys, "" if none."""
    inside = b""  # the comment or element whose end is searched for
    for token in _token.finditer(head):
        end, name, attributes = token.groups()
        if inside == b"<!--":
            inside = b"" if token[0] == b"-->" else inside
        elif inside:
            inside = b"" if end and name.lower() == inside else inside
        elif token[0] == b"<!--":
            inside = b"<!--"
        elif name and not end:
            inside = name.lower()
        elif attributes:
            pairs = markup.attributes(attributes)
            if pairs.get(b"http-equiv", b"").strip().lower() == b"refresh":
                return html.unescape(text(pairs.get(b"content", b"")))
    return ""
