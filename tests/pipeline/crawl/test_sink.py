import contextlib
import errno
import gzip
import io
import os
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from tests.pipeline.crawl.fakes import page
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl import sink as sink_module
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import OPEN_FILES, Sink, stored_head

NOTES = [("robots", "allow: /"), ("linked", "http://a.test/1")]


@pytest.fixture
def sink(tmp_path):
    made = Sink(tmp_path, Crawl(contact="https://example.org/bot"))
    yield made
    made.close()


def exchange(i=1, body=b"<p>text", **changes):
    return page(f"http://a.test/{i}", body).exchange.__class__(
        **{**page(f"http://a.test/{i}", body).exchange.__dict__, **changes}
    )


def records(path):
    with path.open("rb") as file:
        return [
            (
                record.rec_type,
                record.rec_headers,
                record.http_headers,
                record.content_stream().read(),
            )
            for record in ArchiveIterator(file)
        ]


def checked(path):
    """Return the exit value and the words of `warcio check`."""
    options = type("Options", (), {"inputs": [str(path)], "verbose": True})
    checker = Checker(options)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        checker.process_all()
    return checker.exit_value, said.getvalue()


def test_an_exchange_becomes_a_response_a_request_and_what_we_noted(sink, tmp_path):
    place = sink.write(7, exchange(truncated="length"), NOTES)
    assert place.file == "00007.warc.gz"
    assert sink.sync() == [("00007.warc.gz", 7, (tmp_path / place.file).stat().st_size)]
    info, response, request, metadata = records(tmp_path / place.file)
    assert info[0] == "warcinfo"
    assert b"operator: https://example.org/bot\r\n" in info[3]
    kind, headers, http, body = response
    assert kind == "response"
    assert body == b"<p>text"
    assert headers.protocol == "WARC/1.1"
    assert headers.get_header("WARC-Target-URI") == "http://a.test/1"
    assert headers.get_header("WARC-Date") == "2023-11-14T22:13:20.250000Z"
    assert headers.get_header("WARC-IP-Address") == "192.0.2.1"
    assert headers.get_header("WARC-Truncated") == "length"
    assert http.get_header("Content-Length") == "7"
    assert http.get_header("X-Crawler-Transfer-Encoding") == "chunked"
    assert http.get_header("Transfer-Encoding") is None
    assert (request[0], metadata[0]) == ("request", "metadata")
    for other in (request, metadata):
        concurrent = other[1].get_header("WARC-Concurrent-To")
        assert concurrent == headers.get_header("WARC-Record-ID")
    assert metadata[3] == b"robots: allow: /\r\nlinked: http://a.test/1\r\n"


def test_an_independent_reader_finds_every_digest_right(sink, tmp_path):
    for i in range(20):
        sink.write(0, exchange(i, os.urandom(i * 100)), NOTES)
    sink.sync()
    value, said = checked(tmp_path / "00000.warc.gz")
    assert value == 0
    assert said.count("digest pass") == 61  # 20 groups of three and a warcinfo record
    assert "fail" not in said


@pytest.mark.parametrize("size", [3, 44])
@pytest.mark.parametrize("change", [b"", b"X-A: content-length: 44\r\n", b"X-A: b\r\n c\r\n"])
def test_a_head_that_stands_is_stored_as_one_that_is_taken_apart(size, change, monkeypatch):
    head = b"HTTP/1.1 200 OK\r\nServer: x\r\n" + change + b"Content-Length: 44\r\n\r\n"
    stored = stored_head(head, size)
    assert (stored == head) is (size == 44)
    monkeypatch.setattr(sink_module, "stands_as_it_is", lambda head, size: False)
    assert stored_head(head, size) == stored


def test_the_place_of_a_response_is_a_whole_gzip_member(sink, tmp_path):
    places = [sink.write(0, exchange(i), NOTES) for i in range(3)]
    sink.sync()
    data = (tmp_path / "00000.warc.gz").read_bytes()
    for i, place in enumerate(places):
        member = gzip.decompress(data[place.offset : place.offset + place.length])
        assert member.startswith(b"WARC/1.1\r\nWARC-Type: response\r\n")
        assert f"http://a.test/{i}\r\n".encode() in member
        assert f"WARC-Payload-Digest: {place.digest}\r\n".encode() in member


def test_a_full_file_is_rolled(tmp_path):
    sink = Sink(tmp_path, Crawl(), roll=3000)
    files = [sink.write(2, exchange(i, os.urandom(1000)), NOTES).file for i in range(6)]
    sink.close()
    assert files[0] == "00002.warc.gz"
    assert files[-1] == "00002-0002.warc.gz"
    assert sorted(set(files)) == sorted(path.name for path in tmp_path.iterdir())
    assert all(records(path)[0][0] == "warcinfo" for path in tmp_path.iterdir())


def test_a_crawl_goes_on_behind_all_that_is_there_and_changes_none_of_it(tmp_path):
    sink = Sink(tmp_path, Crawl(), roll=3000)
    for i in range(3):
        sink.write(0, exchange(i, os.urandom(1000)), NOTES)
    known = sink.sync()
    sink.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    again = Sink(tmp_path, Crawl(), roll=3000)
    again.recover(known)
    place = again.write(0, exchange(11), NOTES)
    again.sync()
    again.close()
    assert place.file == known[-1][0]
    assert all((tmp_path / name).read_bytes().startswith(was) for name, was in before.items())
    for path in tmp_path.iterdir():
        assert checked(path)[0] == 0


def test_a_file_that_lost_acknowledged_bytes_is_named(sink, tmp_path):
    sink.write(0, exchange(), NOTES)
    known = sink.sync()
    os.truncate(tmp_path / "00000.warc.gz", 10)
    with pytest.raises(UserError, match=r"gz: 10 bytes, but \d+ were written.* put the file back"):
        sink.recover(known)


def test_few_files_are_open_however_many_shards_there_are(sink, tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for shard in range(2 * OPEN_FILES):
        sink.write(shard, exchange(), NOTES)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + OPEN_FILES
    assert len(sink.sync()) == 2 * OPEN_FILES
    sink.write(0, exchange(2), NOTES)
    sink.sync()
    assert [record[0] for record in records(tmp_path / "00000.warc.gz")].count("warcinfo") == 1


def test_a_full_disk_is_an_os_error(sink, monkeypatch):
    def full(_descriptor, data):
        if len(data) > 50:
            return 50  # as a disk does that has room for some
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        sink.write(0, exchange(), NOTES)


@pytest.mark.parametrize(
    ("head", "size", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 3, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            3,
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        ),
        (
            b"HTTP/1.1 200 OK\ncontent-length: 9\nContent-Encoding: gzip, br\nX: \xe9\n y\n\n",
            3,
            (
                b"HTTP/1.1 200 OK\r\nX-Crawler-content-length: 9\r\n"
                b"X-Crawler-Content-Encoding: gzip, br\r\nX: \xe9\r\n y\r\n"
                b"Content-Length: 3\r\n\r\n"
            ),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: own\r\n\r\n",
            3,
            b"HTTP/1.1 200 OK\r\nContent-Encoding: own\r\nContent-Length: 3\r\n\r\n",
        ),
    ],
    ids=["none", "right", "encoded", "unknown coding"],
)
def test_headers_describe_the_stored_body(head, size, expected):
    assert stored_head(head, size) == expected
