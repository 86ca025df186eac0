"""From the steps of a training to the documents that they read, and back.

The model knows only the places of tokens, and the pipeline knows no model, so the two are joined
here: what a step reads follows from its number, and `documents.parquet` says which documents.
"""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webtext.model.batches.data import Batches, Range
from webtext.model.batches.token_shards import fingerprint as tokens_fingerprint
from webtext.pipeline.core.directories.lookup import lookup
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.tokens.tokens import INDEX, documents_at

if TYPE_CHECKING:
    # It needs torch, which takes seconds to load; the inspector does without.
    from webtext.model.training import run as runs

Row = dict[str, Any]


def runs_in(runs: Path, data: Path) -> Iterator[tuple[Path, Row]]:
    """Yield each training run in a folder and in `runs/` of a data directory, and its record.

    Scheduled trainings and the demo have their runs in the data directory.

    Raises:
        UserError: a record cannot be read.
    """
    for path in sorted({*runs.glob("**/config.json"), *data.glob("runs/**/config.json")}):
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"{path}: not JSON ({error}); put it right, so that what the run was trained on "
                "is known"
            ) from None
        if isinstance(config, dict):
            yield path.parent, config


def trained_on(config: Row) -> str | None:
    """Return the sha256 of the tokens that a run was trained on, None if it names none."""
    tokens = config.get("tokens")
    return str(tokens.get("sha256")) if isinstance(tokens, dict) else None


def batch(run: Path, step: int, tokens: Path | None = None) -> list[Row]:
    """Return what a step reads: for each window its number, its tokens' place and its documents.

    A document belongs to a window if one of its tokens is an input there. (The token after the last
    input, which is predicted, is the next window's first.) `tokens` is for token shards that have
    been moved since.

    Raises:
        UserError: no such run or step; the tokens are gone, are others, or have no index.
    """
    from webtext.model.training import run as runs

    config = runs.read(run)
    if not 0 <= step < config.train.steps:
        raise UserError(f"--step {step}: {run} has steps 0 to {config.train.steps - 1}")
    batches = opened(config, tokens)
    return read_by(batches, [int(window) for window in batches.windows(step)])


def read_by(batches: Batches, windows: list[int]) -> list[Row]:
    """Return what these windows hold, as `batch` does."""
    size = batches.context
    spans = [(window * size, (window + 1) * size) for window in windows]
    directory = Directory(batches.stream.folder)
    found = documents_at(directory, batches.stream.split, spans)
    return [
        {
            "window": window,
            "tokens": [place(part) for part in batches.stream.ranges(*span)],
            "documents": [{name: row[name] for name in ("id", "url", "length")} for row in rows],
        }
        for window, span, rows in zip(windows, spans, found, strict=True)
    ]


def place(part: Range) -> Row:
    """Return a range of tokens as plain values."""
    return {"file": part.file, "start": part.start, "end": part.end}


def steps(run: Path, identity: str, tokens: Path | None = None) -> Row:
    """Return at which of the steps taken so far a run read a document, and which were skipped.

    Raises:
        UserError: no such run; the tokens are gone, are others, or have no index.
    """
    from webtext.model.training import run as runs

    config = runs.read(run)
    batches = opened(config, tokens)
    taken, skipped = 0, set()
    for line in runs.log(run):
        taken = line["step"] + 1
        if line["skipped"]:
            skipped.add(line["step"])
    return {"run": str(run), "taken": taken, **read_at(batches, identity, taken, skipped)}


def read_at(batches: Batches, identity: str, taken: int, skipped: Collection[int]) -> Row:
    """Return a document's split, and which of the first `taken` steps read it or were skipped.

    Raises:
        UserError: a shard of the tokens, or their index, is gone or damaged.
    """
    found: Row = {"split": None, "steps": [], "skipped": []}
    for _, row in lookup(batches.stream.folder / INDEX, identity):
        found["split"] = row["split"]
        if row["split"] == batches.stream.split:
            file = f"{row['split']}-{row['shard']:05d}.bin"
            read = batches.steps(Range(file, row["start"], row["start"] + row["length"]), taken)
            found["steps"] = [step for step in read if step not in skipped]
            found["skipped"] = [step for step in read if step in skipped]
    return found


def opened(config: "runs.Config", tokens: Path | None) -> Batches:
    """Return the batches of a run, of the tokens it was trained on, and the index of documents."""
    folder = tokens or config.tokens
    batches = config.batches(folder)
    if tokens_fingerprint(folder) != config.sha256:
        raise UserError(f"{folder}: not the tokens that the run was begun with; name those")
    if not (folder / INDEX).exists():
        raise UserError(
            f"{folder / INDEX}: no such file, so nobody knows whose the tokens are; put it back"
        )
    return batches


def named(rows: list[Row], most: int = 8) -> str:
    """Return the URLs of the documents in some windows, the first of them.

    >>> named([{"documents": [{"url": "http://a/"}, {"url": "http://b/"}]}], most=1)
    'http://a/ and 1 more'
    """
    found = list(dict.fromkeys(row["url"] for window in rows for row in window["documents"]))
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def describe(rows: list[Row]) -> str:
    """Return a batch as lines for people: a window a line, its documents below."""
    lines = []
    for window in rows:
        parts = ", ".join(f"{p['file']} {p['start']:,}-{p['end']:,}" for p in window["tokens"])
        lines.append(f"window {window['window']:,}: {parts}")
        lines += [f"  {row['id']} {row['url']}" for row in window["documents"]]
    return "\n".join(lines)


def tell_steps(found: Row) -> str:
    """Return when a run read a document, in a line."""
    head = f"trained   {found['run']}: "
    if found["split"] is None:
        return head + "not among its tokens"
    if found["split"] != "train":
        return head + "held out, in val"
    read = ", ".join(f"{step:,}" for step in found["steps"]) or "none"
    skipped = ", ".join(f"{step:,}" for step in found["skipped"])
    tail = f"; skipped {skipped}" if skipped else ""
    return f"{head}read at step {read} of the {found['taken']:,} taken{tail}"
