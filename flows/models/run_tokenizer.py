"""Which tokenizer a training run, or a model in transformers' layout, has."""

import shutil
from pathlib import Path
from typing import Any

from webtext.model.batches.token_shards import fingerprint
from webtext.model.training import run as runs
from webtext.pipeline.core.directories.checked import sha256
from webtext.pipeline.core.directories.json_files import read_object
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import replacing
from webtext.pipeline.tokens import bpe, encoders
from webtext.pipeline.tokens.encoders import FILE, GPT2, STATS, Encoder

CONFIG = "config.json"  # of a run, and of a model
VOCABULARY = "vocab.json"  # of GPT-2's models, as transformers has them


def told(tokens: Path) -> dict[str, Any]:
    """Return what a directory of tokens says of its tokenizer; nothing where it is GPT-2's."""
    if not (tokens / STATS).is_file():
        return {}
    found = read_object(tokens / STATS, "make the tokens again").get("tokenizer")
    return found if isinstance(found, dict) and found.get("name") != GPT2 else {}


def shape(tokens: Path) -> dict[str, int]:
    """Return the settings of a model that follow from its tokens; none where they are GPT-2's."""
    found = told(tokens)
    if not found:
        return {}
    vocab, end = int(found["vocabulary"]), int(found["end"])
    return {"vocab": vocab, **({"end_of_text": end} if end != default_end(vocab) else {})}


def default_end(vocab: int) -> int:
    """Return the end of text of a model that names none."""
    return min(bpe.END_OF_TEXT, vocab - 1)


def keep(tokens: Path, run: Path) -> None:
    """Copy the tokenizer's file of a directory of tokens into the run that is trained on these.

    Not into one that was refused these tokens: it has another tokenizer.
    """
    if not (tokens / FILE).is_file() or (run / FILE).exists():
        return
    if (run / CONFIG).is_file() and runs.read(run).sha256 == fingerprint(tokens):
        with replacing(run / FILE) as partial:
            shutil.copyfile(tokens / FILE, partial)


def of(place: Path) -> Encoder:
    """Return the tokenizer of a run or of a model's directory.

    Raises:
        UserError: its file is not at hand.
    """
    if (place / CONFIG).is_file() and (place / "checkpoints").is_dir():
        tokens = runs.read(place).tokens
        found = told(tokens)
        if (place / FILE).is_file():
            return encoders.encoder(str(place / FILE), str(found.get("end_of_text", "")))
        if found and not tokens.is_dir():
            raise UserError(f"{tokens}: not there, and it has the tokenizer of {place}")
        return encoders.beside(tokens)
    vocabulary = place / VOCABULARY
    if not (place / FILE).is_file() or (
        vocabulary.is_file() and sha256(vocabulary) == bpe.SHA256["encoder.json"]
    ):
        return encoders.encoder()
    return encoders.encoder(str(place / FILE))
