"""Records as other programs write them, with wrong lengths, and ARC, the format before WARC."""

import gzip
from datetime import UTC, datetime

import pytest
import zstandard

from tests.pipeline.warcfile import PACKINGS, PAGE, SEEKABLE, http, record, site, write
from webtext.pipeline.archive import packing
from webtext.pipeline.archive.warc import read_response, responses


def lower(stored):
    head, _, rest = stored.partition(b"\r\n\r\n")
    version, _, fields = head.partition(b"\r\n")
    return version + b"\r\n" + fields.lower() + b"\r\n\r\n" + rest


GOOD = record("http://h.test/1", number=1)


ODD = {
    "names in lower case": lower(GOOD),
    "names in capitals": GOOD.replace(b"WARC-Type", b"WARC-TYPE").replace(
        b"Content-L", b"CONTENT-L"
    ),
    "an old version": GOOD.replace(b"WARC/1.1", b"WARC/0.18", 1),
    "a line without a colon": GOOD.replace(b"WARC-Date", b"nonsense\r\nWARC-Date", 1),
    "an empty line within the fields": GOOD.replace(b"WARC-Date", b"\r\nWARC-Date", 1),
    "a folded field": GOOD.replace(b"WARC-Type: response", b"WARC-Type:\r\n response", 1),
    "one empty line behind": GOOD[:-2],
    "none behind": GOOD[:-4],
    "four behind": GOOD + b"\r\n\r\n",
    "no blank after a colon": GOOD.replace(b": ", b":", 4),
    "a URL in angle brackets": GOOD.replace(b"http://h.test/1", b"<http://h.test/1>", 1),
    "blanks before the length": GOOD.replace(b"Content-Length: ", b"Content-Length:    ", 1),
    "another letter case": GOOD.replace(b"Type: response", b"Type: Response", 1),
    "a type without a blank": GOOD.replace(b"http; msg", b"http;msg", 1),
    "a type without its message": GOOD.replace(b"; msgtype=response", b"", 1),
    "fractions of a second": GOOD.replace(b"06:07Z", b"06:07.123456Z", 1),
    "another time zone": GOOD.replace(b"06:07Z", b"06:07+02:00", 1),
    "no time zone": GOOD.replace(b"06:07Z", b"06:07", 1),
    "no id": GOOD.replace(b"WARC-Record-ID", b"X-Record-ID", 1),
    "a head that ends in LF": record("http://h.test/1", http().replace(b"\r\n", b"\n"), number=1),
    "HTTP/2": record("http://h.test/1", http().replace(b"1.1 200 OK", b"2 200"), number=1),
    "chunks that were joined": record(
        "http://h.test/1", http(headers={"Transfer-Encoding": "chunked"}), number=1
    ),
    "a version to come": GOOD.replace(b"WARC/1.1", b"WARC/2.0", 1),
    "a version in lower case": GOOD.replace(b"WARC/1.1", b"warc/1.0", 1),
    "a version of one number": GOOD.replace(b"WARC/1.1", b"WARC/1", 1),
    "a blank line before": b" \r\n" + GOOD,
    "a false length before the right one": GOOD.replace(
        b"Content-Length", b"Content-Length: 5\r\nContent-Length", 1
    ),
    "100 Continue first": record(
        "http://h.test/1",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nA: b\r\n\r\n" + http(),
    ),
    "HTTP in lower case": record("http://h.test/1", b"\r\nhttp" + http()[4:]),
    "a status without a blank": record("http://h.test/1", http(status="200OK")),
    "a resource that is an answer": record(
        "http://h.test/1", kind="resource", Content_Type="application/http; msgtype=response"
    ),
    "an answer without a head": record("http://h.test/1", PAGE, Content_Type="text/html"),
    "gzip that was also a transfer encoding": record(
        "http://h.test/1",
        http(
            b"%020x\r\n%s\r\n0\r\n\r\n" % (len(gzip.compress(PAGE)), gzip.compress(PAGE)),
            headers={"Content-Type": "text/html", "Transfer-Encoding": "gzip, chunked;"},
        ),
    ),
    "a page about WARC": record("http://h.test/1", http(b"<p>\nWARC/1.0\r\nWARC-Type: x\r\n")),
}


@pytest.mark.parametrize("packing", SEEKABLE)
@pytest.mark.parametrize("name", ODD)
def test_records_are_read_as_others_write_them(tmp_path, name, packing):
    first, _, third = site(3)
    path = write(tmp_path / "a.warc", [first, ODD[name], third], PACKINGS[packing])
    found = list(responses(path))
    assert [(page.url, page.problem) for page in found] == [
        (f"http://h.test/{n}", None) for n in range(3)]  # fmt: skip
    assert found[1].body.startswith((b"<!doctype", b"<p>"))
    assert found[1].status in (200, None)
    assert all(read_response(path, page.offset, page.length) == page for page in found)


@pytest.mark.parametrize("packing", SEEKABLE)
@pytest.mark.parametrize("length", [0, 1, 70, 150, 300, 5000, 10**9, 10**30, -1, "x", ""])
def test_a_false_length_has_one_row_and_costs_no_neighbour(tmp_path, packing, length):
    liar = record("http://h.test/1", number=1, length=length)
    first, _, third, fourth = site(4)
    path = write(tmp_path / "a.warc", [first, liar, third, fourth], PACKINGS[packing])
    found = [(page.url, page.problem) for page in responses(path)]
    good = [url for url, problem in found if problem is None]
    assert good == ["http://h.test/0", "http://h.test/2", "http://h.test/3"]
    assert next(url for url, problem in found if problem is not None) == "http://h.test/1"


ARC = b"filedesc://a.arc 0.0.0.0 20060504030201 text/plain 9\n1 0 Test\n\n"


def arc(*pages, more=b""):
    lines = b""
    for number, page in enumerate(pages):
        block = http(page)
        lines += b"http://h.test/%d 192.0.2.7 20060504030201 text/html%s %d\n" % (
            number, more, len(block)) + block + b"\n"  # fmt: skip
    return lines


@pytest.mark.parametrize(
    "line",
    [
        b"http://h.test/a page 192.0.2.7 20060504030201 text/html",
        b"http://h.test/ 192.0.2.7 200605040302 text/html",
        b"http://h.test/ 192.0.2.7 20060504030201 no-type",
        b"http://h.test/ - 20060504030201 text/html",
        b"HTTP://H.TEST/ 192.0.2.7 20060504030201000 text/html",
        b"http://h.test/ 2001:db8::7 20060504030201 text/html 200 - - 9 a.arc",
        b"https://h.test/?a=1 2 3 192.0.2.7 20060504030201 text/html; charset=utf-8",
    ],
)
def test_a_line_of_arc_is_read_as_others_write_it(tmp_path, line):
    stored = http()
    parts = [ARC, b"%s %d\n" % (line, len(stored)), stored, b"\n\n", arc(PAGE)]
    found = list(responses(write(tmp_path / "a.arc", parts, b"".join)))
    assert [(page.body, page.problem) for page in found] == [(PAGE, None)] * 2
    assert found[0].url.lower().startswith(("http://h.test/", "https://h.test/"))


@pytest.mark.parametrize("more", [b"", b" 200 checksum - 0 a.arc"])
@pytest.mark.parametrize("packed", [False, True])
def test_an_arc_file_is_read_record_by_record(tmp_path, packed, more):
    parts = [ARC, arc(PAGE, PAGE + b"x", more=more)]
    path = write(
        tmp_path / "a.arc", parts, PACKINGS["gzip, a member a record"] if packed else b"".join
    )
    found = list(responses(path))
    assert [(page.url, page.body, page.ip) for page in found] == [
        ("http://h.test/0", PAGE, "192.0.2.7"),
        ("http://h.test/1", PAGE + b"x", "192.0.2.7"),
    ]
    assert found[0].date == datetime(2006, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_arc_records_may_lack_a_head_of_http_and_a_line_between(tmp_path, end):
    line = b"http://h.test/%d 192.0.2.7 20060504030201 text/html %d\n"
    records = [line % (n, len(PAGE)) + PAGE + end for n in range(3)]
    found = list(responses(write(tmp_path / "a.arc", [ARC.rstrip(b"\n") + end + b"\n", *records])))
    assert [(page.body, page.problem) for page in found[-3:]] == [(PAGE, None)] * 3


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n", b" \n", b"\r\n\r\n"])
def test_what_is_blank_before_the_first_record_is_no_damage(tmp_path, before):
    path = write(tmp_path / "a.warc", [before, *site(2)])
    assert [page.problem for page in responses(path)] == [None, None]


@pytest.mark.parametrize("at", [10, 100, 400, 700])
def test_members_that_are_cut_within_records_are_read_as_one_stream(tmp_path, at):
    records = site(5)
    whole = gzip.compress(records[0])
    pieces = [one for record in records[1:4] for one in (record[:at], record[at:]) if one]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(whole + b"".join(map(gzip.compress, [*pieces, records[4]])))
    found = list(responses(path))
    assert [(page.url, page.problem) for page in found] == [
        (f"http://h.test/{n}", None) for n in range(5)
    ]
    assert found[0].offset == 0
    assert all(page.body.startswith(PAGE) for page in found)


def test_damage_beyond_a_cut_member_costs_no_record_after_it(tmp_path):
    first, second, third = site(3)
    bad = bytearray(gzip.compress(second[300:]))
    bad[-6] ^= 1  # its checksum
    path = tmp_path / "a.warc.gz"
    path.write_bytes(
        gzip.compress(first) + gzip.compress(second[:300]) + bytes(bad) + gzip.compress(third)
    )
    found = list(responses(path))
    assert [page.problem for page in found] == [None, "damaged", None]
    assert [found[0].url, found[2].url] == ["http://h.test/0", "http://h.test/2"]


@pytest.mark.parametrize("size", [b"\x09", b"\x09\0\0\0half"])
def test_a_stream_of_zstandard_may_end_within_its_dictionary(tmp_path, size):
    path = tmp_path / "a.warc.zst"
    path.write_bytes(packing.ZSTD_DICTIONARY + size)
    assert [page.problem for page in responses(path)] == ["torn"]


def test_a_stream_of_zstandard_may_begin_with_a_frame_to_skip(tmp_path):
    stored = b"\x50\x2a\x4d\x18\x04\0\0\0note" + zstandard.compress(b"".join(site(2)))
    (tmp_path / "a.warc.zst").write_bytes(stored)
    assert [page.problem for page in responses(tmp_path / "a.warc.zst")] == [None, None]
