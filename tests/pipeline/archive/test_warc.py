import gzip
import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
import warcio
import zstandard

from tests.pipeline import warcfile
from tests.pipeline.warcfile import (
    PACKINGS,
    PAGE,
    SEEKABLE,
    http,
    members,
    one,
    record,
    site,
    write,
)
from tests.samples.where import SAMPLES
from webtext.pipeline.archive.warc import read_response, responses
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.fetch import Exchange
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import Sink


def seen(path, **options):
    return [(found.url, found.problem) for found in responses(path, **options)]


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_gives_the_same_responses(tmp_path, packing):
    path = write(tmp_path / "any.name", site(5), PACKINGS[packing])
    found = list(responses(path))
    assert [page.url for page in found] == [f"http://h.test/{n}" for n in range(5)]
    assert [page.body for page in found] == [PAGE + b"<p>%d</p>" % n for n in range(5)]
    assert {page.problem for page in found} == {None}
    assert all(page.offset is not None for page in found) == (packing in SEEKABLE)


@pytest.mark.parametrize("packing", SEEKABLE)
def test_a_response_is_read_again_by_its_offset(tmp_path, packing):
    records = [record("", b"", "warcinfo"), *site(4), record("http://h.test/0", b"", "request")]
    path = write(tmp_path / "a.warc", records, PACKINGS[packing])
    found = list(responses(path))
    assert len(found) == 4
    for page in found:
        assert read_response(path, page.offset, page.length) == page
        assert replace(read_response(path, page.offset), length=page.length) == page


def test_offsets_are_those_that_an_independent_reader_gives(tmp_path):
    path = write(tmp_path / "a.warc.gz", site(20), PACKINGS["gzip, a member a record"])
    with path.open("rb") as file:
        reader = warcio.ArchiveIterator(file)
        theirs = [(entry.rec_headers["WARC-Target-URI"], reader.get_record_offset())
                  for entry in reader]  # fmt: skip
    assert [(page.url, page.offset) for page in responses(path)] == theirs


@pytest.mark.parametrize("packing", ["gzip, one member", "gzip, two members of several"])
@pytest.mark.parametrize("size", [10, 50_000])
def test_no_offset_is_claimed_inside_a_member_that_others_share(tmp_path, packing, size):
    noise = random.Random(1).randbytes(size)
    path = write(tmp_path / "a.warc.gz", site(4, noise), PACKINGS[packing])
    for page in responses(path):
        if page.offset is not None:
            assert read_response(path, page.offset, page.length) == page


def test_what_a_record_says_is_read(tmp_path):
    extra = {"WARC_Truncated": "length", "WARC_IP_Address": "192.0.2.7"}
    found = one(tmp_path, http(b"abc", "404 Not Found", {"content-type": "TEXT/html"}), **extra)
    assert (found.status, found.content_type, found.body) == (404, "TEXT/html", b"abc")
    assert found.head == b"HTTP/1.1 404 Not Found\r\ncontent-type: TEXT/html\r\n\r\n"
    assert found.headers() == [("content-type", "TEXT/html")]
    assert (found.truncated, found.ip) == ("length", "192.0.2.7")
    assert found.date == datetime(2017, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_the_angle_brackets_of_warc_1_0_are_no_part_of_the_url(tmp_path):
    path = write(
        tmp_path / "a.warc", [record("<http://h.test/>").replace(b"WARC/1.1", b"WARC/1.0")]
    )
    assert seen(path) == [("http://h.test/", None)]


def test_lines_may_end_in_lf_alone(tmp_path):
    records = [record(f"http://h.test/{n}", end="\n") for n in range(3)]
    path = write(tmp_path / "a.warc", records)
    found = list(responses(path))
    assert [page.body for page in found] == [PAGE] * 3
    assert read_response(path, found[1].offset, found[1].length) == found[1]


def test_a_resource_record_is_a_response_without_a_head(tmp_path):
    found = one(tmp_path, PAGE, kind="resource")
    assert (found.head, found.status, found.content_type, found.body) == (
        b"", None, "text/html", PAGE)  # fmt: skip


def test_other_records_are_passed_over(tmp_path):
    kinds = ["warcinfo", "request", "metadata"]
    records = [record("http://h.test/", b"x", kind) for kind in kinds]
    assert len(seen(write(tmp_path / "a.warc", [*records, *site(1)]))) == 1


@pytest.mark.parametrize(
    ("kind", "problem"),
    [("revisit", "revisit"), ("conversion", "conversion"), ("continuation", "other_record"),
     ("novelty", "other_record"), (None, "other_record")],
)  # fmt: skip
def test_records_that_stand_for_a_page_but_hold_none_are_named(tmp_path, kind, problem):
    path = write(tmp_path / "a.warc", [record("http://h.test/", b"x", kind)])
    assert seen(path) == [("http://h.test/", problem)]


@pytest.mark.parametrize("date", ["yesterday", "", None])
def test_a_date_that_is_none_is_none(tmp_path, date):
    assert one(tmp_path, http(), WARC_Date=date).date is None


def test_a_body_over_the_bound_is_cut_and_named(tmp_path):
    path = write(tmp_path / "a.warc", [record("http://h.test/", http(b"x" * 5000)), *site(1)])
    first, second = responses(path, max_body=1000)
    assert (len(first.body), first.problem, second.problem) == (1000, "too_large", None)


@pytest.mark.parametrize("block", [b"", b"<html>", b"HTTP/1.1 200 OK\r\nno blank line"])
def test_a_block_that_is_no_http_response_is_named(tmp_path, block):
    found = one(tmp_path, block)
    assert (found.url, found.problem, found.status) == ("http://h.test/", "not_http", None)


@pytest.mark.parametrize("packing", SEEKABLE)
def test_a_file_cut_anywhere_gives_all_whole_records_and_says_that_it_is_torn(tmp_path, packing):
    records = site(3)
    stored = PACKINGS[packing](records)
    ends = [len(PACKINGS[packing](records[:n])) for n in range(1, 4)]
    for cut in range(18, len(stored), 7):
        path = tmp_path / "cut.warc"
        path.write_bytes(stored[:cut])
        # The last bytes of a record are its two line ends, or gzip's checksum of what was read.
        found = [page for page in seen(path) if page[1] is None]
        whole = sum(end <= cut for end in ends)
        assert len(found) in {whole, sum(end <= cut + 12 for end in ends)}
        lost = [problem for _, problem in seen(path) if problem is not None]
        if cut not in ends and len(found) == whole:
            assert lost in (["torn"], ["damaged"])


def test_a_torn_stream_is_named(tmp_path):
    noise = [http(random.Random(n).randbytes(200_000)) for n in range(3)]
    records = [record(f"http://h.test/{n}", noise[n]) for n in range(3)]
    stored = warcfile.compressed(b"".join(records))
    path = tmp_path / "a.warc.zst"
    path.write_bytes(stored[:-10_000])
    assert [problem for _, problem in seen(path)] == [None, None, "torn"]
    path.write_bytes(stored[:1000])
    assert [problem for _, problem in seen(path)] == ["torn"]


def test_a_stream_that_is_torn_between_two_records_is_named_too(tmp_path):
    path = tmp_path / "a.warc.zst"
    frame = zstandard.ZstdCompressor().compressobj()
    stored = b""
    for page in site(2):
        stored += frame.compress(page) + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    path.write_bytes(stored)  # the last block of the frame is missing
    assert [problem for _, problem in seen(path)] == [None, None, "torn"]
    path.write_bytes(stored[:20])  # and here all records
    assert seen(path) == [("", "torn")]
    path.write_bytes(stored + frame.flush())
    assert [problem for _, problem in seen(path)] == [None, None]


@pytest.mark.parametrize("at", [3, 11, 60, -6])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_member_costs_one_record(tmp_path, at, place):
    stored = members(site(3))
    damaged = bytearray(stored[place])
    damaged[at] ^= 0xFF
    stored[place] = bytes(damaged)
    path = write(tmp_path / "a.warc.gz", stored)
    expected = [(f"http://h.test/{n}", None) for n in range(3)]
    expected[place] = ("", "damaged")
    assert seen(path) == expected
    gap = list(responses(path))[place]
    assert (gap.offset, gap.length) == (sum(map(len, stored[:place])), len(stored[place]))


def test_damage_found_in_the_midst_of_a_long_member_keeps_the_url(tmp_path):
    stored = members(site(3, random.Random(1).randbytes(300_000)))
    damaged = bytearray(stored[1])
    damaged[-6] ^= 0xFF
    path = write(tmp_path / "a.warc.gz", [stored[0], bytes(damaged), stored[2]])
    assert seen(path) == [("http://h.test/0", None), ("http://h.test/1", "damaged"),
                          ("http://h.test/2", None)]  # fmt: skip


@pytest.mark.parametrize("junk", [b"junk\r\n\r\n", bytes(100), b"WARC/x\r\n", b"the WARC/1.1 way"])
@pytest.mark.parametrize("packing", SEEKABLE)
def test_junk_between_records_is_skipped_and_counted(tmp_path, junk, packing):
    first, second = (PACKINGS[packing]([page]) for page in site(2))
    path = write(tmp_path / "a.warc", [first, junk, second])
    assert seen(path) == [("http://h.test/0", None), ("", "damaged"), ("http://h.test/1", None)]


@pytest.mark.parametrize("length", [70, 300, "x", -5, 10**30])
def test_a_false_length_costs_that_record_only(tmp_path, length):
    first, _, third, fourth = site(4)
    liar = record("http://h.test/1", number=1, length=length)
    found = seen(write(tmp_path / "a.warc", [first, liar, third, fourth]))
    assert found[0] == ("http://h.test/0", None)
    assert found[-1] == ("http://h.test/3", None)
    assert ("http://h.test/1", None) not in found
    assert any(problem for _, problem in found)


def test_damage_in_one_stream_for_all_records_is_an_error_that_says_where(tmp_path):
    noise = [http(random.Random(n).randbytes(200_000)) for n in range(5)]
    records = [record(f"http://h.test/{n}", noise[n]) for n in range(5)]
    stored = bytearray(warcfile.compressed(b"".join(records)))
    stored[-1] ^= 0xFF  # of the checksum, which is compared once all is decompressed
    path = tmp_path / "a.warc.zst"
    path.write_bytes(stored)
    with pytest.raises(UserError, match=r"a\.warc\.zst: damaged after record 5 .*one compressed"):
        list(responses(path))


@pytest.mark.parametrize("stored", [b"<html>" * 9, gzip.compress(b"<html>", mtime=0), b"file: x"])
def test_what_is_no_warc_file_is_refused(tmp_path, stored):
    path = tmp_path / "page.html"
    path.write_bytes(stored)
    with pytest.raises(UserError, match=r"page\.html: begins with b'.*wanted a WARC file"):
        list(responses(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.warc: No such file or directory"):
        list(responses(tmp_path / "gone.warc"))


def test_an_empty_file_has_no_records(tmp_path):
    (tmp_path / "a.warc.gz").touch()
    assert seen(tmp_path / "a.warc.gz") == []


@pytest.mark.parametrize("offset", [7, 10**6])
def test_a_wrong_offset_is_named(tmp_path, offset):
    path = write(tmp_path / "a.warc", site(2))
    with pytest.raises(UserError, match=f"a.warc: wanted a response record at byte {offset}"):
        read_response(path, offset)


def test_an_offset_of_another_kind_of_record_is_named(tmp_path):
    path = write(tmp_path / "a.warc.gz", members([record("http://h.test/", b"", "request")]))
    with pytest.raises(UserError, match="a request record is there"):
        read_response(path, 0)


@pytest.mark.slow
def test_real_archives_of_wget_are_read_as_warcio_reads_them(shared):
    read_alike(sorted((shared / "miniweb").glob("*.warc.gz")))


def test_an_archive_that_warcio_wrote_is_read_as_warcio_reads_it(tmp_path):
    plain, packed = tmp_path / "a.warc", tmp_path / "a.warc.gz"
    with zstandard.open(SAMPLES / "miniweb" / "sites.warc.zst") as file:
        plain.write_bytes(file.read())
    rewrite = [sys.executable, "-m", "warcio.cli", "recompress", plain, packed]
    subprocess.run(rewrite, check=True, capture_output=True)
    read_alike([packed])


def read_alike(paths):
    for path in paths:
        ours = [(page.url, page.body) for page in responses(path) if page.head]
        with path.open("rb") as file:
            theirs = [
                (entry.rec_headers["WARC-Target-URI"].strip("<>"), entry.content_stream().read())
                for entry in warcio.ArchiveIterator(file)
                if entry.rec_type == "response"
            ]
        assert ours == theirs
        assert len(ours) > 10


def test_what_our_crawler_writes_is_read_back_at_the_place_that_it_noted(tmp_path):
    sink = Sink(tmp_path, Crawl())
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n"
    bodies = [PAGE, gzip.compress(PAGE), random.Random(1).randbytes(100_000)]
    exchanges = [
        Exchange(
            f"http://h.test/{n}", "192.0.2.7", b"GET / HTTP/1.1\r\n\r\n", head, body, None, n, 1.0
        )
        for n, body in enumerate(bodies)
    ]
    places = [sink.write(0, exchange, [("robots", "none")]) for exchange in exchanges]
    sink.close()
    for exchange, place in zip(exchanges, places, strict=True):
        found = read_response(tmp_path / place.file, place.offset, place.length)
        assert (found.url, found.body, found.ip) == (exchange.url, exchange.body, exchange.ip)
    found = list(responses(tmp_path / places[0].file))
    assert [(page.offset, page.length) for page in found] == [
        (place.offset, place.length) for place in places]  # fmt: skip


@pytest.mark.parametrize("packing", PACKINGS)
def test_no_damage_raises_anything_but_a_user_error_or_loses_what_it_did_not_touch(
    tmp_path, packing
):
    whole = PACKINGS[packing](site(6, random.Random(1).randbytes(300)))
    path = tmp_path / "a.warc"
    for seed in range(60):
        rng = random.Random(seed)
        at = rng.randrange(20, len(whole))
        stored = [
            whole[:at] + rng.randbytes(rng.randrange(1, 40)) + whole[at + 20 :],
            whole[:at] + rng.randbytes(rng.randrange(1, 40)) + whole[at:],
            whole[:at],
        ][seed % 3]
        path.write_bytes(stored)
        try:
            found = list(responses(path))
        except UserError:
            assert packing not in SEEKABLE
            continue
        if packing in SEEKABLE:
            places = [(page.offset, page.offset + page.length) for page in found]
            assert all(a[1] <= b[0] for a, b in pairwise(places))
            good = sum(page.problem is None for page in found)
            assert good >= (4 if seed % 3 < 2 else (at * 6 // len(whole)) - 1)


def test_a_file_of_metadata_alone_says_what_it_is(tmp_path):
    path = write(tmp_path / "a.warc.wat.gz", members([record("http://h.test/", b"{}", "metadata")]))
    with pytest.raises(UserError, match="1 metadata records and no response, as a WAT"):
        list(responses(path))
