"""WARC files made by hand, so that the reader is not tested against its own library."""

import gzip
import struct
import zlib
from pathlib import Path

import zstandard

from webtext.pipeline.archive.warc import responses

PAGE = b"<!doctype html><title>A page</title><p>Some text of its own.</p>"


def http(body=PAGE, status="200 OK", headers=None):
    """Return an HTTP response; `headers` in order, a Content-Type of HTML if none are given."""
    fields = {"Content-Type": "text/html; charset=utf-8"} if headers is None else headers
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def record(url, block=None, kind="response", number=0, length=None, end="\r\n", **extra):
    """Return one record; `length` is what it claims, where that is not the truth."""
    block = http() if block is None else block
    content_type = {"response": "application/http; msgtype=response"}.get(kind, "text/html")
    fields = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-0000-0000-{number:012d}>",
        "WARC-Date": "2017-03-04T05:06:07Z",
        "WARC-Target-URI": url,
        "Content-Type": content_type,
        "Content-Length": len(block) if length is None else length,
        **{name.replace("_", "-"): value for name, value in extra.items()},
    }
    head = "".join(f"{name}: {value}{end}" for name, value in fields.items() if value is not None)
    return f"WARC/1.1{end}{head}{end}".encode() + block + f"{end}{end}".encode()


def site(count, body=PAGE, host="h.test"):
    """Return records of as many pages of one site."""
    return [
        record(f"http://{host}/{n}", http(body + b"<p>%d</p>" % n), number=n) for n in range(count)
    ]


def compressed(stored):
    return zstandard.ZstdCompressor(write_checksum=True).compress(stored)


def with_dictionary(records, packed=False):
    """Return frames that need a dictionary, after the frame that holds it."""
    samples = [one + bytes([n % 251]) * 9 for one in records for n in range(200)]
    trained = zstandard.train_dictionary(1024, samples)
    stored = compressed(trained.as_bytes()) if packed else trained.as_bytes()
    frames = zstandard.ZstdCompressor(dict_data=trained)
    front = b"\x5d\x2a\x4d\x18" + struct.pack("<I", len(stored)) + stored
    return front + b"".join(map(frames.compress, records))


def long_window(stored):
    """Return a zstd stream as `zstd --long=28` writes it, which plain readers refuse."""
    parameters = zstandard.ZstdCompressionParameters(window_log=28, compression_level=1)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return stream.compress(stored) + stream.flush()


def members(records):
    return [gzip.compress(one, mtime=0) for one in records]


def raw_deflate(stored):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(stored) + packer.flush()


def write(path: Path, records, pack=b"".join):
    path.write_bytes(pack(records))
    return path


def one(tmp_path, block, **extra):
    """Write a file of one record and read it back."""
    path = write(tmp_path / "one.warc", [record("http://h.test/", block, **extra)])
    (found,) = responses(path, max_body=100_000)
    return found


def cut_anywhere(records, every=333):
    """Return gzip members that begin and end within records."""
    whole = b"".join(records)
    return b"".join(members([whole[at : at + every] for at in range(0, len(whole), every)]))


PACKINGS = {
    "plain": b"".join,
    "gzip, a member a record": lambda records: b"".join(members(records)),
    "gzip, one member": lambda records: gzip.compress(b"".join(records)),
    "gzip, two members of several": lambda records: b"".join(
        members([b"".join(records[:2]), b"".join(records[2:])])
    ),
    "gzip, members cut anywhere": cut_anywhere,
    "zstd, one stream": lambda records: compressed(b"".join(records)),
    "zstd, a frame a record": lambda records: b"".join(map(compressed, records)),
    "zstd, long window": lambda records: long_window(b"".join(records)),
    "zstd, dictionary": with_dictionary,
    "zstd, packed dictionary": lambda records: with_dictionary(records, packed=True),
}
SEEKABLE = ["plain", "gzip, a member a record"]
