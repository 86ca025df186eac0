"""Tokenizers behind one interface: GPT-2's, tiktoken's others, and those of a tokenizer.json.

A tokenizer is named by what a recipe says: "gpt2"; the name of one of tiktoken's encodings, whose
file must be at hand, for nothing is downloaded; or the path of a tokenizer.json.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from webtext.pipeline.core.directories.checked import while_unchanged
from webtext.pipeline.core.directories.json_files import read_object
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.tokens import bpe, later_encodings
from webtext.pipeline.tokens.byte_level import is_byte_level, through_tiktoken

GPT2: Final = bpe.NAME
FILE: Final = "tokenizer.json"  # the copy beside what was made with it
STATS: Final = "stats.json"

OTHERS: Final = tuple(later_encodings.SHA256)

# What precedes each document, the first of these that a tokenizer has. Source: the tokenizers of
# GPT-2, Llama 3, Llama 2 and Mistral, Gemma, Qwen.
ENDS: Final = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>")

# Characters after which it is worth half a second to find out whether tiktoken may encode the rest.
MANY: Final = 2_000_000


class Encoder(Protocol):
    """What every tokenizer can do."""

    name: str
    vocabulary: int  # how many tokens there are
    end: int  # the token before each document

    @property
    def known_by(self) -> dict[str, Any]:
        """Plain values that identify it."""

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Return the tokens of texts, none of them special."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, exactly if the tokenizer loses nothing."""

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""


def width(encoder: Encoder) -> str:
    """Return numpy's name of the type that tokens are stored as: 16 bits where they fit."""
    return "<u2" if encoder.vocabulary <= 1 << 16 else "<u4"


def encoder(name: str = GPT2, end: str = "", known_by: Mapping[str, Any] | None = None) -> Encoder:
    """Return a tokenizer; `end` names the token before each document, if not one of ENDS.

    Raises:
        UserError: its file is not at hand, or is none; it has no token for the end of a text; it
            is not the one that `known_by` identifies.
    """
    if name == GPT2:
        return gpt2()
    found = of_tiktoken(name) if name in OTHERS else of_file(Path(name).expanduser(), end)
    if known_by is not None and found.known_by != known_by:
        raise UserError(
            f"tokens.tokenizer = {name!r}: the file is not what it was when this began; put the "
            "former one back and run this again to go on with what is encoded, or leave the new "
            "one and run this again: then all is encoded anew by it, beside that"
        )
    return found


@cache
def gpt2() -> Encoder:
    """Return GPT-2's."""
    return OfTiktoken(GPT2, bpe.encoding(), {})


@cache
def of_tiktoken(name: str) -> Encoder:
    """Return one of tiktoken's encodings, from its cache.

    Raises:
        UserError: the file is not there, or not what was published.
    """
    inner = later_encodings.encoding(name)
    return OfTiktoken(name, inner, {"sha256": later_encodings.SHA256[name]})


class OfTiktoken:
    """An encoding of tiktoken."""

    def __init__(self, name: str, inner: Any, known_by: dict[str, Any]) -> None:
        self.name, self.vocabulary, self.end = name, inner.n_vocab, inner.eot_token
        self._inner, self._known_by = inner, known_by

    @property
    def known_by(self) -> dict[str, Any]:
        return {"name": self.name, **self._known_by}

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[Any]]:
        if self.name == GPT2:
            return [bpe.encode(text) for text in texts]
        return [later_encodings.encoded(self._inner, text) for text in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._inner.decode(tokens, errors="surrogatepass"))

    def piece(self, token: int) -> bytes:
        try:
            return bytes(self._inner.decode_single_token_bytes(token))
        except KeyError:  # a gap in the vocabulary
            return b""


def of_file(path: Path, end: str = "") -> Encoder:
    """Return the tokenizer of a tokenizer.json.

    Raises:
        UserError: there is none, or it is damaged, or has no token for the end of a text.
    """
    if path.is_dir():
        path = path / FILE
    if not path.is_file():
        known = ", ".join((GPT2, *OTHERS))
        raise UserError(
            f"tokens.tokenizer = {str(path)!r}: no such file; wanted {known}, or the path of a "
            "tokenizer.json, as `webtext tokenizer train` writes it"
        )
    return _of_file(str(path), end)


@while_unchanged(4)
def _of_file(name: str, end: str) -> Encoder:
    from tokenizers import Tokenizer

    path = Path(name)
    content = path.read_bytes()
    try:
        inner = Tokenizer.from_str(content.decode())
    except Exception as error:  # noqa: BLE001 -- the library raises nothing more exact
        raise UserError(f"{path}: not a tokenizer.json ({error})") from None
    inner.encode_special_tokens = True  # what looks like a special token in a text is text
    inner.no_truncation()
    inner.no_padding()
    wanted = (end,) if end else ENDS
    ids = [found for name in wanted if (found := inner.token_to_id(name)) is not None]
    if not ids:
        raise UserError(
            f"{path}: has none of the tokens {', '.join(wanted)}, which would go before each "
            "document; name another one of its tokens as tokens.end_of_text"
        )
    return OfFile(path.name, inner, ids[0], content.decode())


class OfFile:
    """A tokenizer of the library tokenizers."""

    def __init__(self, name: str, inner: Any, end: int, content: str) -> None:
        self.name, self.end, self.content = name, end, content
        self.end_name = str(inner.id_to_token(end))
        self.vocabulary = max(inner.get_vocab().values()) + 1
        self._inner = inner
        self._seen = 0
        self._letters = bpe.byte_letters() if is_byte_level(inner) else None

    @property
    def known_by(self) -> dict[str, Any]:
        return {"sha256": hashlib.sha256(self.content.encode()).hexdigest(), "end": self.end}

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[Any]]:
        self._seen += sum(map(len, texts))
        if self._seen > MANY and self._quick:
            return [bpe.encoded(self._quick, text) for text in texts]
        found = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(one.ids, np.uint32) for one in found]

    @cached_property
    def _quick(self) -> Any:
        return through_tiktoken(self._inner)

    def decode(self, tokens: Sequence[int]) -> str:
        if self._letters is None:
            return str(self._inner.decode(list(tokens), skip_special_tokens=False))
        return b"".join(map(self.piece, tokens)).decode("utf-8", "surrogatepass")

    def piece(self, token: int) -> bytes:
        found = self._inner.id_to_token(token) or ""
        if self._letters is not None and all(letter in self._letters for letter in found):
            return bytes(self._letters[letter] for letter in found)
        if found.startswith("<0x") and found.endswith(">"):
            return bytes([int(found[3:-1], 16)])
        return str(found).replace("\u2581", " ").encode()  # as SentencePiece writes a blank


def train(texts: Any, vocabulary: int, least: int = 2) -> str:
    """Return the tokenizer.json of a byte-level BPE of this many tokens, trained on texts.

    The pieces are GPT-2's, the last token is `<|endoftext|>`. It has fewer tokens if the texts have
    fewer pairs that occur `least` times.

    Raises:
        UserError: too few tokens for all bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocabulary < 257:
        raise UserError(f"--vocabulary {vocabulary}: wanted 257 or more, a token for each byte")
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1,
        min_frequency=least,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    inner.add_special_tokens([bpe.SPECIAL])
    return str(inner.to_str(pretty=True)) + "\n"


def beside(folder: Path) -> Encoder:
    """Return the tokenizer of a directory of tokens, or of a training run, by what lies there.

    Raises:
        UserError: its stats or its tokenizer cannot be read.
    """
    if (folder / FILE).is_file():
        return encoder(str((folder / FILE).resolve()), end_of(folder))
    if not (folder / STATS).is_file():
        return encoder()
    name = read_object(folder / STATS, "make the tokens again").get("tokenizer", {}).get("name")
    return encoder(name if name in OTHERS else GPT2)


def end_of(folder: Path) -> str:
    """Return the name of the token before each document, "" where it is one of ENDS."""
    if not (folder / STATS).is_file():
        return ""
    told = read_object(folder / STATS, "make the tokens again").get("tokenizer", {})
    return str(told.get("end_of_text", ""))
