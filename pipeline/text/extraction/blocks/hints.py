"""Hints from the names in a page's markup about the parts with these names.

Elements, roles, classes and ids are read as hints of two dozen kinds, a bit each: a menu, a share
button, a post of a thread. A class is split into its words ("mainMenu_item" is main, menu and
item), so that no list of class names is needed, and the hints of a word are cached, because pages
repeat their words.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

KEPT = 16384  # names whose hints are cached
LONGEST_NAME = 200  # characters of a class or id that are read

# A pattern of words for each kind of hint. A word is in lower case, of letters only.
WORDS = {
    "nav": r"^nav(?!y|el)|menu|breadcrumb|crumb",
    "header": r"header|masthead|banner|topbar",
    "footer": r"^foot(?!ball|age|wear|note)|colophon|copyright|legal",
    "aside": r"^side(?!w)|widget|^rail|aside",
    "comment": r"comment|disqus|respond|discussion",
    "related": r"relat|recommend|popular|trending|teaser|also|upsell|recirc|^more|latest|recent"
    r"|suggest|similar",
    "share": r"^shar(?:e|ing)|social|follow|twitter|facebook|whatsapp",
    "popup": r"cookie|consent|gdpr|modal|popup|overlay|drawer|toast|notice|offcanvas|lightbox"
    r"|tooltip|dialog|onetrust|^ot$|cybot|usercentrics|didomi|truste|trustarc|iubenda|osano|klaro"
    r"|borlabs|cmplz|termly|axeptio|tarteaucitron|evidon",
    "signup": r"newsletter|subscri|signup|login|signin|paywall|optin|mailchimp|donat|account",
    "meta": r"byline|author|date$|meta|^tags?$|categor|posted|published|timestamp|avatar|profile"
    r"|^user|^bio",
    "ad": r"^ads?$|advert|sponsor|dfp|promo|^gpt$|outbrain|taboola",
    "form": r"^form(?!at)|search|filter|facet|^sort|^input|^field",
    "hidden": r"^hid(?:e|den)|^sr$|visually|screen|^none$|^print$",
    "content": r"content|article|entry|story|^body|^main|^text|prose|markdown|^rte$|^rich|^copy$"
    r"|wysiwyg|editor|paragraph",
    "describe": r"descri|detail|^spec|overview|summary|feature|benefit|^about|^info|ingredient",
    "product": r"product|price|^cart|^sku|variant|swatch|^shop|^buy|stock|quantity|checkout"
    r"|shipping|wishlist|option",
    "review": r"review|rating|testimonial|quote|^star",
    "post": r"^posts?$|postbody|message|^msg|^repl(?:y|ies)|answer|question|thread|topic|bbcode"
    r"|bbwrapper|cooked|crawler",
    "sign": r"signature|^sig$|badge|reputation|karma|^vote|score|^points?$|control|action|^tool"
    r"|^edit|report|^like",
    "button": r"^btn|button|^cta$|^link",
    "fold": r"^tabs?$|tabpanel|accordion|^faq|collaps|toggle|expand|panel",
    "card": r"^cards?$|^tile|^items?$|^grid|slide|carousel|swiper|slick|gallery|thumb|^list|^loop"
    r"|^feed|result|archive",
    "page": r"^pag(?:er|inat)|^next|^prev|^toc$|^contents$|^index",
    "caption": r"caption|credit|figure|image|media|photo",
    "hero": r"^hero|title|headline|heading|intro|^lead$|jumbo|^deck$|kicker",
    "code": r"^code|highlight|syntax|prism|hljs",
    "note": r"^(?:foot|end)notes?$",
}
# Elements that are a hint by themselves, each kind with its own bit.
ELEMENTS = {
    "nav": ("nav", "menu"),
    "header": ("header",),
    "footer": ("footer",),
    "aside": ("aside",),
    "main": ("main",),
    "article": ("article",),
    "section": ("section",),
    "form": ("form",),
    "list": ("ul", "ol"),
    "table": ("table",),
    "figure": ("figure", "figcaption"),
    "quote": ("blockquote",),
    "details": ("details",),
    "pre": ("pre",),
    "noscript": ("noscript",),
    "link": (),
    "terms": ("dl",),
}
HINTS = (*WORDS, *(f"<{name}>" for name in ELEMENTS))
BIT = {name: 1 << number for number, name in enumerate(HINTS)}

TAGS = {tag: BIT[f"<{name}>"] for name, tags in ELEMENTS.items() for tag in tags}
TAGS["dialog"] = BIT["popup"]
ROLES = {
    "navigation": BIT["<nav>"],
    "menu": BIT["<nav>"],
    "menubar": BIT["<nav>"],
    "banner": BIT["<header>"],
    "contentinfo": BIT["<footer>"],
    "complementary": BIT["<aside>"],
    "main": BIT["<main>"],
    "article": BIT["<article>"],
    "search": BIT["<form>"],
    "form": BIT["<form>"],
    "dialog": BIT["popup"],
    "alertdialog": BIT["popup"],
    "tooltip": BIT["popup"],
    "tablist": BIT["fold"],
    "tabpanel": BIT["fold"],
}
PATTERNS = [(BIT[name], re.compile(pattern).search) for name, pattern in WORDS.items()]
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
NOT_SHOWN = re.compile(r"display\s*:\s*none", re.IGNORECASE)

QUOTED = re.compile(
    r"(?:^|\s)(?:[a-z0-9]+[-_])*(?:block)?quot(?:e|es|ed)(?:[-_]?(?:box|body|content|container|text))?(?:$|\s)"
    r"|bbCodeBlock--quote", re.IGNORECASE
)  # fmt: skip
# Names that programs which ask for consent give to what they add to a page.
CONSENT = re.compile(
    r"(?:^|\s)(?:onetrust|ot-sdk|cybotcookiebot|usercentrics|didomi|truste|trustarc|qc-cmp|fc-consent"
    r"|cookieyes|cky-|cookie-law-info|iubenda|osano|klaro|borlabscookie|cmplz|termly|sp_message"
    r"|tarteaucitron|axeptio|moove_gdpr|(?:cookie|gdpr|consent)[-_]?(?:banner|notice|bar|popup|modal))",
    re.IGNORECASE,
)
BOXES = ("div", "section", "aside", "dialog", "form")
SIGNED = re.compile(
    r"(?:^|[\W_])(?:(?:post|user|member|message|forum)?signature|(?:post|user)?sig)(?:$|[\W_\d])",
    re.IGNORECASE,
)


def names(several: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(several.split())


@lru_cache(KEPT)
def of_word(word: str) -> int:
    """Return the hints of one word in lower case, as bits."""
    return sum(bit for bit, search in PATTERNS if search(word))


@lru_cache(KEPT)
def of_name(name: str) -> int:
    """Return the hints of a class, an id or the like, as bits.

    >>> of_name("mainMenu") == BIT["content"] | BIT["nav"]
    True
    """
    bits = 0
    for word in WORD.findall(name[:LONGEST_NAME]):
        bits |= of_word(word.lower())
    return bits


def of_element(tag: str, attributes: Mapping[str, str]) -> int:
    """Return the hints of an element, as bits."""
    bits = TAGS.get(tag, 0)
    for name, value in attributes.items():
        if name in ("class", "id", "itemprop"):
            bits |= of_name(value)
        elif name == "role":
            bits |= ROLES.get(value, 0)
        elif name == "style":
            if "none" in value and NOT_SHOWN.search(value):
                bits |= BIT["hidden"]
        elif name == "hidden" or (name == "aria-hidden" and value == "true"):
            bits |= BIT["hidden"]
    return bits


def is_signature(attributes: Mapping[str, str]) -> bool:
    """Whether an element in a post is named as what its author has under each."""
    return bool(
        SIGNED.search(attributes.get("class", "")) or SIGNED.search(attributes.get("id", ""))
    )


def asks_consent(tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether an element is what a program for consent to cookies adds to a page."""
    if tag not in BOXES:
        return False
    named = attributes.get("id", ""), attributes.get("class", "")
    return any(CONSENT.search(name) for name in named if name)


def is_quote(tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether an element in a post quotes another post."""
    if tag == "blockquote":
        return "postcontent" not in attributes.get("class", "")  # vBulletin's element for a post
    return tag in ("div", "fieldset", "table") and bool(QUOTED.search(attributes.get("class", "")))
