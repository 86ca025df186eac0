"""What a response's body is, below its chunks and content encodings."""

import gzip
import random
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline import warcfile
from tests.pipeline.warcfile import PAGE, http, one
from webtext.pipeline.archive import payload

CHUNKED = b"5;x=y\r\n<p>ab\r\n0004\r\nc</p\r\n1\r\n>\r\n0\r\nTrailer: x\r\n\r\n"


ENCODED = {
    "gzip": gzip.compress(PAGE),
    "x-gzip": gzip.compress(PAGE[:9]) + gzip.compress(PAGE[9:]),
    "deflate": zlib.compress(PAGE),
    "Deflate": warcfile.raw_deflate(PAGE),
    "br": brotli.compress(PAGE),
    "zstd": warcfile.compressed(PAGE),
    "gzip, br": brotli.compress(gzip.compress(PAGE)),
    "identity": PAGE,
    "utf-8": PAGE,
}


@pytest.mark.parametrize("coding", ENCODED)
def test_content_encodings_are_undone(tmp_path, coding):
    found = one(tmp_path, http(ENCODED[coding], headers={"Content-Encoding": coding}))
    assert (found.body, found.problem, found.truncated) == (PAGE, None, None)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_was_decoded_before_is_left_alone(tmp_path, coding):
    found = one(tmp_path, http(headers={"Content-Encoding": coding}))
    assert (found.body, found.problem) == (PAGE, None)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_cut_at_the_bound(tmp_path, coding):
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress,
            "zstd": warcfile.compressed}[coding]  # fmt: skip
    found = one(tmp_path, http(pack(bytes(5_000_000)), headers={"Content-Encoding": coding}))
    assert (len(found.body), found.problem) == (100_000, "too_large")


@pytest.mark.parametrize("coding", ["deflate", "br", "gzip", "zstd"])
def test_a_broken_encoding_has_its_name(tmp_path, coding):
    magic = {"gzip": b"\x1f\x8b\x08\x00", "zstd": b"\x28\xb5\x2f\xfd"}.get(coding, b"")
    found = one(tmp_path, http(magic + b"\xff" * 99, headers={"Content-Encoding": coding}))
    assert found.problem == "bad_encoding"


def test_an_encoding_that_breaks_off_leaves_what_came_before(tmp_path):
    page = PAGE + random.Random(1).randbytes(2000)
    found = one(tmp_path, http(gzip.compress(page)[:-900], headers={"Content-Encoding": "gzip"}))
    assert found.problem is None
    assert found.truncated == "disconnect"
    assert page.startswith(found.body)
    assert len(found.body) > 500


def test_encodings_nested_too_deep_are_not_undone(tmp_path):
    found = one(tmp_path, http(headers={"Content-Encoding": "gzip, gzip, gzip, gzip"}))
    assert found.problem == "bad_encoding"


@pytest.mark.parametrize(
    ("body", "expected", "truncated"),
    [
        (CHUNKED, b"<p>abc</p>", None),
        (b"<p>not chunked</p>", b"<p>not chunked</p>", None),  # an archive joined the chunks
        (b"3\r\nabc\r\n", b"abc", "disconnect"),
        (b"9\r\nabc", b"abc", "disconnect"),
        (b"", b"", None),
    ],
)
def test_chunks_are_joined(tmp_path, body, expected, truncated):
    found = one(tmp_path, http(body, headers={"Transfer-Encoding": "chunked"}))
    assert (found.body, found.truncated, found.problem) == (expected, truncated, None)


def test_chunks_and_compression_are_undone_in_order(tmp_path):
    packed = gzip.compress(PAGE)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    fields = {"transfer-encoding": "chunked", "content-encoding": "gzip"}
    assert one(tmp_path, http(body, headers=fields)).body == PAGE


@given(st.binary(), st.lists(st.sampled_from(["gzip", "br", "zstd", "deflate", "x"]), max_size=4))
def test_no_body_and_no_coding_raises(body, codings):
    fields = [("Content-Encoding", ",".join(codings)), ("Transfer-Encoding", "chunked")]
    assert len(payload.unpack(fields, body, 100).data) <= max(100, len(body))


@pytest.mark.parametrize("cut", range(1, len(CHUNKED), 3))
def test_chunks_cut_anywhere_give_what_came(tmp_path, cut):
    found = one(tmp_path, http(CHUNKED[:cut], headers={"Transfer-Encoding": "chunked"}))
    assert b"<p>abc</p>".startswith(found.body)
    assert found.problem is None


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_bytes_behind_a_coded_body_are_left(tmp_path, coding):
    stored = ENCODED[coding] + b"\r\nand more"
    found = one(tmp_path, http(stored, headers={"Content-Encoding": coding}))
    assert (found.body, found.problem) == (PAGE, None)
