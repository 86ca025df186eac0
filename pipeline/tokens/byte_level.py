"""Byte-level BPE of a tokenizer.json through tiktoken, which is several times faster.

tiktoken joins the two neighbours whose bytes together are the token of the lowest rank; the library
tokenizers goes by its list of merges. Both give the same tokens for every text if the merges make
each token once and in the order of their numbers, and if each token's own bytes become that token:
what a token is joined from depends on its own bytes only, so two neighbours that are no merge but
together are a token never stand beside each other when its turn comes. This is checked of each
tokenizer; so is that both libraries' regular expressions know the same letters. Whatever is
otherwise is encoded by the library itself.
"""

import json
import unicodedata
from functools import cache
from typing import Any

import tiktoken

from webtext.pipeline.tokens import bpe

# What `Tokenizer.to_str` has for the pieces of GPT-2; `trim_offsets` has no effect on tokens.
PIECES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
PLAIN = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "byte_fallback": False,
    "ignore_merges": False,
    "continuing_subword_prefix": "",
    "end_of_word_suffix": "",
}


def is_byte_level(inner: Any) -> bool:
    """Whether the tokens of a tokenizer of the library are bytes written as letters."""
    return "ByteLevel" in json.dumps(json.loads(inner.to_str()).get("decoder"))


def through_tiktoken(inner: Any) -> tiktoken.Encoding | None:
    """Return an encoding with the same tokens for every text as a tokenizer; None if not sure."""
    told = json.loads(inner.to_str())
    model, pieces = told["model"], told["pre_tokenizer"] or {}
    plain = all((model.get(key) or None) == (value or None) for key, value in PLAIN.items())
    known = all(pieces.get(key) == value for key, value in PIECES.items())
    if not plain or not known or told["normalizer"]:
        return None
    if not all(token["special"] for token in told["added_tokens"]):
        return None  # others are found in texts, too
    added = {token["content"]: token["id"] for token in told["added_tokens"]}
    ranks = _ranks({name: n for name, n in model["vocab"].items() if name not in added}, model)
    if not ranks or not all(len(inner.model.tokenize(name)) == 1 for name in ranks):
        return None
    return _encoding(ranks, added) if same_letters() else None


@cache
def same_letters() -> bool:
    """Whether both libraries find the same pieces around characters that Unicode may have new.

    Both encode all of them with a vocabulary in which a letter, a digit and a blank each are joined
    with the first byte of what follows, if it is in the same piece.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = {byte: letter for letter, byte in bpe.byte_letters().items()}
    pairs = [(letters[one], letters[lead]) for one in b"a1 " for lead in range(0xC2, 0xF5)]
    names = [*letters.values(), *map("".join, pairs)]
    ranks = {name: number for number, name in enumerate(names)}
    inner = Tokenizer(models.BPE(vocab=ranks, merges=pairs))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = "".join(f"a{new}1{new}b {new}b" for new in _disputable())
    theirs = inner.encode(text, add_special_tokens=False).ids
    return bool(_encoding(ranks, {}).encode_ordinary(text) == theirs)


def _encoding(ranks: dict[str, int], special: dict[str, int]) -> tiktoken.Encoding:
    letters = bpe.byte_letters()
    inner = {bytes(map(letters.__getitem__, name)): rank for name, rank in ranks.items()}
    return tiktoken.Encoding(
        "own", pat_str=bpe.PATTERN, mergeable_ranks=inner, special_tokens=special
    )


def _ranks(vocabulary: dict[str, int], model: dict[str, Any]) -> dict[str, int]:
    """Return a vocabulary if its merges make each token once, in order; else nothing."""
    letters = bpe.byte_letters()
    merged = ["".join(pair) for pair in model["merges"]]
    numbers = [vocabulary.get(name, -1) for name in merged]
    ordered = all(one < two for one, two in zip([-1, *numbers], numbers, strict=False))
    whole = ordered and vocabulary.keys() == letters.keys() | set(merged)
    return vocabulary if whole else {}


def _disputable() -> list[str]:
    """Return all characters that Python's version of Unicode does not assign.

    Unicode puts new letters and numbers into the first four planes of 65,536 characters.
    """
    return [chr(n) for n in range(4 << 16) if unicodedata.category(chr(n)) == "Cn"]
