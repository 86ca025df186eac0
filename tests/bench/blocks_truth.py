"""Which blocks of a page are its main text, by a text that people copied from it.

A block is told by its runs of three words: right where most of them are in the truth. What the
truth holds once counts once, so that a quotation or a second copy is wrong. Of blocks with fewer
words, those that are a line of the truth are right where right ones are near.
"""

import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import lxml.html
import zstandard
from fastwarc.warc import ArchiveIterator

from tests.bench.wcxb import samples
from tests.floors import plain
from webtext.pipeline.text.extraction.maintext import Article, Page, Reading, read

DATA = Path(__file__).parents[3] / "shared" / "data"
RUN = 3  # words
NEAR = 4  # blocks to each side that tell whether a short one is right
SOME, MOST = 0.3, 0.6  # of them that must be right, for a line and for a word of the truth


class Told(NamedTuple):
    """A page, and its main text or strings that must and must not be in it."""

    name: str  # of its set
    html: bytes
    text: str | None
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    kind: str = ""  # of a page of WCXB


def pages() -> Iterator[Told]:
    """Yield the pages of all four sets, each set in its own order."""
    for sample in samples():
        yield Told("wcxb", sample.html, sample.text, kind=sample.kind)
    files = unpacked("scrapinghub")
    (truth,) = (json.loads(file) for name, file in files.items() if name.endswith("truth.json"))
    for page in sorted(truth):
        (html,) = (file for name, file in files.items() if name.endswith(f"{page}.html"))
        yield Told("scrapinghub", html, truth[page]["articleBody"])
    files = unpacked("readability")
    for name in sorted(name for name in files if name.endswith("/source.html")):
        wanted = files[name.replace("source.html", "expected.html")].decode()
        text = " ".join(lxml.html.fromstring(wanted).itertext())
        yield Told("readability", files[name], text)
    with zstandard.open(DATA / "miniweb/news.warc.zst") as file:
        bodies = {
            record.headers["WARC-Target-URI"]: record.reader.read()
            for record in ArchiveIterator(io.BytesIO(file.read()))
            if record.headers["WARC-Type"] == "response"
        }
    with zstandard.open(DATA / "extraction/trafilatura_segments.jsonl.zst", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            yield Told(
                "segments",
                bodies[row["url"]],
                None,
                tuple(map(plain, row["with"])),
                tuple(map(plain, row["without"])),
            )


def unpacked(name: str) -> dict[str, bytes]:
    """Return the files of a packed set."""
    with (
        zstandard.open(DATA / f"extraction/{name}.tar.zst") as packed,
        tarfile.open(fileobj=packed, mode="r|") as tar,
    ):
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member))}


def words(text: str) -> list[str]:
    """Return a text's words in lower case."""
    return re.findall(r"\w+", text.lower())


def right(blocks: list[str], page: Told) -> list[float | None]:
    """Return for each block how much of it is main text, None where nothing is known."""
    if page.text is None:
        return by_strings(blocks, page)
    wanted = words(plain(page.text))
    runs = Counter(zip(wanted, wanted[1:], wanted[2:], strict=False))
    lines_left = Counter(" ".join(words(line)) for line in page.text.split("\n"))
    whole = f" {' '.join(wanted)} "
    tokens = [words(block) for block in blocks]
    found: list[float | None] = []
    for its in tokens:
        if len(its) >= RUN:
            own = Counter(zip(its, its[1:], its[2:], strict=False))
            hit = own & runs
            share = hit.total() / own.total()
            if share >= 0.5:
                runs -= hit
            found.append(share)
        elif its:
            same = " ".join(its)
            found.append(1.0 if lines_left[same] else 0.5 if f" {same} " in whole else 0.0)
        else:
            found.append(None)
    return [
        short(number, found, tokens, lines_left) if 0 < len(its) < RUN and found[number] else known
        for number, (its, known) in enumerate(zip(tokens, found, strict=True))
    ]


def by_strings(blocks: list[str], page: Told) -> list[float | None]:
    """Return what strings tell of blocks, and trafilatura of the others, where it is sure.

    It is sure where both of its ways, with and without favor_precision, take a block or leave it.
    """
    ways = [
        runs_of(plain(text.text) if isinstance(text, Article) else "")
        for precise in (False, True)
        for text in [read(trafilatura(precise), Page(page.html, "text/html", None))]
    ]
    found: list[float | None] = []
    for block in blocks:
        line = " ".join(block.split())
        its = runs_of(block)
        taken = [bool(its) and len(its & way) >= len(its) / 2 for way in ways]
        if any(string in line for string in page.wanted):
            found.append(1.0)
        elif any(string in line for string in page.unwanted):
            found.append(0.0)
        elif taken[0] == taken[1] and its:
            found.append(float(taken[0]))
        else:
            found.append(None)
    return found


def taught(blocks: list[str], page: Told) -> list[bool]:
    """Return which blocks of a page nothing but trafilatura tells of."""
    if page.text is not None:
        return [False] * len(blocks)
    stated = page.wanted + page.unwanted
    lines = [" ".join(block.split()) for block in blocks]
    return [not any(string in line for string in stated) for line in lines]


def trafilatura(precise: bool) -> Reading:
    """Return the settings of the teacher."""
    return Reading(engine="trafilatura", metadata=False, favor_precision=precise)


def runs_of(text: str) -> set[tuple[str, ...]]:
    """Return a text's runs of three words; of fewer words, each line as one run."""
    found = {tuple(words(line)) for line in text.split("\n")} - {()}
    its = words(text)
    return set(zip(its, its[1:], its[2:], strict=False)) | {r for r in found if len(r) < RUN}


def short(
    number: int, found: list[float | None], tokens: list[list[str]], lines_left: Counter[str]
) -> float:
    """Return whether a block of a word or two is main text, by those around it."""
    around = range(max(0, number - NEAR), min(len(found), number + NEAR + 1))
    near = [found[at] or 0.0 for at in around if at != number and len(tokens[at]) >= RUN]
    share = sum(near) / len(near) if near else 0.0
    if found[number] == 1:
        same = " ".join(tokens[number])
        if share >= SOME and lines_left[same] > 0:
            lines_left[same] -= 1
            return 1.0
        return 0.0
    return float(share > MOST)
