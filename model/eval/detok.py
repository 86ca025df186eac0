r"""Reversible de-tokenisers: they write text that was split into words as people write it.

GPT-2 has seen "it's (nearly) 1,000." and hardly ever "it 's ( nearly ) 1 @,@ 000 .". The paper says
that it undid such splitting by "invertible de-tokenizers", so that the probability of the text
is still that of the original, and did not publish them. These are ours. What a group of words
becomes is kept only where `Style.split` takes it apart into the very same words; else the words
stay as they were, or get a mark. So `join` can be undone on every text, and `split_text` does it.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest

MARK = "\\"  # before a word that must not be split; alone at the start of an unchanged line

LONGEST = 200  # characters; a longer group is not a word with punctuation marks around it


@dataclass(frozen=True)
class Style:
    """How a set splits its text into words, each followed by a single blank."""

    opening: dict[str, str] = field(default_factory=dict)  # word -> text put before the next word
    closing: dict[str, str] = field(default_factory=dict)  # word -> text put after the word before
    between: dict[str, str] = field(default_factory=dict)  # word -> what joins its neighbours
    quotes: tuple[str, ...] = ()  # words that alternately open and close
    endings: str = r"(?!)"  # what is split off the end of a word, as a regular expression
    whole: str = r"(?!)"  # exceptions: each is one word
    runs: str = ""  # a character that is a word by itself, and occurs in runs
    wrapped: bool = False  # whether each line begins and ends with a blank

    def join(self, text: str) -> str:
        """Return a text as people would write it."""
        *lines, last = text.split("\n")
        joined = [self._join_line(line) for line in lines]
        return "\n".join([*joined, self._join_last(last)])

    def split_text(self, text: str) -> str:
        """Return the text that `join` was given."""
        *lines, last = text.split("\n")
        split = [self._split_line(line) for line in lines]
        return "\n".join([*split, self._split_line(last) if last else ""])

    def raw_lines(self, text: str) -> int:
        """Count the lines of a text that `join` leaves as they are."""
        *lines, last = text.split("\n")
        return sum(self._inner(line) is None for line in ([*lines, last] if last else lines))

    def split(self, chunk: str) -> list[str]:
        """Return the words in the text between two spaces."""
        if chunk.startswith(MARK):
            return [chunk[len(MARK) :]]
        return self._split(chunk)

    def _split(self, chunk: str) -> list[str]:
        if not chunk or len(chunk) > LONGEST or self._whole.fullmatch(chunk):
            return [chunk]
        if self.runs and not chunk.strip(self.runs):
            return list(chunk)
        for surface, word in self._openers:
            if chunk.startswith(surface) and len(chunk) > len(surface):
                return [word, *self._split(chunk[len(surface) :])]
        if found := self._ending.fullmatch(chunk):
            return [*self._split(found[1]), found[2]]
        for surface, word in self._closers:
            if chunk.endswith(surface) and len(chunk) > len(surface):
                return [*self._split(chunk[: -len(surface)]), word]
        parts = self._between.split(chunk, maxsplit=1)
        if len(parts) == 3 and (parts[0] or parts[2]):
            words = [self._joints[parts[1]]]
            words = [*self._split(parts[0]), *words] if parts[0] else words
            return [*words, *self._split(parts[2])] if parts[2] else words
        return [chunk]

    def _join_line(self, line: str) -> str:
        words = self._inner(line)
        if words is None:
            return f"{MARK} {line}"
        chunks: list[str] = []
        group: list[str] = []
        opened: set[str] = set()  # opening quotes whose end has not come yet
        joined = False
        for word, after in zip_longest(words, words[1:]):
            if joined:  # as the second neighbour of what stood between
                joined = False
                continue
            grown = [*group, word]
            if (
                group
                and after is not None
                and word in self.between
                and self._holds([*grown, after])
            ):
                group, joined = [*grown, after], True
                continue
            left = self._leans_left(word, opened)
            right = bool(group) and self._leans_right(group[-1], opened)
            if (left or right) and group and self._holds(grown):
                group = grown
            else:
                chunks += [self._chunk(group)] if group else []
                group = [word]
            if word in self.quotes:
                opened ^= {word}
        chunks += [self._chunk(group)] if group else []
        return " ".join(chunks)

    def _join_last(self, line: str) -> str:
        """Return the text after the last line end; an empty one is not a line."""
        if line and not (joined := self._join_line(line)):
            return f"{MARK} {line}"
        return joined if line else ""

    def _split_line(self, line: str) -> str:
        if line.startswith(MARK + " "):
            return line[len(MARK) + 1 :]
        if self.wrapped and not line:
            return " "
        text = " ".join(word for chunk in line.split(" ") for word in self.split(chunk))
        return f" {text} " if self.wrapped else text

    def _inner(self, line: str) -> list[str] | None:
        """Return the words of a line, or None where the line does not have this style."""
        if not self.wrapped:
            return line.split(" ")
        if line == " ":
            return []
        return line[1:-1].split(" ") if len(line) > 2 and line[0] == line[-1] == " " else None

    def _leans_left(self, word: str, opened: set[str]) -> bool:
        """Whether a word is written without a space before it."""
        if word in self.closing or word in self.between or self._suffix.fullmatch(word):
            return True
        return word in opened or (bool(self.runs) and word == self.runs)

    def _leans_right(self, word: str, opened: set[str]) -> bool:
        """Whether a word is written without a space after it."""
        return word in self.opening or word in self.between or word in opened

    def _holds(self, group: list[str]) -> bool:
        """Whether these words, written together, are split into the same words again."""
        return self.split(self._surface(group)) == group

    def _surface(self, words: list[str]) -> str:
        return "".join(self._written.get(word, word) for word in words)

    def _chunk(self, group: list[str]) -> str:
        if len(group) > 1:
            return self._surface(group)
        return group[0] if self.split(group[0]) == group else MARK + group[0]

    @cached_property
    def _written(self) -> dict[str, str]:
        return {**self.opening, **self.closing, **self.between}

    @cached_property
    def _openers(self) -> list[tuple[str, str]]:
        pairs = [(surface, word) for word, surface in self.opening.items()]
        pairs += [(quote, quote) for quote in self.quotes]
        return sorted(pairs, key=lambda pair: -len(pair[0]))

    @cached_property
    def _closers(self) -> list[tuple[str, str]]:
        pairs = [(surface, word) for word, surface in self.closing.items()]
        pairs += [(quote, quote) for quote in self.quotes]
        return sorted(pairs, key=lambda pair: -len(pair[0]))

    @cached_property
    def _joints(self) -> dict[str, str]:
        return {surface: word for word, surface in self.between.items()}

    @cached_property
    def _between(self) -> re.Pattern[str]:
        joints = "|".join(map(re.escape, self._joints)) or "(?!)"
        return re.compile(f"({joints})")

    @cached_property
    def _ending(self) -> re.Pattern[str]:
        return re.compile(rf"(.+?)({self.endings})", re.DOTALL)

    @cached_property
    def _suffix(self) -> re.Pattern[str]:
        return re.compile(self.endings)

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return re.compile(self.whole)


TITLES = "Mr|Mrs|Ms|Dr|St|Jr|Sr|Lt|Col|Gen|Capt|Sgt|Rev|Prof|Gov|Sen"
SHORT = rf"(?:[A-Za-z]\.)+|(?:{TITLES}|Nos?|Bros|Inc|Co|vs|v|c|ca|al|pp)\."  # keep their dot
CLOSING = {mark: mark for mark in (",", ".", ";", ":", "?", "!", ")", "]", "}", "%", "...")}
OPENING = {mark: mark for mark in ("(", "[", "{", "$", "£", "€", "#")}

WIKITEXT = Style(  # Merity et al. (2016): Moses' tokeniser, which marks what it split at
    opening=OPENING,
    closing=CLOSING | {"°": "°", "'": "'"},
    between={"@-@": "-", "@,@": ",", "@.@": "."},
    quotes=('"',),
    endings=r"'(?:s|t|d|m|re|ve|ll|S)",
    whole=rf"(?:{SHORT})|\.{{3}}|@[-,.]@",
    runs="=",
    wrapped=True,
)
PTB = Style(  # Mikolov's: lower case, numbers are N, no punctuation but in abbreviations
    opening={"$": "$", "#": "#"},
    closing={"%": "%"},
    endings=r"'(?:s|d|m|re|ve|ll)|n't|'",
    whole=r"can't|'(?:s|d|m|re|ve|ll)|n't",
    wrapped=True,
)
BILLION = Style(  # Chelba et al. (2013): Moses' tokeniser, of an older version
    opening=OPENING,
    closing=CLOSING | {"'": "'"},
    quotes=('"',),
    endings=r"'(?:s|t|d|m|re|ve|ll|S)",
    whole=rf"(?:{SHORT})|\.{{3}}",
)
CBT = Style(  # Hill et al. (2015): the Penn treebank's way, with ASCII quotes
    opening={"-LRB-": "(", "``": '"', "`": "`", "$": "$", "£": "£"},
    closing={mark: mark for mark in (",", ".", ";", ":", "?", "!", "%", "...")}
    | {"-RRB-": ")", "''": '"', "'": "'"},
    endings=r"'(?:s|d|m|re|ve|ll|S)|n't",
    whole=r"(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|Prof)\.|\.{3}|n't|'(?:s|d|m|re|ve|ll|S)",
)
