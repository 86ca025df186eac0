"""OpenAI's encodings after GPT-2's, from tiktoken's cache, without the network.

tiktoken removes a file that is not what was published and downloads it; here it stays, and is
refused. Its regular expressions fail on a million blanks; here such a text is cut.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import tiktoken

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.tokens import bpe

# The file of each. Source: tiktoken_ext/openai_public.py, which checks its downloads against the
# same values.
PUBLISHED: Final = "https://openaipublic.blob.core.windows.net/encodings/"
SHA256: Final = {
    "r50k_base": "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
    "p50k_base": "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
FOLDER: Final = "TIKTOKEN_CACHE_DIR"  # the environment's name for the cache

AS_GPT2: Final = ("r50k_base", "p50k_base")  # cut a text into pieces as GPT-2 does
WHOLE_END: Final = ("cl100k_base",)  # take a text's last blanks as one piece, line ends too
LONG: Final = bpe.LONG  # blanks


def encoding(name: str) -> tiktoken.Encoding:
    """Return one of tiktoken's encodings, from its cache.

    Raises:
        UserError: the file is not there, or not what was published.
    """
    folder = os.environ.get(FOLDER) or os.environ.get("DATA_GYM_CACHE_DIR")
    home = Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache")
    address = f"{PUBLISHED}{name}.tiktoken"
    path = home / hashlib.sha1(address.encode()).hexdigest()  # noqa: S324 -- tiktoken's own names
    if not path.is_file():
        raise UserError(
            f"tokens.tokenizer = {name!r}: its file is not at hand; put {address} there as {path} "
            f"({FOLDER} names another folder)"
        )
    if why := bpe.fault(path, SHA256[name]):
        raise UserError(
            f"tokens.tokenizer = {name!r}: not the file that was published, or only a part of it "
            f"({why}); get {address} anew and put it there"
        )
    before = os.environ.get(FOLDER)
    os.environ[FOLDER] = str(home)  # where it is empty, tiktoken asks the network
    try:
        return tiktoken.get_encoding(name)
    finally:
        if before is None:
            del os.environ[FOLDER]
        else:
            os.environ[FOLDER] = before


def encoded(inner: tiktoken.Encoding, text: str) -> npt.NDArray[np.uint32]:
    """Return the tokens of a text, none of them special."""
    if inner.name in AS_GPT2:
        return bpe.encoded(inner, text)
    try:
        return inner.encode_to_numpy(text, disallowed_special=())
    except ValueError:  # a page of a million blanks
        found = [
            (blanks(inner) if alone else inner).encode_to_numpy(part, disallowed_special=())
            for part, alone in cut(inner, text)
        ]
        return np.concatenate(found)


@cache
def blanks(inner: tiktoken.Encoding) -> tiktoken.Encoding:
    """Return an encoding with the same tokens that takes blanks for one piece, however many."""
    ranks = inner._mergeable_ranks  # noqa: SLF001 -- as tiktoken's README extends an encoding
    return tiktoken.Encoding("blanks", pat_str=r"\s+", mergeable_ranks=ranks, special_tokens={})


def cut(inner: tiktoken.Encoding, text: str) -> Iterator[tuple[str, bool]]:
    r"""Yield the parts of a text, and whether each is one piece of nothing but blanks.

    The patterns begin a piece after the last line end of a run of blanks (`\s*[\r\n]+`), and at
    the last blank before what follows (`\s+(?!\S)`), so the tokens stay the same. At the end of a
    text, cl100k_base's takes all blanks at once (`\s++$`), which needs no cut.
    """
    start = 0
    for run in bpe.BLANKS.finditer(text):
        first = max(text.rfind(mark, run.start(), run.end()) for mark in "\r\n") + 1
        first = max(first, run.start())
        end = run.end() - (run.end() < len(text))
        if end - first < LONG or (end == len(text) and inner.name in WHOLE_END):
            continue
        yield text[start:first], False
        yield text[first:end], True
        start = end
    yield text[start:], False
