"""Which page a URL means: the form that is fetched, the key that tells two of them apart, the site.

Two forms, kept apart on purpose. `normalise` gives what is fetched: the URL as it was linked,
parsed as browsers parse it, so that nobody downstream reads another host or path out of the same
string. `key` folds what rarely tells two pages apart; it is compared and hashed, never fetched.

Source: WHATWG URL Standard, as implemented by ada-url; RFC 3986 section 6.2 for the key's
percent-encoding; the public suffix list that tldextract carries.
"""

import hashlib
import re
from functools import cache, lru_cache
from operator import itemgetter

import ada_url
import tldextract

from webtext.pipeline.core.shards import Directory
from webtext.pipeline.urls.named_lists import read_names

MAX_HOST = 253  # characters of a host name. Source: RFC 1035, section 2.3.4, less the final dots
MAX_LABEL = 63  # characters between two dots of one. Source: RFC 1035, section 2.3.4

# Every letter, digit and mark that needs no percent sign. Source: RFC 3986, section 2.3
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_percent = re.compile("%([0-9A-Fa-f]{2})?")
# The number of a visitor's session, which Java servers write into paths. Source: Jakarta Servlet
# specification, section 7.1.3
_session = re.compile(";jsessionid=[^/;]*", re.IGNORECASE)


class NotHttpError(ValueError):
    """A URL of another scheme, such as `ftp:` or `mailto:`, which nobody here fetches."""


def normalise(url: str) -> str:
    """Return the URL to fetch: WHATWG form, without credentials and fragment.

    >>> normalise("HTTP://user:secret@Example.com:80/a/../b c?utm_source=x#top")
    'http://example.com/b%20c?utm_source=x'
    >>> normalise("http://0x7f.1/")
    'http://127.0.0.1/'

    Raises:
        ValueError: not an absolute URL, or its host is one that no name server could know;
            `NotHttpError` where its scheme is neither http nor https.
    """
    href: str = ada_url.normalize_url(url)
    href, _, _ = href.partition("#")
    scheme, _, rest = href.partition("://")
    if scheme not in ("http", "https"):
        raise NotHttpError(f"{href[:80]}: wanted a scheme of http or https")
    authority, slash, path = rest.partition("/")
    if "@" in authority:  # a parsed URL has no other @ before its path
        authority = authority.rpartition("@")[2]
        href = f"{scheme}://{authority}{slash}{path}"
    check_host(without_port(authority))
    return href


def check_host(host: str) -> None:
    """Refuse a host name that no name server could know.

    Raises:
        ValueError: an empty or overlong part between dots, or an overlong name.
    """
    name = host.removesuffix(".")
    if ".." in host or host.startswith(".") or len(name) > MAX_HOST:
        raise ValueError(f"host {host[:80]}: wanted at most {MAX_HOST} characters, no empty part")
    if len(name) > MAX_LABEL and any(len(label) > MAX_LABEL for label in name.split(".")):
        raise ValueError(f"host {host[:80]}: wanted at most {MAX_LABEL} characters between dots")


def without_port(authority: str) -> str:
    """Return the host of `host`, `host:port` or `[address]:port`.

    >>> without_port("[::1]:8080"), without_port("example.com:8080")
    ('[::1]', 'example.com')
    """
    head, colon, port = authority.rpartition(":")
    return head if colon and port.isdigit() else authority


def key(url: str) -> str:
    """Return what all spellings of one page's URL have in common; idempotent.

    Folded: https and http, `www.`, the default ports, a final dot of the host, the fragment,
    tracking parameters and session numbers (data/tracking.txt), trailing slashes, the order of
    parameters of different names, and percent-encoding that means the same.

    >>> key("https://www.example.com:443/a/?b=1&utm_source=x&a=2#top")
    'http://example.com/a?a=2&b=1'

    Raises:
        ValueError: as `normalise`.
    """
    return forms(url)[1]


def forms(url: str) -> tuple[str, str, str]:
    """Return the URL to fetch, its key and its host, in one look.

    Most URLs are in normal form already; for those a pattern does at a third of the price what
    the parser does, and tests hold the two together.

    Raises:
        ValueError: as `normalise`.
    """
    found = _plain.fullmatch(url)
    if found is None or "/." in url or ".." in url or ";" in url:
        return _forms_by_parser(url)
    host, path, query = found.groups()
    name = plain_name(host)
    if name is None:
        return _forms_by_parser(url)
    url = url[: found.end("query")]
    if not path:
        end = found.end("host")
        url = f"{url[:end]}/{url[end:]}"
    folded = f"http://{name}{path.rstrip('/')}"
    if query and (query := key_query(query[1:])):
        folded = f"{folded}?{query}"
    return url, folded, host


def _forms_by_parser(url: str) -> tuple[str, str, str]:
    normal = normalise(url)
    return normal, key_of_normal(normal), host_of_normal(normal)


# A URL that the parser gives back as it is (but for the slash of an empty path and the fragment),
# if its host is plain: a path without percent signs; a query of what needs no escape there. `forms`
# sees to the rest: no part that begins with a dot, no number of a session. RE2, by which Arrow
# reads whole columns, takes both patterns for the same.
PLAIN = (
    r"https?://(?P<host>[a-z0-9.-]+)"
    r"(?P<path>(?:/[A-Za-z0-9_~!$&'()*+,;=:@/.-]*)?)"
    r"(?P<query>(?:\?[A-Za-z0-9_~!$&()*+,;=:@/?.%-]*)?)"
)
FRAGMENT = "(?:#[!-~]*)?"
_plain = re.compile(PLAIN + FRAGMENT)
_plain_host = re.compile(r"(?:www\.)?([a-z0-9.-]+\.[a-z]{2,})")


@lru_cache(1 << 16)
def plain_name(host: str) -> str | None:
    """Return a host without `www.`, None if it is not plain.

    Plain is one of lower case that ends in letters, so that it is no address; without an empty
    label, and with nothing that IDNA would look into.

    >>> plain_name("www.example.com"), plain_name("www.com"), plain_name("127.0.0.1")
    ('example.com', 'www.com', None)
    """
    found = _plain_host.fullmatch(host)
    if found is None or len(host) > MAX_LABEL or host[0] == "." or ".." in host or "xn--" in host:
        return None
    name: str = found[1]
    return None if name.startswith("www.") and "." in name[4:] else name


def key_of_normal(url: str) -> str:
    """Return the key of a URL that `normalise` returned."""
    authority, _, rest = url.partition("://")[2].partition("/")
    path, _, query = rest.partition("?")
    if "%" in path:
        path = _percent.sub(_respelt, path)
    if ";" in path:
        path = _session.sub("", path)
    folded = f"http://{key_host(authority)}/{path}".rstrip("/")
    if query:
        query = key_query(query)
    return f"{folded}?{query}" if query else folded


def key_host(authority: str) -> str:
    """Return the host without `www.`, final dot and default port.

    A name of one part is never left: www.com and com are not the same site. Either scheme's
    default port goes whatever the scheme is, because the key forgets the scheme.
    """
    host = without_port(authority)
    port = authority[len(host) + 1 :]
    host = host.removesuffix(".")
    while host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    return host if port in ("", "80", "443") else f"{host}:{port}"


def key_query(query: str) -> str:
    """Return the parameters that say which page is meant, in the order of their names.

    Values of one name keep their order, which can matter (`?sort=date&sort=title`).

    >>> key_query("b=1&fbclid=x&a=2&&b=0")
    'a=2&b=1&b=0'
    """
    if "%" in query:
        query = _percent.sub(_respelt, query)
    if "&" not in query:  # most queries
        return "" if _tracks(query.partition("=")[0]) else query
    pairs = [part.partition("=") for part in query.split("&") if part]
    pairs = [pair for pair in pairs if not _tracks(pair[0])]
    if len(pairs) > 1:
        pairs.sort(key=itemgetter(0))
    return "&".join(["".join(pair) for pair in pairs])


@lru_cache(1 << 12)  # few names make up most
def _tracks(name: str) -> bool:
    """Whether a parameter of this name tells who came, not what they came for."""
    whole, beginnings = tracking_parameters()
    lowered = name.lower()
    return lowered in whole or lowered.startswith(beginnings)


def _respelt(match: re.Match[str]) -> str:
    """Spell one percent sign as RFC 3986 wants it, section 6.2.2; a stray one becomes %25."""
    if match[1] is None:
        return "%25"
    character = chr(int(match[1], 16))
    return character if character in UNRESERVED else match[0].upper()


@cache
def tracking_parameters() -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the names in data/tracking.txt, and the beginnings of others."""
    entries = read_names("tracking.txt")
    beginnings = tuple(sorted(entry[:-1] for entry in entries if entry.endswith("*")))
    return frozenset(entry for entry in entries if not entry.endswith("*")), beginnings


def url_id(url: str) -> str:
    """Return the id that a page's rows carry everywhere: 16 hexadecimal digits of its key's sha256.

    >>> url_id("https://example.com/") == url_id("http://www.example.com/#about")
    True

    Raises:
        ValueError: as `normalise`.
    """
    return key_id(key(url))


def text_id(name: str) -> str:
    """Return the id of a text that is called by a URL, or by any other name.

    >>> text_id("http://example.com/") == url_id("http://example.com/")
    True
    """
    try:
        return url_id(name)
    except ValueError:
        return key_id(f"text {name}")


def key_id(key: str) -> str:
    """Return the id of a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def host(url: str) -> str:
    """Return the host of a URL, without its port.

    >>> host("http://news.example.co.uk:8080/a")
    'news.example.co.uk'

    Raises:
        ValueError: as `normalise`.
    """
    return host_of_normal(normalise(url))


def host_of_normal(url: str) -> str:
    """Return the host of a URL that `normalise` returned."""
    return without_port(url.partition("://")[2].partition("/")[0])


def domain(url_or_host: str) -> str:
    """Return the registrable domain, or the host itself where there is none (an IP, localhost).

    Hosting services count as one domain (`github.io`), as do all other names under it: only the
    suffixes of registries are looked at, not the list's private part.

    >>> domain("http://news.example.co.uk/a"), domain("a.github.io"), domain("127.0.0.1")
    ('example.co.uk', 'github.io', '127.0.0.1')

    Raises:
        ValueError: as `normalise`, if given a URL.
    """
    return registrable(host(url_or_host) if "://" in url_or_host else url_or_host.lower())


@lru_cache(1 << 16)
def registrable(host: str) -> str:
    """Return the registrable domain of a host in lower case, or the host where there is none."""
    name = host.removesuffix(".")
    return _suffixes().extract_str(name).top_domain_under_public_suffix or name


def is_public_suffix(host: str) -> bool:
    """Whether a host in lower case is a suffix of registries, under which are many owners' sites.

    >>> is_public_suffix("gov.uk"), is_public_suffix("www.gov.uk"), is_public_suffix("github.io")
    (True, False, False)
    """
    name = host.removesuffix(".")
    return bool(name) and _suffixes().extract_str(name).suffix == name


@cache
def _suffixes() -> tldextract.TLDExtract:
    """Load the bundled list: no network, and no cache written beside the package or at home."""
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def public_suffixes() -> list[str]:
    """Return the rules by which `registrable` goes, as the public suffix list spells them."""
    return _suffixes().tlds


@lru_cache(1 << 16)
def bucket(domain: str, buckets: int) -> int:
    """Return the shard of a domain's pages, so that one worker owns a whole site.

    >>> bucket("example.com", 1)
    0
    """
    return int.from_bytes(hashlib.sha256(domain.encode()).digest()[:8], "big") % buckets


def shard_of(directory: Directory, domain: str, under: str = "") -> int:
    """Return the shard of a directory that rows of a domain fall into."""
    return bucket(domain, max(len(directory.numbers(under)), 1))
