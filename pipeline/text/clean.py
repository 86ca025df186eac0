"""Edits of a text that remove nothing that a reader needs."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import pyarrow as pa

from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.stage import judged
from webtext.pipeline.text.decoding.charset import printable
from webtext.pipeline.urls.urls import public_suffixes

INVISIBLE = "\u00ad\u200b\u2060\ufeff"  # soft hyphen, zero-width space, joiner, BOM
LINE_ENDS = ("\r\n", "\r", "\u0085", "\u2028", "\u2029", "\x0b", "\x0c")
BLANK_LINES = re.compile(r"\n{3,}")
OTHER_SPACE = re.compile(r"[^\S ]")
COLUMN = re.compile(r"(?<=[^\s.!?:])( {2,})\S")  # not the two spaces after a sentence
WIDE = 3  # spaces of a gap, in one of two lines, that make a column of both
CHORD = re.compile(
    r"[A-H][#b\u266f\u266d]?(?:maj|min|dim|aug|m|M)?\d{0,2}(?:sus\d?|add\d{1,2}|[#b+-]\d{1,2})?"
    r"(?:/[A-H][#b]?)?|\||N\.?C\.?"
)

# The parts of an address; its path takes brackets and marks after it as well. Source: DCLM,
# `mappers/modifiers.py`, url_removal_modifier.
SCHEME = r"(?:https?|ftp)://"
SITE = r"-\w@:%+~#="  # and dots
NAME = re.compile(
    rf"\s{{0,10}}(?:{SCHEME}|(?<![{SITE}.]))((?:[{SITE}]*+\.)+[a-z]{{2,}}\b)", re.ASCII
)
LABEL = re.compile(rf"(?<=[{SITE}.]\.)[a-z]{{2,}}\b", re.ASCII)
PATH = re.compile(rf"[{SITE}.()?&/]*", re.ASCII)
NUMBER = re.compile(
    rf"\s{{0,10}}\b(?:{SCHEME})?(?:[0-2]?\d{{1,2}}\.){{3}}[0-2]?\d{{1,2}}{PATH.pattern}", re.ASCII
)


@dataclass(frozen=True)
class Clean:
    """Normalise Unicode and white space; drops only texts that are empty afterwards.

    NFC, because two spellings of one letter would be two words; one kind of line end; no control
    or invisible characters; one space instead of several, except at the beginning of a line, as in
    code, in columns that two lines share, and between the chords over a song's line; no spaces at
    the ends of lines; at most one blank line between two lines.

    `ftfy` is off, because pages that were read with the right charset rarely need it: of 1,385 real
    texts it changes none, and takes four times the CPU time of all other edits.
    """

    unicode: bool = True  # NFC, and no invisible characters
    ftfy: bool = False  # repair text that was read with the wrong charset ("cafÃ©") and stored so
    whitespace: bool = True  # use one kind of line end and single spaces
    indentation: bool = True  # keep the white space that lines begin with, and columns
    remove_urls: bool = False  # as RefinedWeb did, in DCLM's version, which removes "setup.py" too

    name: ClassVar[str] = "clean"
    version: ClassVar[int] = 3
    reads: ClassVar[pa.Schema] = DOCUMENT
    writes: ClassVar[pa.Schema] = DOCUMENT

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        texts = [self.text(text or "") for text in batch["text"].to_pylist()]
        column = batch.schema.get_field_index("text")
        cleaned = batch.set_column(column, DOCUMENT.field("text"), pa.array(texts, pa.string()))
        return judged(cleaned, [None if text else "clean.no_text" for text in texts])

    def text(self, text: str) -> str:
        r"""Return the edited text.

        >>> Clean().text("e\u0301te\u0301 \t\u00a0bleu\r\n\r\n\r\n\r\nmer ")
        'été bleu\n\nmer'
        """
        if self.ftfy:
            text = repaired(text)
        if self.remove_urls:
            text = without_urls(text)
        # `replace` finds in microseconds that there is nothing to replace; a regular expression
        # checks every character.
        for end in LINE_ENDS:
            text = text.replace(end, "\n")
        text = printable(text)
        if self.unicode:
            for character in INVISIBLE:
                text = text.replace(character, "")
            text = unicodedata.normalize("NFC", text)
        if self.whitespace:
            text = text.strip()
            lines = [" ".join(line.split()) for line in text.split("\n")]
            if self.indentation and ("\n " in text or "\n\t" in text):
                lines = [begin(old) + new for old, new in zip(text.split("\n"), lines, strict=True)]
            if self.indentation and "  " in text:
                lines = in_columns(text.split("\n"), lines)
            text = "\n".join(lines)
            if "\n\n\n" in text:
                text = BLANK_LINES.sub("\n\n", text)
        return text.strip()


def begin(line: str) -> str:
    r"""Return the spaces and tabs that a line begins with, "" for a blank line.

    >>> begin("\t  a b"), begin("   ")
    ('\t  ', '')
    """
    rest = line.lstrip(" \t")
    return line[: len(line) - len(rest)] if rest.strip() else ""


def in_columns(old: list[str], new: list[str]) -> list[str]:
    r"""Return lines with the spaces of those that have columns, given each before and after.

    >>> in_columns(["a    b", "cd   e", "f  g"], ["a b", "cd e", "f g"])
    ['a    b', 'cd   e', 'f g']
    >>> in_columns(["G     C", "Haul away"], ["G C", "Haul away"])
    ['G     C', 'Haul away']
    """
    found = list(new)
    before: dict[int, int] = {}  # width of the gap before each column of the line before
    spaced = ""
    for at, line in enumerate(old):
        last, spaced = spaced, ""
        columns = {}
        if "  " in line:
            spaced = begin(line) + OTHER_SPACE.sub(" ", line.strip())
            columns = {gap.end(1): gap.end(1) - gap.start(1) for gap in COLUMN.finditer(spaced)}
        if columns and all(map(CHORD.fullmatch, line.split())):
            found[at] = spaced
        elif any(max(before[one], columns[one]) >= WIDE for one in before.keys() & columns):
            found[at - 1 : at + 1] = last, spaced
        before = columns
    return found


def without_urls(text: str) -> str:
    """Remove web and mail addresses, and the white space before them.

    An address is a word with a dot and a top-level domain in it, with or without a scheme, or four
    numbers of an IP address. Source: Penedo et al. 2023, arXiv 2306.01116, section 3.1, "we remove
    all URLs"; DCLM defines what a URL is.

    >>> without_urls("Write to a@b.example.org, or see https://c.test.com/d?e=f today. Done.")
    'Write to, or see today. Done.'
    """
    known = top_level_domains()
    left = []
    at = 0
    for found in NAME.finditer(text):
        if found.start() >= at and not known.isdisjoint(LABEL.findall(found[1])):
            left.append(text[at : found.start()])
            path = PATH.match(text, found.end())
            assert path is not None  # it may be empty
            at = path.end()
    return NUMBER.sub("", "".join([*left, text[at:]]))


@cache
def top_level_domains() -> frozenset[str]:
    """Return the top-level domains of the bundled list of public suffixes, those in ASCII."""
    return frozenset(suffix.rpartition(".")[2] for suffix in public_suffixes())


def repaired(text: str) -> str:
    r"""Return a text with wrongly decoded characters repaired, if the repair is certain.

    Quotes keep their form, wide characters their width, and HTML that a page talks about stays.

    >>> repaired("cafÃ© â€œbleuâ€\x9d")
    'café “bleu”'
    """
    import ftfy  # imported only if it is used

    return ftfy.fix_text(
        text, explain=False, unescape_html=False, uncurl_quotes=False, fix_character_width=False
    )
