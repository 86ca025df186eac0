"""Where tiktoken encodes for another tokenizer, and where it would be another's tokens."""

import json
import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from webtext.pipeline.tokens import bpe, byte_level, encoders
from webtext.pipeline.tokens.byte_level import through_tiktoken

WORDS = ["a", "aa", "ab", "ba", "b", "c", "abc", "the", " ", "  ", "\n", "\n\n", "'s", "'S", "1"]
WORDS += [
    "12",
    "é",
    "e\u0301",
    "ſ",
    "\u3000",
    "\u00a0",
    "\u2028",
    "中",
    "😀",
    "<|endoftext|>",
    "\x00",
]


def drawn(rng: random.Random, most: int = 40) -> str:
    return "".join(rng.choices(WORDS, k=rng.randint(1, most)))


def made_of(
    merges: list[str], added: str = bpe.SPECIAL, special: bool = True, **model
) -> Tokenizer:
    """Return a tokenizer with these merges, each written as two halves with a blank between."""
    pairs = [tuple(line.split()) for line in merges]
    letters = [*sorted(bpe.byte_letters()), *dict.fromkeys("".join(pair) for pair in pairs)]
    vocabulary = {name: number for number, name in enumerate(letters)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, **model))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([added]) if special else inner.add_tokens([added])
    inner.encode_special_tokens = True
    return inner


@pytest.fixture(autouse=True)
def same_letters(monkeypatch):
    """To try all characters takes half a second; one test does it."""
    found = byte_level.same_letters
    monkeypatch.setattr(byte_level, "same_letters", lambda: True)
    return found


@pytest.mark.parametrize("vocabulary", [257, 270, 300, 420])
def test_a_trained_tokenizer_has_the_same_tokens_by_both(vocabulary):
    rng = random.Random(vocabulary)
    own = encoders.train((drawn(rng, 400) for _ in range(40)), vocabulary, least=1)
    inner = Tokenizer.from_str(own)
    inner.encode_special_tokens = True
    quick = through_tiktoken(inner)
    assert quick is not None
    for _ in range(400):
        text = drawn(rng)
        assert quick.encode_ordinary(text) == inner.encode(text, add_special_tokens=False).ids


def test_merges_made_at_random_are_right_by_tiktoken_or_left_to_the_library():
    """No training, so tokens that their own bytes do not become, and two ways to one token."""
    rng, taken = random.Random(5), 0
    for _ in range(300):
        names, merges = list("aab"), []
        for _ in range(rng.randint(1, 7)):
            pair = rng.choice(names), rng.choice(names)
            if " ".join(pair) not in merges:
                merges.append(" ".join(pair))
                names.append("".join(pair))
        inner = made_of(merges)
        if (quick := through_tiktoken(inner)) is None:
            continue
        taken += 1
        for _ in range(40):
            text = "".join(rng.choices("aab", k=rng.randint(1, 14)))
            ids = inner.encode(text, add_special_tokens=False).ids
            assert quick.encode_ordinary(text) == ids, (merges, text)
    assert 30 < taken < 270


def test_what_tiktoken_would_do_otherwise_is_left_to_the_library():
    assert through_tiktoken(made_of(["a b", "ab c"])) is not None
    assert through_tiktoken(made_of(["b c", "a b", "ab c"])) is None, "abc becomes a, bc"
    assert through_tiktoken(made_of(["a b", "b c", "ab c", "a bc"])) is None, "two ways to abc"
    assert through_tiktoken(made_of(["a b"], "Wort", special=False)) is None, (
        "it is cut out of texts"
    )
    assert through_tiktoken(made_of(["a b"], dropout=0.5)) is None
    assert through_tiktoken(made_of(["a b", "b c", "a bc"], ignore_merges=True)) is None
    assert through_tiktoken(made_of(["a b"], end_of_word_suffix="</w>")) is None
    other = made_of(["a b"])
    other.pre_tokenizer = pre_tokenizers.Whitespace()
    assert through_tiktoken(other) is None
    told = json.loads(made_of(["a b", "b c"]).to_str())
    numbers = told["model"]["vocab"]
    numbers["ab"], numbers["bc"] = numbers["bc"], numbers["ab"]
    assert through_tiktoken(Tokenizer.from_str(json.dumps(told))) is None, "ranks out of order"


@pytest.mark.parametrize(
    ("character", "pattern"),
    [
        ("é", bpe.PATTERN.replace(r"\p{L}++", "[a-z]++")),
        ("\u0663", bpe.PATTERN.replace(r"\p{N}++", "[0-9]++")),
        ("\u2003", bpe.PATTERN.replace(r"\s", " ")),
    ],
)
def test_libraries_that_do_not_know_the_same_letters_are_found_out(
    monkeypatch, same_letters, character, pattern
):
    monkeypatch.setattr(byte_level, "_disputable", lambda: ["b", "+", character])
    assert same_letters.__wrapped__()
    monkeypatch.setattr(byte_level.bpe, "PATTERN", pattern)
    assert not same_letters.__wrapped__()
    monkeypatch.setattr(byte_level, "same_letters", same_letters.__wrapped__)
    assert through_tiktoken(made_of(["a b"])) is None


def test_the_library_begins_and_tiktoken_goes_on_with_the_same_tokens(tmp_path, monkeypatch):
    path, rng = tmp_path / "tokenizer.json", random.Random(3)
    path.write_text(encoders.train((drawn(rng, 400) for _ in range(40)), 400, least=1), "utf-8")
    monkeypatch.setattr(encoders, "MANY", 300)
    own = encoders.of_file(path)
    texts = [drawn(rng) for _ in range(60)] + [" " * 1_100_000 + "a", ""]
    alone = [own._inner.encode(text, add_special_tokens=False).ids for text in texts]
    found = [tokens for text in texts for tokens in own.encode([text])]
    assert "_quick" in vars(own)
    assert own._quick is not None
    assert [tokens.tolist() for tokens in found] == alone


def test_all_characters_that_one_of_them_may_not_know_are_tried(same_letters):
    probe = byte_level._disputable()
    assert {"\u0378", "\U0003ffff"} < set(probe)
    assert "é" not in probe
    assert same_letters(), "these versions know the same letters"
