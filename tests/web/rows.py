"""The 74 rows of the table: what each is about, and, from the cases, what should come of it."""

from collections.abc import Iterator

from tests.web.conditions import CONDITIONS
from tests.web.table import CASES

ROWS = {
    1: "a chunk size that is no number",
    2: "chunks without a last one",
    3: "a body shorter than its length",
    4: "a length that is none, or two of them",
    5: "a length and chunks at once",
    6: "no status line",
    7: "a status line with a colon",
    8: "heads that are odd and still clear",
    9: "statuses that no page comes with",
    10: "headers that are none",
    11: "Latin-1 in a header",
    12: "a header of 1 MB",
    13: "headers without number or end",
    14: "cookies",
    15: "100 Continue without end",
    16: "no content, or some where there is none",
    17: "a body without end",
    18: "a body by the byte",
    19: "headers by the byte",
    20: "silence",
    21: "connections that break",
    22: "gzip, honest and as a bomb",
    23: "encodings on top of each other",
    24: "bombs in brotli and zstd",
    25: "encodings by header alone, or cut",
    26: "unknown and secret encodings",
    27: "redirects without end",
    28: "redirects to nowhere",
    29: "ways to private and loopback addresses",
    30: "redirects to other schemes",
    31: "addresses spelt oddly",
    32: "addresses that carry others, or are special",
    33: "names that change their address",
    34: "names with public and private addresses",
    35: "redirects to a page that robots.txt denies",
    36: "redirects to other ports, and from https to http",
    37: "robots.txt that cannot be reached",
    38: "robots.txt that is not there",
    39: "robots.txt that is busy",
    40: "robots.txt that redirects",
    41: "robots.txt that is huge",
    42: "robots.txt that is slow to match",
    43: "robots.txt that is something else, or mangled",
    44: "Crawl-delay out of all measure",
    45: "Retry-After out of all measure",
    46: "429 to everything",
    47: "login pages, bans, errors",
    48: "200 for what is not there",
    49: "charsets that lie",
    50: "charsets that do not say what they are",
    51: "NULs in a text",
    52: "types that are missing or lie",
    53: "types that are too general",
    54: "markup too deep",
    55: "markup too much",
    56: "one text of 20 MB",
    57: "certificates that are none",
    58: "TLS that does not come about",
    59: "hosts spelt oddly",
    60: "URLs spelt oddly",
    61: "ports that are none, or not allowed",
    62: "one page under many URLs, and many under one",
    63: "meta refresh, and redirects by script",
    64: "names without an address",
    65: "a million names of one address",
    66: "pages that opt out of training",
    67: "304 that was not asked for",
    68: "dates out of all measure",
    69: "the crawler is killed",
    70: "the disk is full",
    71: "the last record is torn",
    72: "two crawlers at once",
    73: "the clock jumps",
    74: "dumps of links that are broken",
}


def outcomes(number: int) -> str:
    """Return what should come of a row's cases, each once, in the order of the cases."""
    found = [case.outcome for case in CASES if case.number == number]
    return "; ".join(dict.fromkeys(found))


def markdown() -> Iterator[str]:
    """Yield the table as the README shows it."""
    yield "| row | matter | cases | what should come of it |"
    yield "|--:|---|--:|---|"
    conditions = {condition.number: condition for condition in CONDITIONS}
    for number, matter in ROWS.items():
        served = sum(case.number == number for case in CASES)
        outcome = outcomes(number) if served else conditions[number].outcome
        yield f"| {number} | {matter} | {served or '–'} | {outcome} |"
