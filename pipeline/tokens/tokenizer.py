"""GPT-2's tokenizer as files that others load: transformers, tokenizers, lm-eval, llama.cpp.

vocab.json and merges.txt are OpenAI's encoder.json and vocab.bpe, byte for byte; tokenizer.json
contains the same in the format of the library tokenizers, which needs no other file.
"""

import json
from pathlib import Path
from typing import Any

from webtext.pipeline.core.shards import write_text
from webtext.pipeline.tokens.bpe import END_OF_TEXT, SPECIAL, vocabulary
from webtext.pipeline.tokens.encoders import OfFile

FILES = ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json")


def write_tokenizer(folder: Path, context: int, tiktoken_cache: str = "") -> list[Path]:
    """Write the files of `FILES`; return their paths. `context` is how long a text may be.

    Raises:
        UserError: the vocabulary is not found.
    """
    files = vocabulary(tiktoken_cache)
    encoder, merges = files["encoder.json"].decode(), files["vocab.bpe"].decode()
    texts = (encoder, merges, dumped(fast(encoder, merges)), dumped(config(context)))
    paths = [folder / name for name in FILES]
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text)
    return paths


def write_other(folder: Path, context: int, encoder: OfFile) -> list[Path]:
    """Write tokenizer.json and tokenizer_config.json of another tokenizer; return their paths."""
    end = encoder.end_name
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        **dict.fromkeys(("bos_token", "eos_token", "unk_token"), end),
        "clean_up_tokenization_spaces": False,
    }
    paths = [folder / name for name in FILES[2:]]
    for path, text in zip(paths, (encoder.content, dumped(told)), strict=True):
        write_text(path, text)
    return paths


def config(context: int) -> dict[str, Any]:
    """Return transformers' tokenizer_config.json."""
    return {
        "tokenizer_class": "GPT2Tokenizer",
        "model_max_length": context,
        "bos_token": SPECIAL,
        "eos_token": SPECIAL,
        "unk_token": SPECIAL,
        "add_prefix_space": False,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
    }


def fast(encoder: str, merges: str) -> dict[str, Any]:
    """Return tokenizer.json of the two files' contents."""
    lines = [line for line in merges.split("\n")[1:] if line]  # the first tells the version
    special = {"id": END_OF_TEXT, "content": SPECIAL, "special": True, "normalized": True}
    special |= dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special],
        "normalizer": None,
        "pre_tokenizer": byte_level | {"trim_offsets": True},
        "post_processor": byte_level | {"trim_offsets": False},
        "decoder": byte_level | {"trim_offsets": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": json.loads(encoder),
            "merges": [line.split(" ") for line in lines],
        },
    }


def dumped(value: dict[str, Any]) -> str:
    """Return JSON as the Hub's files have it."""
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
