"""How a body may be encoded: honestly, falsely, too often, too much."""

import gzip
import lzma
import zlib
from typing import Any

import brotli
import zstandard

from tests.web.case import HTML, chunked, kept, lost, page

BOMB = gzip.compress(bytes(20_000_000))


def packed(body: bytes, encoding: str, **more: Any) -> bytes:
    return page(body, f"Content-Encoding: {encoding}", **more)


def window(log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=log, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(HTML) + packer.flush()


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


ENCODING = (
    kept(22, "gzip", "an honest gzip", packed(gzip.compress(HTML), "gzip"), body=HTML),
    kept(22, "x-gzip", "its old name", packed(gzip.compress(HTML), "X-GZIP"), body=HTML),
    kept(
        22,
        "deflate",
        "deflate as the standard has it",
        packed(zlib.compress(HTML), "deflate"),
        body=HTML,
    ),
    kept(
        22,
        "bare-deflate",
        "deflate as servers have it",
        packed(bare_deflate(HTML), "deflate"),
        body=HTML,
    ),
    kept(22, "brotli", "brotli", packed(brotli.compress(HTML), "br"), body=HTML),
    kept(22, "zstd", "zstd", packed(zstandard.compress(HTML), "zstd"), body=HTML),
    kept(
        22,
        "two-members",
        "gzip in two members",
        packed(gzip.compress(HTML[:99]) + gzip.compress(HTML[99:]), "gzip"),
        body=HTML,
    ),
    lost(22, "gzip-bomb", "20 MB in 20 kB", packed(BOMB, "gzip"), "wrong_type"),
    lost(
        22,
        "gzip-bomb-of-html",
        "the same, dressed as a page",
        packed(gzip.compress(HTML + b" " * 20_000_000), "gzip"),
        "too_large",
    ),
    kept(
        23,
        "two-layers",
        "gzip twice",
        packed(gzip.compress(gzip.compress(HTML)), "gzip, gzip"),
        body=HTML,
    ),
    lost(
        23,
        "twenty-layers",
        "gzip twenty times",
        packed(HTML, ", ".join(["gzip"] * 20)),
        "bad_encoding",
    ),
    lost(
        24,
        "brotli-bomb",
        "20 MB in brotli",
        packed(brotli.compress(HTML + b" " * 20_000_000, quality=1), "br"),
        "too_large",
    ),
    lost(
        24,
        "zstd-bomb",
        "20 MB in zstd",
        packed(zstandard.compress(HTML + b" " * 20_000_000), "zstd"),
        "too_large",
    ),
    lost(
        24,
        "zstd-window",
        "zstd that wants 128 MB to decode",
        packed(window(27), "zstd"),
        "bad_encoding",
    ),
    *(
        kept(25, f"not-{name}", f"{name} by header alone", packed(HTML, name), body=HTML)
        for name in ("gzip", "br", "zstd", "deflate")
    ),
    lost(
        25,
        "other-gzip",
        "gzip that is brotli",
        packed(brotli.compress(HTML), "gzip"),
        "bad_encoding",
    ),
    kept(
        25,
        "half-gzip",
        "gzip that ends too early",
        packed(gzip.compress(HTML)[:-12], "gzip"),
        truncated="disconnect",
    ),
    kept(26, "unknown-encoding", "an encoding foo by name alone", packed(HTML, "foo"), body=HTML),
    lost(
        26, "foreign-encoding", "one in truth", packed(lzma.compress(HTML), "foo"), "bad_encoding"
    ),
    kept(
        26,
        "encoding-parameter",
        "an encoding with a parameter, beside that of an upload",
        packed(gzip.compress(HTML), "aws-chunked, gzip;q=1"),
        body=HTML,
    ),
    kept(
        26,
        "transfer-gzip",
        "gzip as a transfer encoding",
        chunked(gzip.compress(HTML)).replace(b": chunked", b": gzip, chunked", 1),
        body=HTML,
    ),
    kept(26, "charset-as-encoding", "an encoding utf-8", packed(HTML, "utf-8"), body=HTML),
    lost(26, "secret-gzip", "gzip without a header", page(gzip.compress(HTML)), "wrong_type"),
)
