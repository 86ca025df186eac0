"""Decode bytes as browsers do: the decoders of the WHATWG Encoding Standard.

Python's codecs are the base: `webencodings` gives the codec for each label. If a codec decodes
less than the standard's index, or something else, the difference is corrected here. A test compares
each decoder with the standard's own indexes, if these are available.

Source: https://encoding.spec.whatwg.org/
"""

import codecs
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import webencodings

DATA: Final = Path(__file__).parents[2] / "data"
LOST: Final = "\ufffd"

# The differences of Python's tables of single-byte encodings from the standard's. C1 controls are
# used where Python's tables have nothing below 0xA0.
SINGLE: Final = {
    "koi8-u": {0xAE: "\u045e", 0xBE: "\u040e"},
    "windows-1255": {0xCA: "\u05ba"},
    "x-user-defined": {byte: chr(0xF700 + byte) for byte in range(0x80, 0x100)},
}
PYTHON: Final = {  # the codec of a multi-byte encoding
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "euc-jp": "euc_jp",
    "big5": "big5hkscs",
    "gbk": "gb18030",  # one decoder for both in the standard
    "gb18030": "gb18030",
    "utf-8": "utf-8",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
# Characters of Python's codec that differ from the standard's index.
OTHERS: Final = {
    "shift_jis": {"\xa0": LOST, **dict.fromkeys("\uf8f0\uf8f1\uf8f2\uf8f3", LOST)},
    "euc-jp": dict(
        zip("\u301c\u2016\u2212¢£¬", "\uff5e\u2225\uff0d\uffe0\uffe1\uffe2", strict=True)
    ),
    "big5": dict(
        zip(
            "\u2022\uff64\u203e\u223c\u2641\u2609¥¢£",
            "\u2027\ufe51¯\uff5e\u2295\u2299\uffe5\uffe0\uffe1",
            strict=True,
        )
    ),
    # The 2005 edition's private-use characters, which have code points of their own since then.
    "gb18030": dict(
        zip(
            "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7"
            "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
            "\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u1e3f"
            "\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
            strict=True,
        )
    ),
}
OTHERS["gbk"] = OTHERS["gb18030"]

_switch = re.compile(rb"\x1b(\([BJI]|\$[@B])")  # Source: section 12.2.1, escape states


def encoding(label: str | None) -> str | None:
    """Return the standard's name, in lower case, of the encoding that a label means, or None.

    >>> encoding(" Latin1 "), encoding("SJIS"), encoding("nonsense-8"), encoding(None)
    ('windows-1252', 'shift_jis', None, None)
    """
    found = webencodings.lookup(label) if label else None
    return found.name if found else None


def decoded(data: bytes, name: str) -> str:
    r"""Return bytes as text; `name` is one that `encoding` returns.

    Bytes that are not in the encoding become U+FFFD; a byte order mark is not recognised.

    >>> decoded(b"\x87\x40\x80", "shift_jis"), decoded(b"\x81\x80", "windows-1252")
    ('①\x80', '\x81€')
    """
    if name == "replacement":
        return LOST if data else ""
    if name == "iso-2022-jp":
        return _iso_2022_jp(data)
    codec = PYTHON.get(name)
    if codec is None:
        return codecs.charmap_decode(data, "replace", _table(name))[0]
    if name not in _BROKEN:
        return data.decode(codec, "replace")
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        text = data.decode(codec, f"webtext.{name}")
    table = _others(name)
    return text.translate(table) if table and not text.isascii() else text


@cache
def _others(name: str) -> dict[int, str]:
    return str.maketrans(OTHERS[name]) if name in OTHERS else {}


@cache
def _table(name: str) -> str:
    """Return the 256 characters of a single-byte encoding; U+FFFE for a missing one."""
    codec = "ascii" if name == "x-user-defined" else webencodings.lookup(name).codec_info.name
    more = SINGLE.get(name, {})
    found = []
    for byte in range(0x100):
        try:
            char = more[byte] if byte in more else bytes([byte]).decode(codec)
        except UnicodeDecodeError:
            char = chr(byte) if byte < 0xA0 else "\ufffe"
        found.append(char)
    return "".join(found)


@cache
def _rows() -> dict[bytes, str]:
    """Return the pairs of EUC-JP that Python's codec lacks: NEC's row 13, IBM's and NEC's kanji."""
    found = {}
    for row in range(94):
        for cell in range(94):
            lead, trail = divmod(row * 94 + cell, 188)
            shifted = [
                lead + (0x81 if lead < 0x1F else 0xC1),
                trail + (0x40 if trail < 0x3F else 0x41),
            ]
            pair = bytes([row + 0xA1, cell + 0xA1])
            text = bytes(shifted).decode("cp932", "ignore")
            if text and not pair.decode("euc_jp", "ignore"):
                found[pair] = text
    return found


@cache
def _big5() -> dict[bytes, str]:
    """Return the pairs of Big5 that Python's codec lacks."""
    found = {}
    for line in (DATA / "big5_beyond.index").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        first, characters = line.split("\t")
        for pointer, char in enumerate(characters, int(first)):
            lead, trail = divmod(pointer, 157)
            found[bytes([lead + 0x81, trail + (0x40 if trail < 0x3F else 0x62)])] = char
    return found


def _handler(more: Callable[[], dict[bytes, str]]) -> Callable[[UnicodeError], tuple[str, int]]:
    """Return an error handler that decodes pairs which its codec lacks.

    An unknown pair is one U+FFFD; but an ASCII trail byte is always kept.
    """

    def handle(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        at = error.start
        pair = error.object[at : at + 2]
        if (found := more().get(pair)) is not None:
            return found, at + 2
        if (found := more().get(pair[:1])) is not None:
            return found, at + 1
        whole = len(pair) == 2 and pair[0] not in (0x80, 0xA0, 0xFF) and pair[1] >= 0x80
        return LOST, at + (2 if whole else 1)

    return handle


_BROKEN: Final[dict[str, Callable[[], dict[bytes, str]]]] = {
    "shift_jis": dict,
    "euc-kr": dict,
    "euc-jp": _rows,
    "big5": _big5,
    "gbk": lambda: {b"\x80": "€"},
    "gb18030": lambda: {b"\x80": "€"},
}
for _name, _more in _BROKEN.items():
    codecs.register_error(f"webtext.{_name}", _handler(_more))


def _iso_2022_jp(data: bytes) -> str:
    """Decode a 7-bit text that switches between character sets by escape sequences."""
    found = []
    state = b"(B"
    for number, part in enumerate(_switch.split(data)):
        if number % 2:
            state = part
        elif state in (b"$@", b"$B"):
            lines = re.split(rb"([\r\n]+)", part)  # often a set ends with its line
            found += [
                line.decode() if index % 2 else decoded(bytes(b | 0x80 for b in line), "euc-jp")
                for index, line in enumerate(lines)
            ]
        elif state == b"(I":
            found.append("".join(chr(b + 0xFF40) if 0x21 <= b <= 0x5F else _plain(b) for b in part))
        else:
            text = "".join(map(_plain, part))
            found.append(text.replace("\\", "¥").replace("~", "‾") if state == b"(J" else text)
    return "".join(found)


def _plain(byte: int) -> str:
    return chr(byte) if byte < 0x80 and byte not in (0x0E, 0x0F, 0x1B) else LOST
