"""Texts of evaluation sets, for measuring what a corpus shares with them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from webtext.pipeline.core.compressed import ArchiveError, blocks, utf8
from webtext.pipeline.core.errors import UserError


def examples(path: Path) -> Iterator[str]:
    """Yield the texts of a set: all strings of each line of .jsonl, else the whole file.

    Files may be compressed (.zst, .gz, .xz, .bz2). The strings of a line are one text, because a
    sentence may continue in the next one, as from a context to its continuation.

    Raises:
        UserError: the file is missing or damaged, or a line is not JSON.
    """
    try:
        text = b"".join(utf8(blocks(path))).decode("utf-8", "replace")
    except (OSError, ArchiveError) as error:
        raise UserError(
            f"{path}: not to be read as an evaluation set ({error}); get it anew"
        ) from None
    if ".jsonl" not in path.name:
        yield text
        return
    for number, line in enumerate(text.split("\n"), start=1):  # a text may have other line ends
        if not line.strip():
            continue
        try:
            yield " ".join(strings(json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: line {number}: not JSON ({error}); get it anew") from None


def strings(value: Any) -> Iterator[str]:
    """Yield every string in a JSON value, in order.

    >>> list(strings({"context": "It is", "options": ["so", "not"], "gold": 1}))
    ['It is', 'so', 'not']
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
