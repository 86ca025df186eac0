"""XPath expressions that look at attributes, as one pass over a tree.

trafilatura finds boilerplate and articles by expressions such as
`.//*[self::div or self::p][re:test(@class, 'footer|share-') or @role='nav']`. libxml2 calls back
into Python for each `re:test` of each element, which is half of trafilatura's time. Here such an
expression is read once: the tests of one attribute become one function of its value, and its
answers are kept, as pages repeat their classes. The elements found are the expression's own.

Read are unions of `.//name` and `.//*[self::a or self::b]` with one predicate that joins tests of
attributes by `or`; further predicates are left to lxml, for the few elements that get so far.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from lxml.etree import XPath  # type: ignore[import-untyped]

REGEXPS = {"re": "http://exslt.org/regular-expressions"}
TOKEN = re.compile(r"\s*('[^']*'|\"[^\"]*\"|//|[()\[\],=|@.*]|[\w:-]+)\s*")
MOST_ANSWERS = 4096  # of one attribute of one expression; then it begins anew
LONGEST_VALUE = 200  # characters; answers about longer values are not kept

Answer = TypeVar("Answer")
Test = Callable[[str], bool]
Translation = dict[int, Any]  # what `str.translate` does to a value before a test


class Remembered(dict[str, Answer]):
    """What a function says of an attribute's values, of which the last few thousand are kept."""

    def __init__(self, asked: Callable[[str], Answer]) -> None:
        self.asked = asked

    def __missing__(self, value: str) -> Answer:
        answer = self.asked(value)
        if len(value) <= LONGEST_VALUE:
            if len(self) >= MOST_ANSWERS:
                self.clear()
            self[value] = answer
        return answer


Answers = Remembered[bool]


def any_of(tests: list[Test]) -> Answers:
    """Return whether one of some tests is true of a value."""
    return Remembered(lambda value: any(test(value) for test in tests))


class Branch(NamedTuple):
    """One path of a union: the elements of these names that pass a test, then the rest."""

    names: list[str]  # "*" for any
    single: dict[str, Answers]  # tests of an attribute
    either: list[tuple[frozenset[str], Answers]]  # tests of the one that stands first
    rest: XPath | None  # what lxml decides

    def among(self, elements: Iterable[Any]) -> Iterator[Any]:
        """Yield those of the elements, which bear its names, that the branch takes."""
        single, either, rest = self.single, self.either, self.rest
        for element in elements:
            if single or either:
                attributes = element.items()
                for name, value in attributes:
                    if name in single and single[name][value]:
                        break
                else:
                    if not (either and attributes and self.first_passes(attributes)):
                        continue
            if rest is None or rest(element):
                yield element

    def first_passes(self, attributes: list[tuple[str, str]]) -> bool:
        """Say whether the first of some attributes passes the test of these."""
        for names, answers in self.either:
            for name, value in attributes:
                if name in names:
                    if answers[value]:
                        return True
                    break
        return False


class Selector:
    """An expression as a function of an element that returns those below it, in their order.

    Args:
        path: the text of the expression.
        first: only the first element is wanted, as all of its paths end in `[1]`.

    Raises:
        ValueError: the expression is of another kind.
    """

    def __init__(self, path: str, *, first: bool = False) -> None:
        self.first = first
        self.branches = list(branches(Tokens(path), first))
        names = dict.fromkeys(name for branch in self.branches for name in branch.names)
        self.names = ("*",) if "*" in names else tuple(names)

    def __call__(self, tree: Any) -> list[Any]:
        below = tree.iterdescendants(*self.names)
        if len(self.branches) == 1:
            found = self.branches[0].among(below)
        else:
            found = (element for element in below if self.takes(element))
        return list(islice(found, 1)) if self.first else list(found)

    def takes(self, element: Any) -> bool:
        """Say whether one of the branches takes an element."""
        return any(
            next(branch.among((element,)), None) is not None
            for branch in self.branches
            if "*" in branch.names or element.tag in branch.names
        )


def bits(several: list[tuple[int, Answers]]) -> Remembered[int]:
    """Return the bits of those whose answers about a value are yes."""
    return Remembered(lambda value: sum(bit for bit, answers in several if answers[value]))


class Group(NamedTuple):
    """What is asked of elements of one name, for several branches that have a bit each."""

    always: int  # the bits of those that take every element
    single: dict[str, Remembered[int]]
    either: list[tuple[frozenset[str], Remembered[int]]]
    rest: list[tuple[int, XPath]]

    def first_bits(self, attributes: list[tuple[str, str]]) -> int:
        """Return the bits that the first of some attributes gives."""
        total = 0
        for names, bits in self.either:
            for name, value in attributes:
                if name in names:
                    total |= bits[value]
                    break
        return total


class Sorter:
    """Several selectors of one branch each in one pass over a tree, which stays as it is."""

    def __init__(self, selectors: list[Selector]) -> None:
        asked = [(1 << n, branch) for n, one in enumerate(selectors) for branch in one.branches]
        if len(asked) != len(selectors):
            raise ValueError("a selector of several branches")
        self.count = len(selectors)
        names = dict.fromkeys(name for _, branch in asked for name in branch.names)
        self.names = ("*",) if "*" in names else tuple(names)
        self.groups = {name: group(asked, name) for name in names}
        self.others = group(asked, "*")

    def __call__(self, tree: Any) -> list[list[Any]]:
        found: list[list[Any]] = [[] for _ in range(self.count)]
        groups, others = self.groups, self.others
        for element in tree.iterdescendants(*self.names):
            asked = groups.get(element.tag, others)
            bits, single, either, rest = asked
            if attributes := element.items():
                for name, value in attributes:
                    if name in single:
                        bits |= single[name][value]
                if either:
                    bits |= asked.first_bits(attributes)
            if bits:
                for bit, path in rest:
                    if bits & bit and not path(element):
                        bits -= bit
                for n in range(self.count):
                    if bits >> n & 1:
                        found[n].append(element)
        return found


def group(asked: list[tuple[int, Branch]], name: str) -> Group:
    """Return what several branches ask of the elements of a name."""
    asked = [(bit, branch) for bit, branch in asked if {name, "*"} & {*branch.names}]
    single: dict[str, list[tuple[int, Answers]]] = {}
    either: dict[frozenset[str], list[tuple[int, Answers]]] = {}
    for bit, branch in asked:
        for attribute, answers in branch.single.items():
            single.setdefault(attribute, []).append((bit, answers))
        for attributes, answers in branch.either:
            either.setdefault(attributes, []).append((bit, answers))
    return Group(
        sum(bit for bit, branch in asked if not (branch.single or branch.either)),
        {attribute: bits(several) for attribute, several in single.items()},
        [(attributes, bits(several)) for attributes, several in either.items()],
        [(bit, branch.rest) for bit, branch in asked if branch.rest is not None],
    )


class Tokens:
    """The words of an expression, to be taken one after the other."""

    def __init__(self, text: str) -> None:
        self.words = TOKEN.findall(text)
        if re.sub(r"\s", "", TOKEN.sub("", text)):
            raise ValueError(f"not the words of a path: {text}")
        self.words.append("")

    def take(self, *wanted: str) -> str:
        """Take a word; with an argument, one of these."""
        if not self.words[0] or (wanted and self.words[0] not in wanted):
            raise ValueError(f"wanted {' or '.join(wanted) or 'more'}, found {self.words[0]!r}")
        return str(self.words.pop(0))

    def literal(self) -> str:
        """Take a string."""
        word = self.take()
        if word[:1] not in ("'", '"'):
            raise ValueError(f"wanted a string, found {word!r}")
        return word[1:-1]

    def predicate(self) -> str:
        """Take a predicate; return what stands in its brackets."""
        self.take("[")
        depth, inside = 1, []
        while depth:
            word = self.take()
            depth += (word == "[") - (word == "]")
            inside.append(word)
        return " ".join(inside[:-1])


def branches(tokens: Tokens, first: bool) -> Iterator[Branch]:
    """Yield the paths of a union."""
    while True:
        bracketed = tokens.words[0] == "(" and tokens.take()
        tokens.take(".")
        tokens.take("//")
        name, predicates = tokens.take(), []
        while tokens.words[0] in ("[", ")"):
            if bracketed and tokens.words[0] == ")":
                tokens.take()
                bracketed = ""
            else:
                predicates.append(tokens.predicate())
        if first and (not predicates or predicates.pop() != "1"):
            raise ValueError("the first is wanted of a path that gives more")
        yield branch(name, predicates)
        if not tokens.words[0]:
            return
        tokens.take("|")


def branch(name: str, predicates: list[str]) -> Branch:
    """Return a path by its name and its predicates."""
    names = [name]
    if name == "*" and predicates and (selves := own_names(predicates[0])):
        names, predicates = selves, predicates[1:]
    found: dict[frozenset[str], list[Test]] = {}
    if predicates:
        for attributes, test in terms(Tokens(predicates[0])):
            found.setdefault(attributes, []).append(test)
    rest = "".join(f"[{predicate}]" for predicate in predicates[1:])
    if re.search(r"\[\d|position|last", rest):
        raise ValueError("a predicate that counts elements")
    answers = {attributes: any_of(several) for attributes, several in found.items()}
    return Branch(
        names,
        {name: test for names, test in answers.items() if len(names) == 1 for name in names},
        [(names, test) for names, test in answers.items() if len(names) > 1],
        XPath(f"self::*{rest}", namespaces=REGEXPS) if rest else None,
    )


def own_names(predicate: str) -> list[str]:
    """Return the names of `self::a or self::b`, none of another predicate.

    >>> own_names("self::ol or self::ul")
    ['ol', 'ul']
    """
    either = [term.strip() for term in predicate.split(" or ")]
    names = [term.removeprefix("self::") for term in either]
    return names if all(re.fullmatch(r"self::[\w-]+", term) for term in either) else []


def terms(tokens: Tokens) -> Iterator[tuple[frozenset[str], Test]]:
    """Yield the attributes and the test of each term of an `or`.

    Raises:
        ValueError: a term is of another kind, or true of an attribute that is not there.
    """
    while True:
        if tokens.words[0] == "@":
            attributes, _ = operand(tokens)
            if len(attributes) > 1:
                raise ValueError("a test of one or another attribute's being there")
            if tokens.words[0] == "=":
                tokens.take()
                yield attributes, equality(tokens.literal())
            else:
                yield attributes, lambda _: True  # it is there
        else:
            function = tokens.take("contains", "starts-with", "re:test")
            tokens.take("(")
            attributes, read = operand(tokens)
            tokens.take(",")
            test = translated(FUNCTIONS[function](tokens.literal(), flags(tokens)), read)
            if test(""):
                raise ValueError("a test that is true of nothing")
            yield attributes, test
        if not tokens.words[0]:
            return
        tokens.take("or")


def operand(tokens: Tokens) -> tuple[frozenset[str], Translation]:
    """Take `@a`, `@a|@b` or `translate(@a, 'AB', 'ab')`; return names and the translation."""
    read: Translation = {}
    if tokens.words[0] == "translate":
        tokens.take()
        tokens.take("(")
        attributes, _ = operand(tokens)
        tokens.take(",")
        old = tokens.literal()
        tokens.take(",")
        read = str.maketrans(old, tokens.literal())
        tokens.take(")")
        return attributes, read
    names: list[str] = []
    while not names or tokens.words[0] == "|":
        if names:
            tokens.take()
        tokens.take("@")
        names.append(tokens.take())
    return frozenset(names), read


def flags(tokens: Tokens) -> str:
    """Take the end of a function's arguments; return the last one, "" where there is none."""
    found = ""
    if tokens.take(",", ")") == ",":
        found = tokens.literal()
        tokens.take(")")
    return found


def equality(wanted: str) -> Test:
    """Return the test for a value."""
    return lambda value: value == wanted


def translated(test: Test, read: Translation) -> Test:
    """Return the test of a value's translation."""
    return (lambda value: test(value.translate(read))) if read else test


def contains(wanted: str, _: str) -> Test:
    """Return the test for a piece of a value."""
    return lambda value: wanted in value


def starts_with(wanted: str, _: str) -> Test:
    """Return the test for the beginning of a value."""
    return lambda value: value.startswith(wanted)


def matches(pattern: str, flagged: str) -> Test:
    """Return the test for a regular expression, as lxml reads it."""
    search = re.compile(pattern, re.IGNORECASE if "i" in flagged else 0).search
    return lambda value: search(value) is not None


FUNCTIONS: dict[str, Callable[[str, str], Test]] = {
    "contains": contains,
    "starts-with": starts_with,
    "re:test": matches,
}
