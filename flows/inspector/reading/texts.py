"""The texts of documents, read where the table says that they are; and what is marked in them."""

import difflib
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from webtext.pipeline.core.shards import Directory, damaged

OPEN = 64  # files whose footers are kept in memory
EXCERPT = 280  # characters of a document in a list
LONGEST_DIFF = 20_000  # words of each side that are compared


class Piece(NamedTuple):
    """A piece of a text, and how it is marked: the name of a class of the style sheet, or ""."""

    text: str
    mark: str = ""


@dataclass
class Texts:
    """Reads texts from the documents' files by their places."""

    documents: Directory
    _files: "OrderedDict[tuple[bool, int], pq.ParquetFile]" = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def of(self, row: Mapping[str, Any]) -> str:
        """Return the text of a row of the table, "" if it had none."""
        return self.read(row, "text")[0]

    def title(self, row: Mapping[str, Any]) -> str:
        """Return what a document is called: by its title, or its URL where it has none."""
        return self.read(row, "title")[0] or str(row["url"] or row["id"])

    def read(self, row: Mapping[str, Any], *names: str) -> list[str]:
        """Return some texts of a row of the table, each "" if it had none.

        Raises:
            UserError: the file is damaged, or is not the one that the table was made from.
        """
        under = "" if row["passed"] else "dropped"
        path = self.documents.shard(row["shard"], under=under)
        with self._lock:  # a Parquet file reads for one thread at a time
            try:
                file = self._file((row["passed"], row["shard"]))
                place = int(row["place"])
                for group in range(file.num_row_groups):
                    rows = file.metadata.row_group(group).num_rows
                    if place < rows:
                        found = file.read_row_group(group, ["id", *names])
                        assert found["id"][place].as_py() == row["id"]
                        return [found[name][place].as_py() or "" for name in names]
                    place -= rows
            except (OSError, ValueError, AssertionError) as error:
                raise damaged(path, error) from error
        raise damaged(path, ValueError("it has fewer rows than it had"))

    def _file(self, key: tuple[bool, int]) -> pq.ParquetFile:
        """Return an open file; those that were used last stay open."""
        if key not in self._files:
            path = self.documents.shard(key[1], under="" if key[0] else "dropped")
            self._files[key] = pq.ParquetFile(path, page_checksum_verification=True)
            if len(self._files) > OPEN:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(key)
        return self._files[key]


# --- search ---------------------------------------------------------------------------------------

WORD = re.compile(r"\w+")


def found_in(text: str, patterns: Sequence[re.Pattern[str]]) -> list[tuple[int, int]]:
    """Return where the patterns match, in order and without overlaps."""
    spans = sorted(match.span() for pattern in patterns for match in pattern.finditer(text))
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


def marked(text: str, spans: Sequence[tuple[int, int]], mark: str = "hit") -> list[Piece]:
    """Cut a text into pieces, those of the spans with a mark.

    >>> marked("one two", [(4, 7)])
    [Piece(text='one ', mark=''), Piece(text='two', mark='hit')]
    """
    pieces, at = [], 0
    for start, end in spans:
        if start > at:
            pieces.append(Piece(text[at:start]))
        pieces.append(Piece(text[start:end], mark))
        at = end
    if at < len(text) or not pieces:
        pieces.append(Piece(text[at:]))
    return pieces


def excerpt(text: str, patterns: Sequence[re.Pattern[str]] = ()) -> list[Piece]:
    """Return the beginning of a text, or what is around its first match; matches are marked."""
    first = next(iter(found_in(text[:1_000_000], patterns)), (0, 0))[0]
    start = max(0, first - EXCERPT // 4) if first > EXCERPT // 2 else 0
    if start:
        start = text.find(" ", start, first) + 1 or start
    cut = " ".join(text[start : start + EXCERPT * 2].split())
    short = cut[:EXCERPT].rsplit(" ", 1)[0] if len(cut) > EXCERPT else cut
    shown = "… " * bool(start) + short + " …" * (len(short) < len(" ".join(text[start:].split())))
    return marked(shown, found_in(shown, patterns))


# --- differences ----------------------------------------------------------------------------------

TOKENS = re.compile(r"\w+|[^\w\s]|\s+")


def difference(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Return two texts as pieces; the words that only one of them has are marked.

    Lines are compared first, and words within the lines that differ.
    """
    left, right = one.splitlines(keepends=True), other.splitlines(keepends=True)
    mine: list[Piece] = []
    theirs: list[Piece] = []
    for what, a, b, c, d in matcher(left, right).get_opcodes():
        before, after = "".join(left[a:b]), "".join(right[c:d])
        if what == "equal":
            mine.append(Piece(before))
            theirs.append(Piece(after))
        else:
            pieces = by_words(before, after)
            mine += pieces[0]
            theirs += pieces[1]
    return joined(mine), joined(theirs)


def by_words(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Return two texts as pieces; the words that only one of them has are marked."""
    left, right = TOKENS.findall(one), TOKENS.findall(other)
    if max(len(left), len(right)) > LONGEST_DIFF:
        return [Piece(one, "gone")], [Piece(other, "new")]
    mine, theirs = [], []
    for what, a, b, c, d in matcher(left, right).get_opcodes():
        same = what == "equal"
        mine.append(Piece("".join(left[a:b]), "" if same else "gone"))
        theirs.append(Piece("".join(right[c:d]), "" if same else "new"))
    return mine, theirs


def matcher(left: Sequence[str], right: Sequence[str]) -> difflib.SequenceMatcher[str]:
    """Return what compares two lists; in long ones, words that are everywhere are no anchors."""
    return difflib.SequenceMatcher(None, left, right, autojunk=len(left) > 2000)


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Join neighbours with the same mark, and leave out empty pieces."""
    found: list[Piece] = []
    for piece in pieces:
        if not piece.text:
            continue
        if found and found[-1].mark == piece.mark:
            found[-1] = Piece(found[-1].text + piece.text, piece.mark)
        else:
            found.append(piece)
    return found


# --- tokens ---------------------------------------------------------------------------------------

COLOURS = 5  # one after the other


def tokenised(text: str, encoding: Any) -> Iterator[Piece]:
    """Yield the tokens of a text, each with one of a few colours in turn.

    A token may hold a part of a character: tokens that share one are shown as one piece.
    """
    tokens = encoding.encode(text, disallowed_special=())
    _, starts = encoding.decode_with_offsets(tokens)
    ends = [*starts, len(text)]
    for number, (start, end) in enumerate(pairwise(ends)):
        if end > start:
            yield Piece(text[start:end], f"t{number % COLOURS}")
