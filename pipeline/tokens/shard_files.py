"""Files of tokens as llm.c has them: a header of 256 integers, then the tokens.

Tokens of 16 bits follow the header of llm.c's GPT-2, tokens of 32 bits that of its Llama 3.
Source: karpathy/llm.c, dev/data/data_common.py
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import replacing

HEADER: Final = 256  # little-endian int32, of which the first three are used
FORMATS: Final = {"<u2": (20240520, 1), "<u4": (20240801, 7)}  # by the tokens' type
BLOCK: Final = 1 << 22  # tokens copied at a time, 8 MB or 16

Tokens = npt.NDArray[Any]  # uint16 or uint32


def write_bin(path: Path, pieces: list[Tokens], kind: str = "<u2") -> None:
    """Write one file, whole or not at all; `kind` is numpy's name of the tokens' type."""
    header = np.zeros(HEADER, "<i4")
    header[:3] = *FORMATS[kind], sum(map(len, pieces))
    with replacing(path) as partial_path, partial_path.open("wb") as file:
        file.write(header.tobytes())
        for piece in pieces:
            for start in range(0, len(piece), BLOCK):
                file.write(piece[start : start + BLOCK].astype(kind, copy=False).tobytes())


def read_bin(path: Path) -> Tokens:
    """Return the tokens of one file, as a read-only view of it.

    Raises:
        UserError: it is not a file of this format, or not all of it is there.
    """
    checked.confirm(path)
    try:
        header = np.fromfile(path, "<i4", HEADER)
        size = path.stat().st_size - 4 * HEADER
    except FileNotFoundError:
        raise UserError(f"{path}: no such token shard; build the tokens") from None
    begun = tuple(header[:2].tolist())
    kind = next((kind for kind, wanted in FORMATS.items() if wanted == begun), None)
    if len(header) < HEADER or kind is None:
        magic, version = FORMATS["<u2"]
        raise UserError(
            f"{path}: expected llm.c's header ({magic}, {version}, count), found "
            f"{header[:3].tolist()}; it is not a token shard"
        )
    length = size // np.dtype(kind).itemsize
    if header[2] != length:
        raise UserError(
            f"{path}: its header says {header[2]} tokens, found {length}; put back the right one, "
            "or make the tokens again"
        )
    if not length:
        return np.empty(0, kind)
    return np.memmap(path, kind, "r", offset=4 * HEADER)
