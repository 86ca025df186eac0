import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.crawl.http import decode

PACKERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
BOMBS = PACKERS | {"br": lambda body: brotli.compress(body, quality=1)}


@given(st.binary(max_size=2000), st.lists(st.sampled_from(sorted(PACKERS)), max_size=2))
def test_what_was_encoded_is_decoded(body, names):
    packed = body
    for name in names:
        packed = PACKERS[name](packed)
    assert decode.decoded(packed, ", ".join(names), 10_000) == (body, False, bool(names) or None)


@given(st.binary(max_size=3000), st.sampled_from(sorted(PACKERS)), st.integers(0, 4000))
def test_no_more_comes_out_than_was_asked_for(body, name, most):
    data, cut, whole = decode.decoded(PACKERS[name](body), name, most)
    assert data == body[:most]
    assert cut is (len(body) > most)
    assert whole


@given(st.binary(max_size=300), st.sampled_from(sorted(PACKERS)))
def test_bytes_that_are_no_such_encoding_are_refused_or_read_to_their_end(body, name):
    try:
        data, _, _ = decode.decoded(body, name, 1000)
    except decode.EncodingError:
        return
    assert len(data) <= 1000


@pytest.mark.parametrize("name", sorted(PACKERS))
def test_a_stream_that_ends_too_early_is_not_whole(name):
    body = bytes(range(256)) * 40
    data, cut, whole = decode.decoded(PACKERS[name](body)[:-5], name, 100_000)
    assert body.startswith(data)
    assert (cut, whole) == (False, False)


@pytest.mark.parametrize("name", sorted(PACKERS))
def test_a_bomb_takes_no_more_memory_than_its_bound(name):
    bomb = BOMBS[name](bytes(10_000_000))
    tracemalloc.start()
    try:
        data, cut, _ = decode.decoded(bomb, name, 100_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(data), cut) == (100_000, True)
    assert peak < 2_000_000  # bytes


def test_every_encoding_that_is_offered_is_tested_here():
    assert set(decode.DECODERS) == set(PACKERS)
