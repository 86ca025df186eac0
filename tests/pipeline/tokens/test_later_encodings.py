"""tiktoken's other encodings: their files are checked and stay, and no text is too blank."""

import hashlib
import os
import random

import pytest
import tiktoken
from tiktoken_ext import openai_public

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.tokens import bpe, encoders, later_encodings

MERGES = [b"  ", b"    ", b"\n\n", b"\n ", b" \n", b"\r\n", b"\n\n  ", b" a", b"\n    ", b"  \n"]
RANKS = {bytes([n]): n for n in range(256)} | {one: 256 + n for n, one in enumerate(MERGES)}


@pytest.fixture
def published(monkeypatch):
    """What tiktoken has of each encoding, and the address and hash of its file; none is read."""
    asked = {}
    monkeypatch.setattr(
        openai_public,
        "load_tiktoken_bpe",
        lambda address, expected_hash: asked.setdefault(address, expected_hash) and RANKS,
    )
    told = {name: getattr(openai_public, name)() for name in later_encodings.SHA256}
    return told, asked


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where the file of cl100k_base is looked for."""
    encoders.of_tiktoken.cache_clear()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    address = f"{later_encodings.PUBLISHED}cl100k_base.tiktoken"
    yield tmp_path / hashlib.sha1(address.encode()).hexdigest()
    encoders.of_tiktoken.cache_clear()


def test_the_hashes_are_those_that_tiktoken_expects(published):
    found = {
        f"{later_encodings.PUBLISHED}{name}.tiktoken": sha256
        for name, sha256 in later_encodings.SHA256.items()
    }
    assert published[1] == found


def test_a_file_that_is_missing_or_only_half_there_is_refused_and_stays(file, monkeypatch):
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: pytest.fail("would be fetched"))
    with pytest.raises(UserError, match=r"cl100k_base.*not at hand; put https"):
        encoders.of_tiktoken("cl100k_base")
    file.write_bytes(b"half")
    with pytest.raises(UserError, match=r"only a part of it .*expected 223921b7.*; get https"):
        encoders.of_tiktoken("cl100k_base")
    assert file.read_bytes() == b"half"


@pytest.mark.parametrize("said", ["here", "", None])
def test_an_encoding_is_taken_from_the_folder_where_its_file_was_found(file, monkeypatch, said):
    file.write_bytes(b"here")
    sha256 = hashlib.sha256(b"here").hexdigest()
    monkeypatch.setitem(later_encodings.SHA256, "cl100k_base", sha256)
    if said != "here":
        monkeypatch.setenv("DATA_GYM_CACHE_DIR", str(file.parent))
        monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
        if said is not None:
            monkeypatch.setenv("TIKTOKEN_CACHE_DIR", said)
    before = os.environ.get("TIKTOKEN_CACHE_DIR")

    def found(name):
        assert os.environ["TIKTOKEN_CACHE_DIR"] == str(file.parent)
        return bpe.encoding()

    monkeypatch.setattr(tiktoken, "get_encoding", found)
    made = encoders.of_tiktoken("cl100k_base")
    assert made.encode(["hello world"])[0].tolist() == [31373, 995]
    assert made.known_by == {"name": "cl100k_base", "sha256": sha256}
    assert os.environ.get("TIKTOKEN_CACHE_DIR") == before


def encoding(published, name):
    pattern = published[0][name]["pat_str"]
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=RANKS, special_tokens={})


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_cutting_at_blanks_changes_no_token(name, published, monkeypatch):
    monkeypatch.setattr(later_encodings, "LONG", 2)
    inner = encoding(published, name)
    chance = random.Random(1)
    cuts = 0
    for _ in range(4000):
        text = "".join(chance.choices("a1.'/\n\r \t\u3000", [2, 1, 2, 1, 1, 3, 2, 9, 2, 2], k=14))
        parts = list(later_encodings.cut(inner, text))
        assert "".join(part for part, _ in parts) == text
        cuts += len(parts) > 1
        found = [
            token
            for part, alone in parts
            for token in (later_encodings.blanks(inner) if alone else inner).encode_ordinary(part)
        ]
        assert found == inner.encode_ordinary(text), ascii(text)
    assert cuts > 1000


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_a_million_blanks_are_encoded_all_the_same(name, published):
    inner = encoding(published, name)
    text = "one \n" + " " * 1_100_001 + "word"
    found = later_encodings.encoded(inner, text)
    assert inner.decode(found.tolist()) == text
    assert (found == RANKS[b"    "]).sum() == 1_100_000 // 4


def test_the_others_cut_as_gpt2_does(published):
    patterns = {published[0][name]["pat_str"] for name in later_encodings.AS_GPT2}
    assert patterns == {bpe.PATTERN}
