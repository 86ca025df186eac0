"""The page that a document was made from: its archive record, and what extraction took of it."""

import html
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from webtext.flows.inspector.reading.texts import Piece, marked
from webtext.pipeline.archive import packing
from webtext.pipeline.archive.warc import response_at
from webtext.pipeline.core.directories.lookup import first_row
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stores.stored_files import located
from webtext.pipeline.text.decoding.charset import decode
from webtext.pipeline.urls.urls import shard_of

RUN = 3  # words in a row that must be the same, so that a lone "the" is not taken for the text
NEAR = 400  # words of the source after the last match in which a shorter line is looked for
LONGEST = 400_000  # characters of a source that are shown
BLOCKS = re.compile(
    r"<!--.*?-->|<(script|style|template|noscript)\b.*?</\1\s*>|<[!/?a-zA-Z][^>]*>",
    re.DOTALL | re.IGNORECASE,
)
RUNS = re.compile(r"(?:[^\W_]|&#?\w{1,32};)+")
WORDS = re.compile(r"[^\W_]+")

Span = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """The page of a document."""

    outcome: Mapping[str, Any]  # the row of the crawl, or of the import
    head: str  # status line and fields as archived
    date: Any  # of the record
    pieces: list[Piece]  # the page's source as text
    charset: str
    characters: int
    words: int  # in the source's text, outside of tags
    taken: int  # of them in the document
    cut: bool  # whether only its beginning is shown


def outcome(pages: Directory, identity: str, domain: str) -> dict[str, Any] | None:
    """Return what the crawl, or the import, wrote about a page."""
    hint = shard_of(pages, domain, "outcomes")
    found = first_row(pages, identity, "outcomes", hint)
    return found[2] if found else None


def source(pages: Directory, row: Mapping[str, Any], text: str) -> Source:
    """Return a page's source with what extraction took of it marked.

    Raises:
        UserError: the archive has no place for it, or it cannot be read there.
    """
    where = "payload" if row.get("payload_file") else "warc"
    name, offset, length = (row.get(f"{where}_{part}") for part in ("file", "offset", "length"))
    if name is None or offset is None:
        raise UserError(
            "the archive is compressed in one piece, so no single record of it can be read; "
            "records can be read from files with one gzip member a record"
        )
    path = located(pages.path, name)
    with packing.opened(path) as raw:
        found = response_at(raw, path, offset, length)
    decoded = decode(found.body, row.get("content_type") or found.content_type)
    spans, words, taken = aligned(decoded.text, text)
    shown = decoded.text[:LONGEST]
    return Source(
        row,
        found.head.decode("latin-1"),
        found.date,
        marked(shown, [(a, min(b, LONGEST)) for a, b in spans if a < LONGEST], "taken"),
        decoded.charset,
        len(decoded.text),
        words,
        taken,
        len(shown) < len(decoded.text),
    )


def aligned(page: str, text: str) -> tuple[list[Span], int, int]:
    """Return the places of a page's source that are in a text; its words, and how many of these.

    Words are compared in their order, in lower case, entities resolved; no markup counts.
    """
    there = list(source_words(page))
    names = [word for word, _, _ in there]
    taken = [False] * len(there)
    grams: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at in range(len(names) - RUN + 1):
        grams[tuple(names[at : at + RUN])].append(at)
    cursor = 0
    for line in text.splitlines():
        cursor = match_line(
            [word.lower() for word in WORDS.findall(line)], names, grams, taken, cursor
        )
    spans = merged(page, [(a, b) for (_, a, b), mine in zip(there, taken, strict=True) if mine])
    return spans, len(there), sum(taken)


def match_line(
    words: Sequence[str],
    names: Sequence[str],
    grams: Mapping[tuple[str, ...], Sequence[int]],
    taken: list[bool],
    cursor: int,
) -> int:
    """Mark the words of the source that a line was made of; return where the last one is."""
    at = 0
    while at < len(words):
        if len(words) < RUN:
            near = names[cursor : cursor + NEAR]
            start = next((cursor + n for n in range(len(near))
                          if list(near[n : n + len(words)]) == list(words)), None)  # fmt: skip
        else:
            places = grams.get(tuple(words[at : at + RUN]), ())
            later = bisect_left(places, cursor)
            start = places[later if later < len(places) else 0] if places else None
        if start is None:
            if len(words) < RUN:
                break
            at += 1
            continue
        end = start
        while end < len(names) and at < len(words) and names[end] == words[at]:
            taken[end] = True
            end, at = end + 1, at + 1
        cursor = end
    return cursor


def source_words(page: str) -> Iterator[tuple[str, int, int]]:
    """Yield the words of a page's source outside of tags, each with its place."""
    at = 0
    for start, end in [*(m.span() for m in BLOCKS.finditer(page)), (len(page), len(page))]:
        for run in RUNS.finditer(page, at, max(at, start)):
            if "&" not in run[0]:
                yield run[0].lower(), *run.span()
                continue
            for word in WORDS.findall(html.unescape(run[0])):
                yield word.lower(), *run.span()
        at = end


def merged(page: str, spans: Sequence[Span]) -> list[Span]:
    """Join spans between which there is no markup."""
    found: list[Span] = list(spans[:1])
    for before, span in pairwise(spans):
        if span == before:
            continue
        if "<" in page[found[-1][1] : span[0]] or span[0] - found[-1][1] > RUN * 20:
            found.append(span)
        else:
            found[-1] = (found[-1][0], span[1])
    return found
