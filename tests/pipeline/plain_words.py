"""The splitter of words in plain Python, which the compiled one is held to."""

import re
import unicodedata
from functools import cache
from itertools import chain

from webtext.pipeline.words.characters import CURRENCIES, MARKS, QUOTES
from webtext.pipeline.words.words import UNITS, known_forms

LONGEST = 1000
PLANES = 0x20000
LONGEST_FORM = 5
LETTER = r"[^\W\d_]"

# Ends that no mark, clitic or unit can be taken off: five letters (no unit has more than four),
# letters and nothing else, letters after a hyphen, or a digit.
PLAIN_END = re.compile(r"(?:[A-Za-z]{5}|(?:^|-)[A-Za-z]+|\d)$")


def character_class(wanted: set[str]) -> str:
    """Return the inside of a regex class for the characters of these Unicode categories."""
    ranges: list[list[int]] = []
    for code in range(PLANES):
        if unicodedata.category(chr(code)) in wanted:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)


class Splitter:
    """Splits chunks; made once, as its tables take half a second."""

    def __init__(self) -> None:
        self.forms = known_forms()
        quotes, marks, money = (re.escape(chars) for chars in (QUOTES, MARKS, CURRENCIES))
        signs = character_class({"So"})
        lower, upper = character_class({"Ll", "Lo"}), character_class({"Lu", "Lt", "Lo"})
        units = "|".join(map(re.escape, UNITS.split()))
        self.front = re.compile(
            rf"……|\.\.+|[§%=—–{marks}{quotes}{money}{signs}]|\+(?!\d)|(?:US|C|A)\$"
        )
        self.back = re.compile(
            rf"(?:……|\.\.+|['’][sS]|[—–{marks}{quotes}{signs}]|(?<=\d)(?:\+|(?:US|C|A)\$|[{money}]"
            rf"|{units})|(?<=[\d{lower}%²+\-{quotes}{marks}])\.|(?<=[{upper}][{upper}])\.)$"
        )
        self.inside = re.compile(
            rf"\.\.+|[…{signs}]|(?<=\d)[+\-*^](?=[\d-])|(?<=[{lower}{quotes}])\.(?=[{upper}{quotes}])"
            rf"|(?<={LETTER}),(?={LETTER})|(?<=[^\W_])(?:---|--|——|[-–—~])(?={LETTER})"
            rf"|(?<=[^\W_])[:<>=/](?={LETTER})"
        )
        self.address = re.compile(
            r"(?:[\w+\-.]{2,}://)?(?:\S+(?::\S*)?@)?(?:(?!10\.|127\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)\d{1,3}(?:\.\d{1,3}){3}"
            r"|(?:[A-Za-z0-9\u00a1-\uffff][A-Za-z0-9\u00a1-\uffff_-]{0,62}\.)+"
            rf"[{lower}]{{2,63}})(?::\d{{2,5}})?(?:[/?#]\S*)?$"
        )

    def split(self, chunk: str) -> tuple[str, ...]:
        """Return the tokens of a chunk that holds no space."""
        head, rest, tail = self.peel(chunk)
        return self.joined([*head, *self.middle(rest), *reversed(tail)])

    def joined(self, tokens: list[str]) -> tuple[str, ...]:
        """Put together again what makes a known form, such as a face before a bracket."""
        if len(tokens) < 2:
            return tuple(tokens)
        found: list[str] = []
        start = 0
        while start < len(tokens):
            for end in range(min(len(tokens), start + LONGEST_FORM), start + 1, -1):
                if form := self.forms.get("".join(tokens[start:end])):
                    found += form
                    start = end
                    break
            else:
                found.append(tokens[start])
                start += 1
        return tuple(found)

    def peel(self, rest: str) -> tuple[list[str], str, list[str]]:
        """Take marks off both ends; the tail comes outermost first."""
        head: list[str] = []
        tail: list[str] = []
        while rest and rest not in self.forms:
            before = rest
            if not (rest[0].isalnum() and "$" not in rest) and (found := self.front.match(rest)):
                head.append(found.group())
                rest = rest[found.end() :]
                if rest in self.forms:
                    break
            if not PLAIN_END.search(rest) and (found := self.back.search(rest)):
                tail.append(found.group())
                rest = rest[: found.start()]
            if rest == before:
                break
        return head, rest, tail

    def middle(self, rest: str) -> tuple[str, ...]:
        """Split what is left when no mark is at either end."""
        if not rest:
            return ()
        if rest in self.forms:
            return self.forms[rest]
        if rest.isalnum() or ("." in rest and self.address.match(rest)):
            return (rest,)
        pieces = []
        start = 0
        for found in self.inside.finditer(rest):
            if found.start() == start:
                continue
            pieces += [rest[start : found.start()], found.group()]
            start = found.end()
        return (*pieces, rest[start:]) if start < len(rest) else tuple(pieces)


@cache
def splitter() -> Splitter:
    """Return the one splitter."""
    return Splitter()


def split_chunk(chunk: str) -> tuple[str, ...]:
    """Return the tokens of what stands between two spaces."""
    if len(chunk) > LONGEST or (chunk.isalpha() and chunk not in splitter().forms):
        return (chunk,)
    return splitter().split(chunk)


def split(text: str) -> list[str]:
    """Return the tokens of a text, punctuation among them."""
    return list(chain.from_iterable(map(split_chunk, text.split())))
