import bz2
import gzip
import lzma
import random
import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.core import compressed as archives
from webtext.pipeline.core.compressed import CUT_SHORT, ArchiveError, blocks, container, lines

TEXT = "\n".join(
    f'{{"n": {n}, "title": "ünï{"漢字" * (n % 3)} 🦉 {random.Random(n).random()}"}}'
    for n in range(200)
)
DATA = TEXT.encode()
PACKERS = {
    "plain": lambda data: data,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "gzip": gzip.compress,
}
packed = pytest.mark.parametrize("kind", PACKERS)
compressed = pytest.mark.parametrize("kind", [kind for kind in PACKERS if kind != "plain"])


def steps_of(monkeypatch, size):
    for name in ("ZSTD_STEP", "STEP", "PIECE"):
        monkeypatch.setattr(archives, name, size)


@packed
def test_a_file_is_known_by_its_first_bytes(kind, tmp_path):
    path = tmp_path / "RS_2005-06.zst"
    path.write_bytes(PACKERS[kind](DATA))
    assert container(path) == ("" if kind == "plain" else kind)
    assert b"".join(blocks(path)) == DATA


@packed
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 4096])
def test_no_character_is_torn_at_any_edge(kind, size, tmp_path, monkeypatch):
    steps_of(monkeypatch, size)
    path = tmp_path / "dump"
    path.write_bytes(PACKERS[kind](DATA))
    assert [line.decode() for line in lines(blocks(path))] == TEXT.split("\n")


def test_no_character_is_torn_wherever_a_block_ends():
    data = "aé\n漢🦉\n\nb".encode()
    for cut in range(len(data) + 1):
        for other in range(cut, len(data) + 1):
            stream = [data[:cut], data[cut:other], data[other:]]
            assert list(lines(stream)) == data.split(b"\n")


@given(st.lists(st.binary(max_size=12)), st.integers(0, 8))
def test_lines_do_not_depend_on_the_blocks_and_long_ones_leave_their_length(stream, bound):
    whole = b"".join(stream)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()  # a line end ends the last line, and opens no other
    assert list(lines(stream, bound)) == [
        line if len(line) <= bound else len(line) for line in expected
    ]


@compressed
def test_several_members_in_a_row_are_one_file(kind, tmp_path, monkeypatch):
    steps_of(monkeypatch, 16)
    path = tmp_path / "dump"
    path.write_bytes(
        b"".join(PACKERS[kind](DATA[at : at + 999]) for at in range(0, len(DATA), 999))
    )
    assert b"".join(blocks(path)) == DATA


@pytest.mark.parametrize("kind", ["xz", "gzip"])
def test_padding_after_a_member_is_no_damage(kind, tmp_path):
    path = tmp_path / "dump"
    path.write_bytes(PACKERS[kind](DATA) + b"\0" * 8 + PACKERS[kind](DATA) + b"\0" * 4)
    assert b"".join(blocks(path)) == DATA * 2


@compressed
def test_an_archive_cut_anywhere_gives_its_whole_lines_and_says_that_it_was_cut(kind, tmp_path):
    path, whole = tmp_path / "dump", PACKERS[kind](DATA)
    for length in range(8, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        *found, last = lines(blocks(path))
        assert last == CUT_SHORT
        assert found == DATA.split(b"\n")[: len(found)]


@compressed
def test_a_damaged_archive_gives_what_comes_before_the_damage(kind, tmp_path):
    path, whole = tmp_path / "dump", bytearray(PACKERS[kind](DATA) * 2)
    whole[len(whole) // 2 :] = b"\xff" * (len(whole) // 2)
    path.write_bytes(whole)
    found = []
    with pytest.raises(ArchiveError, match="damaged"):
        found.extend(blocks(path))
    assert DATA.startswith(b"".join(found)) or b"".join(found).startswith(DATA[:1000])


def zstd_frame(window_log, *blocks_):
    """A frame by hand, as RFC 8878 has it: no checksum, no content size."""
    return struct.pack("<IBB", 0xFD2FB528, 0, (window_log - 10) << 3) + b"".join(blocks_)


def test_a_window_of_two_gib_is_read_as_the_dumps_have_it(tmp_path):
    path = tmp_path / "RS_2023-01.zst"
    raw = struct.pack("<I", (3 << 3) | 1)[:3] + b"a\nb"
    path.write_bytes(zstd_frame(31, raw))
    assert list(lines(blocks(path))) == [b"a", b"b"]
    with pytest.raises(zstandard.ZstdError, match="too much memory"):
        zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())


def test_a_bomb_is_one_line_that_is_too_long(tmp_path):
    path = tmp_path / "bomb.zst"
    size = 1 << 17
    repeated = [struct.pack("<I", size << 3 | 1 << 1 | (n == 299))[:3] + b"a" for n in range(300)]
    path.write_bytes(zstd_frame(20, *repeated))
    assert path.stat().st_size < 1300
    assert list(lines(blocks(path))) == [300 * size]


def test_skippable_frames_are_skipped(tmp_path):
    path = tmp_path / "dump.zst"
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"note"
    path.write_bytes(skippable + PACKERS["zstd"](DATA) + skippable)
    assert container(path) == "zstd"
    assert b"".join(blocks(path)) == DATA


@packed
def test_every_byte_of_the_file_is_reported(kind, tmp_path):
    path = tmp_path / "dump"
    path.write_bytes(PACKERS[kind](DATA))
    heard = []
    list(blocks(path, heard.append))
    assert sum(heard) == path.stat().st_size


def test_an_empty_file_has_no_lines(tmp_path):
    path = tmp_path / "dump"
    path.touch()
    assert list(lines(blocks(path))) == []
