"""Evaluation sets from local files, in their usual formats; nothing is downloaded.

A directory holds one file a set, under any of the names in `FILES`, as it is or compressed (.zst,
.gz, .zip). What can be multiple-choice is a JSON line an item: {"query", "choices", "gold"}, or
{"context_options", "continuation", "gold"} where the options stand in the text; HellaSwag as its
authors wrote it. LAMBADA: {"text"} as OpenAI published it, or {"context", "continuation"}.
"""

import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from webtext.model.errors import UserError

FILES: dict[str, tuple[str, ...]] = {
    "lambada": ("lambada_openai.jsonl", "lambada_test.jsonl", "lambada_test_en.jsonl"),
    "cbt_cn": ("cbtest_CN_valid_2000ex.txt", "CBTest/data/cbtest_CN_valid_2000ex.txt"),
    "cbt_ne": ("cbtest_NE_valid_2000ex.txt", "CBTest/data/cbtest_NE_valid_2000ex.txt"),
    "wikitext2": ("wikitext2_test.txt", "wikitext-2/wiki.test.tokens"),
    "ptb": ("ptb.test.txt", "simple-examples/data/ptb.test.txt"),
    "enwik8": ("enwik8",),
    "text8": ("text8",),
    "wikitext103": ("wikitext103_test.txt", "wikitext-103/wiki.test.tokens"),
    "1bw": ("news.en.heldout-00000-of-00050", "1bw_test.txt"),
    "winograd": ("winograd_wsc.jsonl",),
    "hellaswag": ("hellaswag_val.jsonl",),
    "piqa": ("piqa.jsonl",),
    "arc_easy": ("arc_easy.jsonl",),
    "winogrande": ("winogrande.jsonl",),
    "copa": ("copa.jsonl",),
}
PACKED = ("", ".zst", ".gz", ".zip")
DAMAGE = (EOFError, OSError, IndexError, zipfile.BadZipFile, zlib.error)  # IndexError: none inside
TAIL = 5_000_000  # the last bytes of enwik8 and text8 are the test, by convention


def find(name: str, folder: Path) -> Path:
    """Return the file of a set.

    Raises:
        UserError: no such set, or it is not in the directory; says the names it may have.
    """
    if name not in FILES:
        raise UserError(f"task {name!r}: no such task; there are {', '.join(FILES)}")
    for plain in FILES[name]:
        for ending in PACKED:
            path = folder / (plain + ending)
            if path.is_file():
                return path
    raise UserError(
        f"{folder}: has no file of {name}; wanted {' or '.join(FILES[name])}, "
        f"as it is or with {', '.join(PACKED[1:])}"
    )


def present(folder: Path) -> list[str]:
    """Return the sets that a directory has."""
    return [
        name
        for name, plains in FILES.items()
        if any((folder / (plain + ending)).is_file() for plain in plains for ending in PACKED)
    ]


def read_bytes(path: Path) -> bytes:
    """Return what a file holds, unpacked.

    Raises:
        UserError: it is damaged, or empty.
    """
    content = _unpacked(path)
    if not content.strip():
        raise UserError(f"{path}: empty; get it again")
    return content


def _unpacked(path: Path) -> bytes:
    try:
        if path.suffix == ".zst":
            return _unzstd(path.read_bytes())
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes())
        if path.suffix == ".zip":
            with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as packed:
                names = [name for name in packed.namelist() if not name.endswith("/")]
                return packed.read(names[0])
        return path.read_bytes()
    except Exception as error:
        if isinstance(error, DAMAGE) or "zstd" in str(error):
            raise UserError(f"{path}: damaged ({error}); get it again") from None
        raise


def _unzstd(packed: bytes) -> bytes:
    """Undo Zstandard, all its frames.

    Raises:
        EOFError: the last one is cut, about which a stream reader says nothing.
    """
    import zstandard

    found = []
    while packed:
        frame = zstandard.ZstdDecompressor().decompressobj()
        found.append(frame.decompress(packed))
        if not frame.eof:
            raise EOFError("ends within a frame")
        packed = frame.unused_data
    return b"".join(found)


def read_text(path: Path) -> str:
    """Return a file's text, without a byte order mark.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None


def tail(path: Path) -> str:
    """Return the last five million bytes of a file, without a character that was cut in two."""
    return read_bytes(path)[-TAIL:].decode("utf-8", errors="ignore")


def rows(path: Path, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the items of a JSONL file.

    Lines end in LF alone: a text in them may have U+2028 and its like, which Python takes for ends.

    Raises:
        UserError: a line is not a JSON object; says which.
    """
    lines = (line for line in read_text(path).split("\n") if line.strip())
    for number, line in enumerate(lines):
        if limit is not None and number >= limit:
            return
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: line {number + 1} is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {number + 1} is no object; wanted {{...}}")
        yield row


@dataclass(frozen=True)
class Choice:
    """One question: which of several texts is the one that was meant."""

    contexts: tuple[str, ...]  # the text before each option: one for all, or one for each
    choices: tuple[str, ...]
    gold: int
    subject: str = ""  # HellaSwag's name for what goes on

    @property
    def substituted(self) -> bool:
        """Whether the options are in the context, and the continuation is the same for all."""
        return len(self.contexts) > 1


def choices(path: Path, limit: int | None = None) -> list[Choice]:
    """Return the items of a multiple-choice set.

    Raises:
        UserError: an item lacks a field.
    """
    found = []
    for number, row in enumerate(rows(path, limit)):
        try:
            found.append(checked(choice(row)))
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{path}: item {number + 1} lacks {error}; wanted query, choices and gold, or "
                "context_options, continuation and gold"
            ) from None
        except (ValueError, AttributeError) as error:
            raise UserError(f"{path}: item {number + 1}: {error}") from None
    return found


def checked(item: Choice) -> Choice:
    """Return an item of which a model can choose, its texts whole.

    Raises:
        ValueError: it has no options, an empty one, one that is no text, or no right one.
    """
    options = tuple(map(text, item.choices))
    if not options or not all(options):
        raise ValueError(f"options {list(options)}; wanted texts, none of them empty")
    if not 0 <= item.gold < len(options):
        raise ValueError(f"gold = {item.gold}; wanted 0 to {len(options) - 1}")
    return replace(item, contexts=tuple(map(text, item.contexts)), choices=options)


def text(found: object) -> str:
    """Return a text of a set's item, halves of surrogate pairs replaced by U+FFFD.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(found, str):
        raise ValueError(f"{found!r} is no text")  # noqa: TRY004 -- of a file, not of a caller
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def listed(found: object) -> tuple[Any, ...]:
    """Return the options of a set's item.

    Raises:
        ValueError: they are no list.
    """
    if not isinstance(found, list):
        raise ValueError(f"{found!r} is no list of texts")  # noqa: TRY004 -- of a file
    return tuple(found)


def choice(row: dict[str, Any]) -> Choice:
    """Return one item."""
    if "endings" in row:  # HellaSwag's own fields
        context = f"{row['ctx_a']} {row['ctx_b'].capitalize()}"
        endings = listed(row["endings"])
        return Choice((context,), endings, int(row["label"]), row["activity_label"])
    if "context_options" in row:
        options = listed(row["context_options"])
        return Choice(options, (row["continuation"],) * len(options), int(row["gold"]))
    return Choice((row["query"],), listed(row["choices"]), int(row["gold"]))


def lambada(path: Path, limit: int | None = None) -> list[tuple[str, str]]:
    """Return passages and the word that ends each.

    Raises:
        UserError: an item has no text.
    """
    found = []
    for number, row in enumerate(rows(path, limit)):
        if "text" not in row and not {"context", "continuation"} <= row.keys():
            raise UserError(f"{path}: an item lacks text, or context and continuation")
        try:
            passage = row["text"] if "text" in row else f"{row['context']} {row['continuation']}"
            before, _, word = text(passage).rpartition(" ")
        except ValueError as error:
            raise UserError(f"{path}: item {number + 1}: {error}") from None
        found.append((before, word))
    return found


@dataclass(frozen=True)
class Cloze:
    """Twenty sentences, the twenty-first with a gap, and ten words of which one fills it."""

    context: str
    before: str
    after: str
    options: tuple[str, ...]
    gold: int


def cbt(path: Path, limit: int | None = None) -> list[Cloze]:
    """Return the items of a file of the Children's Book Test.

    Twenty numbered lines, then "21 a sentence with XXXXX", a tab, the answer, two tabs, and the ten
    candidates with bars between; a blank line.

    Raises:
        UserError: a block is not like that.
    """
    found = []
    blocks = [block for block in re.split(r"\n\s*\n", read_text(path)) if block.strip()]
    for block in blocks[:limit]:
        lines = [line.strip("\n").partition(" ")[2] for line in block.strip("\n").split("\n")]
        question = lines[-1].split("\t")
        options = tuple(question[-1].split("|"))
        if len(question) < 3 or "XXXXX" not in question[0] or question[1] not in options:
            raise UserError(f"{path}: {lines[-1][:60]!r} is no question of the Book Test")
        before, _, after = question[0].partition("XXXXX")
        context = " ".join(lines[:-1])
        gold = options.index(question[1])
        found.append(Cloze(context, before.strip(), after.strip(), options, gold))
    return found
