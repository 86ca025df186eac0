"""The ways in which a page says that it is not for training, read from headers and markup.

Six vocabularies are in use and no site uses them all, so all are read; all signals are recorded
whether or not the recipe enforces them. `noindex` and similar rules are for search engines and
have another purpose: recorded, never enforced.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from webtext.pipeline.crawl.http.messages import Head
from webtext.pipeline.crawl.policy import markup

MAX_SIGNALS = 20  # kept per page
MAX_TEXT = 200  # characters kept per signal

# The rules against training in X-Robots-Tag and meta robots.
# Source: DeviantArt's noai (2022), adopted by img2dataset; noml as proposed to it.
RESERVING = frozenset({"noai", "noml"})
RECORDED = RESERVING | {"noindex", "none", "noarchive", "noimageai"}

# From the most to the least specific; the first one that states a preference decides.
# Source: draft-ietf-aipref-vocab; the last two are the names of its earlier versions.
USAGES = ("train-genai", "genai", "train-ai", "ai", "tdm", "bots")


class Signal(NamedTuple):
    """One statement of a page about its use."""

    text: str  # its place and its text
    reserves: bool  # whether it forbids training

    @classmethod
    def of(cls, where: str, what: str, reserves: bool) -> "Signal":
        """Make a signal, cut to the characters that are kept."""
        return cls(f"{where}: {' '.join(what.split())}"[:MAX_TEXT], reserves)


def in_headers(head: Head, product: str) -> tuple[Signal, ...]:
    """Return the headers' signals for everybody or for `product`, our name in robots.txt."""
    found: list[Signal] = []
    for value in head.every("X-Robots-Tag"):
        found += [
            Signal.of("x-robots-tag", word, word in RESERVING)
            for word in addressed(value, product)
            if word in RECORDED
        ]
    found += [
        Signal.of("tdm-reservation", value, value.strip() == "1")
        for value in head.every("TDM-Reservation")
    ]
    found += [
        Signal.of("content-usage", value, usage_reserved(value))
        for value in head.every("Content-Usage")
    ]
    found += [
        Signal.of("content-signal", value, signal_reserved(value))
        for value in head.every("Content-Signal")
    ]
    return _first(found)


def signal_reserved(value: str) -> bool:
    """Tell whether a Content-Signal, which Cloudflare writes for sites, forbids training.

    Source: https://contentsignals.org/; an unstated use is neither granted nor forbidden

    >>> signal_reserved("search=yes, ai-train=no"), signal_reserved("search=yes,ai-input=no")
    (True, False)
    """
    stated = {part.replace(" ", "").lower() for part in value.replace(";", ",").split(",")}
    return "ai-train=no" in stated


def addressed(value: str, product: str) -> Iterator[str]:
    """Return the rules of one X-Robots-Tag that apply to us, in lower case.

    A name before a colon addresses one robot; the rules after it are for that robot.

    >>> list(addressed("noindex, NoAI", "webtext")), list(addressed("otherbot: noai", "webtext"))
    (['noindex', 'noai'], [])
    """
    ours = True
    for part in value.lower().split(","):
        name, colon, rule = part.partition(":")
        if not colon:
            rule = name
        elif name.strip().replace("_", "-") in VALUED:
            continue
        elif not re.fullmatch(r"[a-z0-9*_-]+", name.strip()):
            continue  # the time of a date that has a comma, as in "sat, 25 jul 2026 15:00:00 gmt"
        else:
            ours = name.strip() in ("*", product.lower())
        if ours:
            yield rule.strip()


# Rules that have a value of their own after a colon. Source: Google Search Central, robots meta tag
VALUED = frozenset({"unavailable-after", "max-snippet", "max-image-preview", "max-video-preview"})


def usage_reserved(value: str) -> bool:
    """Tell whether a Content-Usage preference forbids training a text model.

    >>> usage_reserved("train-ai=n"), usage_reserved("bots=n, train-ai=y")
    (True, False)
    """
    stated: dict[str, str] = {}
    for part in value.lower().split(","):
        key, _, rest = part.partition("=")
        stated[key.strip()] = rest.partition(";")[0].strip()
    return next((stated[name] == "n" for name in USAGES if stated.get(name) in ("y", "n")), False)


def in_markup(body: bytes, product: str, metas: list[bytes] | None = None) -> tuple[Signal, ...]:
    """Return the signals in a page's meta elements for everybody or for `product`.

    `metas` are these elements, if they are known already.
    """
    names = (b"robots", b"tdm-reservation", product.lower().encode())
    metas = markup.metas(body) if metas is None else metas
    if not _named(b"\n".join(metas).lower(), names):
        return ()  # true for most pages, and parsing the attributes is slow
    return _first(
        signal for meta in metas if _named(meta.lower(), names) for signal in _said(meta, product)
    )


def _first(found: Iterable[Signal]) -> tuple[Signal, ...]:
    """Return as many as are kept; those that reserve a use come before others."""
    return tuple(sorted(found, key=lambda signal: not signal.reserves)[:MAX_SIGNALS])


def _named(attributes: bytes, names: tuple[bytes, ...]) -> bool:
    return any(map(attributes.__contains__, names))


def _said(meta: bytes, product: str) -> Iterable[Signal]:
    pairs = markup.attributes(meta)
    name = pairs.get(b"name", b"").decode("latin-1").strip().lower()
    content = pairs.get(b"content", b"").decode("latin-1").strip().lower()
    if name in ("robots", product.lower()):
        for word in content.split(","):
            if (rule := word.strip()) in RECORDED:
                yield Signal.of(f"meta {name}", rule, rule in RESERVING)
    elif name == "tdm-reservation":
        yield Signal.of("meta tdm-reservation", content, content == "1")
