r"""Make text from the web harmless for a terminal: no control sequences, no hidden characters.

And a share as it is shown to people, which is never rounded to all or nothing.

A title may hold escape sequences that rewrite the screen, rename the window or give input in the
user's name, and marks that change the order in which a line is shown. Here each becomes its JSON
escape, such as `\u001b`: people see it, and a line of JSON has the same meaning as before.
"""

import logging
import os
import re

# C0 except tab and line end, DEL, C1; marks that change the direction of writing, and those that
# end a line or are invisible. Source: Unicode 16.0, general category Cc, and those of Cf that
# UAX 9 and UTS 39 warn of; lone surrogates, which cannot be printed; tags (U+E0000 to U+E007F).
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_BREAKS = re.compile("[\t\n]")
MOST_DECIMALS = 12  # of a per cent; a smaller part of a whole has no rows to be of


def visible(text: str) -> str:
    r"""Return a text of one or more lines in which every character is visible.

    >>> print(visible("a\x1b[31m b\u202e\r\n c"))
    a\u001b[31m b\u202e\u000d
     c
    """
    return _HIDDEN.sub(_spelt, text)


def sized(size: float) -> str:
    """Return a number of bytes in a unit in which it is not rounded to nothing.

    >>> sized(37_263), sized(5_300_000), sized(999), sized(39_900_000_000)
    ('37.3 kB', '5.3 MB', '999 B', '39.9 GB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size:.0f} B"


def on_one_line(text: str) -> str:
    r"""Return the same as one line; line ends in it are escaped too.

    >>> print(on_one_line("a title\nand a line of its own\x07"))
    a title\u000aand a line of its own\u0007
    """
    return _BREAKS.sub(_spelt, visible(text))


def as_text(name: str) -> str:
    r"""Return a file's name as text, with the numbers of the bytes that are no UTF-8.

    >>> print(as_text(os.fsdecode(b"caf\xe9.txt")))
    caf\xe9.txt
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def per_cent(share: float, decimals: int = 1) -> str:
    """Return a share in per cent, with more decimals where fewer would say all or nothing.

    >>> per_cent(0.5), per_cent(2896 / 2897), per_cent(1), per_cent(0.00004), per_cent(0)
    ('50.0', '99.97', '100.0', '0.004', '0.0')
    """
    found = f"{100 * share:.{decimals}f}"
    while 0 < share < 1 and float(found) in {0, 100} and decimals < MOST_DECIMALS:
        decimals += 1
        found = f"{100 * share:.{decimals}f}"
    return found


def _spelt(match: re.Match[str]) -> str:
    """Escape a character as JSON does, in one unit of UTF-16 or two."""
    code = ord(match[0])
    if code < 1 << 16:
        return f"\\u{code:04x}"
    return f"\\u{0xD7C0 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


class VisibleFormatter(logging.Formatter):
    """Formats log lines of libraries and our own, which may quote a page."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines of an error, with all characters visible."""
        return visible(super().format(record))
