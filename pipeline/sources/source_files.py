"""Which files hold a user's texts, and in which form each is.

A table (JSON Lines, CSV, Parquet, Arrow) has a text in each row; of plain text, Markdown and HTML
each file is one text; a WET file has a text in each record. The form follows from the name, or
from the first bytes if the name does not tell.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from glob import glob
from pathlib import Path
from shlex import quote
from typing import Final, NamedTuple

from webtext.pipeline.core.compressed import ArchiveError, blocks, container
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.visible import as_text

PACKED: Final = (".gz", ".zst", ".xz", ".bz2")
NAMES: Final[dict[str, str]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".wet": "wet",
}
TABLES: Final = ("jsonl", "csv", "tsv", "parquet", "arrow")
FILES: Final = ("text", "markdown", "html")  # each file is one text
WARC: Final = (".warc", ".arc")
WANTED: Final = "JSON Lines, CSV, Parquet, plain text, Markdown, HTML or WET"
PICKED: Final = "cache-"  # of the Arrow files that the library datasets keeps beside a dataset


class Source(NamedTuple):
    """A file of texts."""

    path: Path
    name: str  # in the names of its rows: relative to the folder that was given
    form: str


def found(given: Iterable[Path], without: Iterable[Path] = ()) -> list[Source]:
    """Return the files to read: those given, and those in the given folders, in order.

    Of a folder with tables only the tables are read, so that the README of a dataset is no text;
    of a directory of a build only its kept rows. Hidden files, and those in `without`, are not.

    Raises:
        UserError: a file does not exist, or is of no form that can be read; an empty folder.
    """
    left_out = {path.resolve() for path in without}
    sources: list[Source] = []
    for path in given:
        if not path.is_dir():
            sources.append(Source(path, path.name, form_of(path)))
            continue
        inside = [one for one in in_folder(path) if one.path.resolve() not in left_out]
        if not inside:
            raise UserError(f"{path}: no file of {WANTED} in this folder")
        sources += inside
    once = list({source.path.resolve(): source for source in sources}.values())
    named = Counter(source.name for source in once)
    twice = [source.path.resolve() for source in once if named[source.name] > 1]
    above = Path(os.path.commonpath([path.parent for path in twice])) if twice else Path()
    return [
        source._replace(name=as_text(source.path.resolve().relative_to(above).as_posix()))
        if named[source.name] > 1
        else source._replace(name=as_text(source.name))
        for source in once
    ]


def matched(patterns: Sequence[str], base: Path, setting: str) -> list[Source]:
    """Return the files that paths and globs name, relative to `base`; folders as in `found`.

    `setting` is where the patterns come from, for the messages.

    Raises:
        UserError: a pattern that matches nothing; otherwise as `found`.
    """
    paths: dict[Path, None] = {}
    for pattern in patterns:
        whole = base / Path(pattern).expanduser()
        names = [str(whole)] if whole.exists() else sorted(glob(str(whole), recursive=True))  # noqa: PTH207 -- Path.glob takes no absolute pattern
        paths |= dict.fromkeys(map(Path, names))
        if not names:
            raise UserError(f"{setting}: no file matches {pattern!r} (looked in {base})")
    return found(paths)


def in_folder(folder: Path) -> list[Source]:
    """Return the files of a folder that hold texts, sorted by their names."""
    if (made := Directory(folder)).whole:
        return [Source(path, path.name, "parquet") for path in made.shards()]
    sources = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        form = by_name(path)
        if form and path.is_file() and not hidden and not name.name.startswith(PICKED):
            sources.append(Source(path, name.as_posix(), form))
    tables = [source for source in sources if is_table(source)]
    return tables or sources


def is_table(source: Source) -> bool:
    """Whether a file has a row a text; metadata of datasets in .json is no table of texts."""
    return source.form in TABLES and source.path.suffix != ".json"


def by_name(path: Path) -> str:
    """Return the form that a name says, "" if it says none.

    >>> by_name(Path("a/part-1.jsonl.zst")), by_name(Path("CC-MAIN.warc.wet.gz"))
    ('jsonl', 'wet')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return NAMES.get(suffixes[-1], "") if suffixes else ""


def form_of(path: Path) -> str:
    """Return the form of a file by its name, or by its first bytes.

    Raises:
        UserError: it does not exist, or holds something else.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    named = by_name(path)
    if container(path) == "parquet" or named == "parquet":
        return "parquet"
    if named:
        return named
    try:
        first = next(iter(blocks(path)), b"").lstrip()
    except ArchiveError as error:
        raise UserError(f"{path}: {error}; get the file anew, or leave it out") from None
    if first.startswith(b"WARC/") or {s.lower() for s in path.suffixes} & set(WARC):
        raise UserError(
            f"{path}: WARC holds pages, not texts: `webtext extract {quote(str(path))} "
            "-o texts.jsonl` makes texts of them, and a build reads them as pages.warc"
        )
    begins = {b"{": "jsonl", b"<": "html"}
    if (form := begins.get(first.removeprefix(b"\xef\xbb\xbf")[:1])) is None:
        raise UserError(
            f"{path}: cannot tell what it holds; wanted {WANTED}, told by an ending such as "
            ".jsonl, .csv, .parquet, .txt, .md, .html or .warc.wet.gz"
        )
    return form
