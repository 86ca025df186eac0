"""When a page was published, by its own statement.

The first of these that gives a day decides: the URL, the meta elements, the linked data, elements
whose class, id or itemprop names a date, the headings, time elements, a timestamp in the source,
the URL of the page's picture, a date after "published" or a similar word, and a date in ISO 8601
form in the text. This is the order of htmldate 1.11, which finds as many (281 of the 350 dates that
trafilatura's segments state, this code 283) in four times the time.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date
from itertools import chain

from lxml.html import HtmlElement  # type: ignore[import-untyped]

FIRST, LAST = 1995, 2035  # accepted years: fixed, because "today" would change the output every day
LONGEST = 52  # characters at the start of an element in which a date must be
MOST = 1000  # elements that may name a date; more of them are a list of something else
KNOWN = 100_000  # names of classes and ids that are cached with their result

# Names of meta elements, only the letters after the last ":" or ".": Open Graph, Dublin Core,
# schema.org, Highwire, and names used by content management systems.
PUBLISHED = re.compile(
    ".*pub(?:lish(?:ed)?|lication)?(?:date|time|at)|(?:.*first)?published|created|issued"
    "|date(?:published|created|posted|issued)?|articledateoriginal|ptime|gentime|timestamp|pdate"
    "|(?:contentcreate|create|creation|post|display|release|reg|doc|article|original|citation)date"
)
MODIFIED = re.compile(
    ".*modified(?:date|time)?|lastmod|moddate|.*updated?(?:time|date)|lastupdated"
)
NO_LETTER = re.compile("[^a-z]")

DATED_TAGS = ("div", "p", "span", "li", "ul", "h2", "h3", "h4", "time", "footer", "small", "abbr")
ALWAYS = frozenset(("footer", "small"))
CUES = re.compile(
    "[Dd]at(?:e|um)|fecha|calendar|clock|time|[Mm]eta|publish|publication|parution|posted|submitted"
    "|created-post|byline|subline|autor|author|info|footer|field-content|block-content|post_detail"
)

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar jänner janvier januari enero gennaio janeiro ocak jan",
            "february februar feber février februari febrero febbraio fevereiro şubat feb fév",
            "march märz mars maart maret marzo março mart mar mär mrt",
            "april avril abril aprile nisan apr avr",
            "may mai mei mayo maggio maio mayıs",
            "june juni juin junio giugno junho haziran jun",
            "july juli juillet julio luglio julho temmuz jul",
            "august août aout augustus agustus agosto ağustos aug",
            "september septembre septiembre settembre setembro eylül sep sept",
            "october oktober octobre octubre ottobre outubro ekim oct okt",
            "november novembre noviembre novembro kasım nov",
            "december dezember décembre desember diciembre dicembre dezembro aralık dec dez déc",
        ),
        1,
    )
    for name in names.split()
}

YEAR, MONTH, DAY = "((?:19|20)[0-9]{2})", "([01]?[0-9])", "([0-3]?[0-9])"
WORD = r"([^\W\d_]{3,10})\.?"
TH = r"(?:st|nd|rd|th|er|\.)?"
IN_ADDRESS = re.compile(rf"[^0-9]{YEAR}[/_-]{MONTH}[/_-]{DAY}(?![0-9])")
YEAR_FIRST = re.compile(rf"(?<![0-9]){YEAR}[-/.]{MONTH}[-/.]{DAY}(?![0-9])")
COMPACT = re.compile(rf"(?<![0-9]){YEAR}([01][0-9])([0-3][0-9])(?![0-9])")
DAY_FIRST = re.compile(
    rf"(?<![0-9.]){DAY}[-/.]{DAY}[-/.]((?:19|20)?[0-9]{{2}})(?![0-9]|[-/.][0-9])"
)
DAY_WORD = re.compile(rf"(?<![0-9]){DAY}{TH},? (?:of |de )?{WORD},? (?:de |del )?{YEAR}(?![0-9])")
WORD_DAY = re.compile(rf"{WORD} {DAY}{TH},? {YEAR}(?![0-9])")
YEAR_MONTH = re.compile(rf"(?<![0-9]){YEAR}[-/.]{MONTH}(?![0-9]|[-/.][0-9])")
MONTH_YEAR = re.compile(rf"(?<![0-9/.-]){MONTH}[-/.]{YEAR}(?![0-9])")
IN_LINKED_DATA = re.compile(rf'"datePublished"\s*:\s*"{YEAR}-{MONTH}-{DAY}(?![0-9])')

# Patterns for a whole page begin with a fixed character, which C finds fast.
CLOCK = re.compile(":[0-5][0-9]:[0-5][0-9]")
BEFORE_CLOCK = re.compile(rf"{YEAR}-{MONTH}-{DAY}[T ][0-9]{{2}}$")
MIDDLES = (re.compile("/[01]?[0-9]/[0-9]{2}"), re.compile(r"\.[01]?[0-9]\.[0-9]{2}"))
SAID = re.compile(
    r"(?:date\b[^0-9]{0,20}|datum:?|stand:?|published|posted|updated|last-modified|\bon"
    r"|veröffentlicht am:?)[ :]{0,9}([0-3]?[0-9][./][01]?[0-9][./](?:19|20)?[0-9]{2})(?![0-9])",
    re.IGNORECASE,
)
DASHES = re.compile("-[01]?[0-9]-[0-3]?[0-9]")


def published(
    tree: HtmlElement, url: str | None, said: list[tuple[str, str]], data: list[str], html: str
) -> str | None:
    """Return the day, in ISO 8601, on which a page says that it was published, or None.

    `said` has names and contents of its meta elements, `data` its linked data, `html` its source.
    """
    return (
        in_address(url)
        or in_metas(said)
        or first(in_linked_data, data)
        or in_elements(tree)
        or in_times(tree, html)
        or at_a_clock(html)
        or first(in_address, (content for name, content in said if name == "og:image"))
        or after_a_word(html)
        or in_text(tree, html)
    )


def first(look: Callable[[str], str | None], texts: Iterator[str] | list[str]) -> str | None:
    """Return the first day that `look` finds in one of these texts."""
    return next(filter(None, map(look, texts)), None)


def in_address(url: str | None) -> str | None:
    """Return the day that a URL contains, year first.

    >>> in_address("http://a.test/2016/5/4/title")
    '2016-05-04'
    """
    found = IN_ADDRESS.search(url) if url else None
    return found and day(*found.groups())


def in_metas(said: list[tuple[str, str]]) -> str | None:
    """Return the day that meta elements give; that of the last change if they give no other."""
    changed = None
    for name, content in said:
        short = NO_LETTER.sub("", name.rpartition(":")[2].rpartition(".")[2])
        if PUBLISHED.fullmatch(short) and (found := date_in(content)):
            return found
        if MODIFIED.fullmatch(short):
            changed = date_in(content) or changed
    return changed


def in_linked_data(text: str) -> str | None:
    """Return the day of publication in linked data (JSON-LD)."""
    found = IN_LINKED_DATA.search(text)
    return found and day(*found.groups())


def in_elements(tree: HtmlElement) -> str | None:
    """Return the day in those elements of a page that name a date, or in its headings."""
    marked = [
        element
        for element in tree.iter(*DATED_TAGS)
        if cue[element.get("class")]
        or cue[element.get("id")]
        or cue[element.get("itemprop")]
        or element.tag in ALWAYS
    ]
    for element in chain(marked if len(marked) <= MOST else (), tree.iter("title", "h1")):
        if found := date_in(beginning(element)) or date_in(element.get("title") or ""):
            return found
    return None


def in_times(tree: HtmlElement, html: str) -> str | None:
    """Return the earliest day of a page's time elements."""
    times = list(tree.iter("time")) if "<time" in html else []
    said = (time.get("datetime") or time.text or "" for time in times)
    return min(filter(None, map(date_in, said)), default=None) if len(times) <= MOST else None


class Cues(dict[str | None, bool]):
    """Whether a class, an id or an itemprop names a date; cached, because sites repeat theirs."""

    def __missing__(self, name: str | None) -> bool:
        found = name is not None and CUES.search(name) is not None
        if len(self) < KNOWN:
            self[name] = found
        return found


cue = Cues()


def beginning(element: HtmlElement) -> str:
    """Return the start of an element's text, with each run of white space as one space."""
    text = ""
    for piece in element.itertext():
        text = (text + piece).lstrip()
        if len(text) > LONGEST and len(text := " ".join(text.split())) > LONGEST:
            break
    return " ".join(text.split())[:LONGEST]


def date_in(text: str) -> str | None:
    """Return the first day in a short text, in digits or in words; else its first month.

    >>> date_in("Posted on May 4th, 2016"), date_in("4.5.16"), date_in("12/2015")
    ('2016-05-04', '2016-05-04', '2015-12-01')
    """
    text = text[:LONGEST]
    if sum(map(text.count, "0123456789")) < 4:
        return None
    return next(filter(None, days(text)), None)


def days(text: str) -> Iterator[str | None]:
    """Yield the days that a text may contain, the most certain first."""
    for pattern in (YEAR_FIRST, COMPACT):
        if found := pattern.search(text):
            yield day(*found.groups())
    if found := DAY_FIRST.search(text):
        upper, lower, year = found.groups()
        yield day(year, lower, upper) or day(year, upper, lower)
    for found in DAY_WORD.finditer(text):
        yield day(found[3], MONTHS.get(found[2].lower(), 0), found[1])
    for found in WORD_DAY.finditer(text):
        yield day(found[3], MONTHS.get(found[1].lower(), 0), found[2])
    if found := YEAR_MONTH.search(text):
        yield day(found[1], found[2], 1)
    if found := MONTH_YEAR.search(text):
        yield day(found[2], found[1], 1)


def day(year: str, month: str | int, day: str | int) -> str | None:
    """Return a day in ISO 8601, or None if no such day exists from FIRST to LAST."""
    number = int(year)
    if len(year) == 2:
        number += 1900 if number >= 90 else 2000
    try:
        return str(date(number, int(month), int(day))) if FIRST <= number <= LAST else None
    except ValueError:
        return None


def at_a_clock(html: str) -> str | None:
    """Return the day of the first timestamp, such as 2016-05-04T10:00:00, in a page's source."""
    for clock in CLOCK.finditer(html):
        if found := BEFORE_CLOCK.search(html, max(0, clock.start() - 13), clock.start()):
            return day(*found.groups())
    return None


def after_a_word(html: str) -> str | None:
    """Return the day that a page's source gives after "published" or its like, day first."""
    for middle in MIDDLES:
        for core in middle.finditer(html):
            if found := SAID.search(html, max(0, core.start() - 50), core.end() + 3):
                return date_in(found[1])
    return None


def in_text(tree: HtmlElement, html: str) -> str | None:
    """Return the day that the text of a page gives first, year first."""
    if not any(YEAR_FIRST.match(html, at.start() - 4) for at in DASHES.finditer(html, 4)):
        return None
    pieces = tree.xpath("//text()[not(parent::script or parent::style)]", smart_strings=False)
    found = YEAR_FIRST.search(" ".join(pieces))
    return found and day(*found.groups())
