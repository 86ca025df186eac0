"""Gzip of many members, read as one piece by piece."""

import gzip
import time

import pytest

from webtext.pipeline.archive.codings import FIRST, gunzip
from webtext.pipeline.crawl.http import decode

EMPTY = gzip.compress(b"", mtime=0)
PARTS = [b"", b"a", bytes(range(256)) * 40, b"", b"words " * 5000]
PADDED = [0, 1, FIRST, 3 * FIRST]


@pytest.mark.parametrize("zeros", PADDED)
@pytest.mark.parametrize("level", [0, 9])
def test_members_are_joined_whatever_zeros_and_rest_are_between_and_behind(zeros, level):
    body = bytes(zeros).join(gzip.compress(part, level) for part in PARTS)
    for rest in (b"", b"\0\0", b"something else" * 100):
        found = gunzip(body + rest, 1_000_000)
        assert (found.data, found.whole, found.problem) == (b"".join(PARTS), True, None)


def test_no_more_comes_out_than_may_and_it_counts_as_not_whole():
    body = b"".join(map(gzip.compress, PARTS))
    for most in (1, 5, 10_241, 10_242):
        found = gunzip(body, most)
        assert (found.data, found.whole) == (b"".join(PARTS)[:most], False)


def test_what_is_cut_short_is_not_whole_and_what_is_damaged_says_where():
    first, second = gzip.compress(b"first"), gzip.compress(b"second" * 999, 0)
    cut = gunzip(first + second[:-9], 1_000_000)
    assert cut.data.startswith(b"firstsecond")
    assert (cut.whole, cut.problem) == (False, None)
    torn = gunzip(first + second[:10] + b"\xff" * 99, 1_000_000)
    assert (torn.data, torn.whole, torn.at) == (b"first", False, len(first))
    assert torn.problem


def test_ten_million_bytes_of_empty_members_cost_less_than_a_second():
    body = EMPTY * (10_000_000 // len(EMPTY))
    times = []
    for _ in range(2):
        began = time.process_time()
        assert decode.decoded(body, "gzip", 100_000_000) == (b"", False, True)
        times.append(time.process_time() - began)
    assert min(times) < 1.0
