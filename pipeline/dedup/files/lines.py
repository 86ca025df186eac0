"""Ids and texts out of JSON Lines as columns, a megabyte of lines at a time."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pyarrow as pa

from webtext.pipeline.core.compressed import CUT_SHORT, blocks, chunks, cut, utf8
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.jsonlines import decoded, mended
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.tables import INT32

LONGEST_LINE = 1 << 30  # bytes
DECODED = 1 << 20  # bytes of lines decoded in one call, or one line where that is longer
ROWS = pa.schema([("id", pa.string()), ("text", pa.string()), ("score", pa.int32())])


def read_lines(
    path: Path,
    names: Mapping[str, str],
    whole_numbers: list[bool],
    left_out: dict[int, str],
    progress: Progress,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of ROWS; clear `whole_numbers[0]` at an id that is not an integer.

    `names` says which member of an object is which column. A line that is not an object with an
    id and a text goes into `left_out`, by its number, with what is wrong with it.

    Raises:
        UserError: the file ends too early, or all of its lines are like that; says where.
    """
    size, read, done, number = path.stat().st_size, 0, 0, 1

    def tick(count: int) -> None:
        nonlocal read
        read += count

    decoder = _decoder(names)
    for chunk in _gathered(chunks(utf8(blocks(path, tick)), LONGEST_LINE)):
        rows = None if isinstance(chunk, int) else decoded(chunk, decoder)
        if rows is None:
            found = (chunk,) if isinstance(chunk, int) else cut(chunk)
            rows = list(_one_by_one(found, path, number, names, decoder, left_out))
            number += len(found)
        else:
            number += len(rows)
        yield _columns(rows, whole_numbers)
        done += len(rows)
        progress(min(read, size), size, f"signing, {done} documents")
    if left_out and not done:
        at, flaw = next(iter(left_out.items()))
        raise UserError(f"{path}, line {at}: {flaw}")


def _decoder(names: Mapping[str, str]) -> "msgspec.json.Decoder[Any]":
    """Return a decoder of the id, text and score of an object, which skips the rest."""
    kinds: dict[str, tuple[Any, ...]] = {
        "id": (str | int,),
        "text": (str | None,),
        "score": (Any, None),
    }
    row = msgspec.defstruct(
        "Row",
        [(ours, *kind) for ours, kind in kinds.items()],
        rename={ours: name for name, ours in names.items()},
        gc=False,  # nothing in it refers back to it
    )
    return msgspec.json.Decoder(row)


def _gathered(found: Iterable[bytes | int]) -> Iterator[bytes | int]:
    """Join chunks of whole lines to DECODED bytes or more."""
    held: list[bytes] = []
    size = 0
    for chunk in found:
        if isinstance(chunk, bytes):
            held.append(chunk)
            size += len(chunk)
            if size < DECODED:
                continue
        if held:
            yield b"".join(held)
            held, size = [], 0
        if isinstance(chunk, int):
            yield chunk
    if held:
        yield b"".join(held)


def _one_by_one(
    lines: Iterable[bytes | int],
    path: Path,
    number: int,
    names: Mapping[str, str],
    decoder: "msgspec.json.Decoder[Any]",
    left_out: dict[int, str],
) -> Iterator[Any]:
    """Decode lines of which at least one is odd; empty lines are skipped."""
    for at, line in enumerate(lines, number):
        if isinstance(line, bytes) and not line.strip():
            continue
        if line == CUT_SHORT:
            raise UserError(f"{path}, line {at}: {_flaw(line, names)}")
        try:
            yield decoder.decode(line)  # type: ignore[arg-type]  # a length is a TypeError
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, RecursionError):
            try:
                yield decoder.decode(mended(line))
            except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
                left_out[at] = _flaw(line, names)


def which(ours: str) -> str:
    """Say how to name the field that holds what we call `id` or `text`."""
    return f"name the one that holds the {ours} with --{ours}-field"


def _flaw(line: bytes | int, names: Mapping[str, str]) -> str:
    """Say what is wrong with a line that could not be decoded."""
    if line == CUT_SHORT:
        return "the file is damaged or ends too early; fetch it again"
    if isinstance(line, int):
        return f"{line} bytes long; wanted {LONGEST_LINE} at most"
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"not JSON ({error})"
    if not isinstance(found, dict):
        return f"found {type(found).__name__}, wanted an object with id and text"
    for name, ours in names.items():
        value = found.get(name)
        if ours in {"id", "text"} and name not in found:
            return f"no {name!r}; it has {', '.join(found)}: {which(ours)}"
        if ours == "id" and (isinstance(value, bool) or not isinstance(value, (str, int))):
            return f"{name!r} is {value!r}; wanted a string or a number"
        if ours == "text" and not isinstance(value, (str, type(None))):
            return f"{name!r} is not text but {type(value).__name__}"
    return "JSON that cannot be read; write it with another program"


def _columns(rows: list[Any], whole_numbers: list[bool]) -> pa.RecordBatch:
    """Turn decoded rows into columns."""
    ids: list[str | int] = [row.id for row in rows]
    scores = [row.score for row in rows]
    if rows and any(type(name) is str or abs(name) >= 2**63 for name in ids):  # type: ignore[arg-type]  # an integer here
        whole_numbers[0] = False
    if scores.count(None) < len(scores):
        scores = [_score(score) for score in scores]
    columns = [
        pa.array(map(str, ids), pa.string(), size=len(ids)),
        pa.array([row.text for row in rows], pa.string()),
        pa.array(scores, pa.int32()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ROWS)


def _score(found: Any) -> int | None:
    """Return a score as `tables.scores` does."""
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return max(-INT32, min(INT32, int(found))) if isinstance(found, int) else None
