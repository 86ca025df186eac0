"""Formulas of a page in one line: as their author wrote them, or from their elements."""

import re
from typing import Any

FORMULA = ("math", "tex", "latex")  # words in the class or URL of an image of a formula
TEX = "application/x-tex"
ROOT = "\u221a"
NOTE = re.compile(r"\[?(\d{1,3}|[a-z])\]?")

FACES = re.compile(r"emoji|emoticon|smil(?:ie|ey|e)", re.IGNORECASE)  # images of faces and signs
LONGEST_FACE = 12  # characters
SPELT = re.compile("[a-z]{2}", re.IGNORECASE)  # a word, and no sign

MOVED = ("sup", "sub", "span")  # elements that may stand above or below the line
RAISES = re.compile(r"vertical-align\s*:\s*(super|sub)\b", re.IGNORECASE)
LONGEST_MOVED = 40  # characters of a superscript that may be an exponent or a mark
PARTS = 4  # of a line that are looked at for the word before one
LONGEST_WORD = 20  # characters of it
LONGEST_UNIT = 3  # letters of "cm" or "sin", after which a number is an exponent
UNITS = re.compile(  # longer ones, and longer functions
    r"(?:kilo|centi|milli)?met(?:er|re)s?|(?:inch(?:es)?|f[eo]{2}t|yards?|acres?|miles?)"
    r"|sinh|cosh|tanh",
    re.IGNORECASE,
)
ABBREVIATED = ("Mc", "Wm", "Jn")  # names, with a raised last letter
SIGNS = r"+\-\u2212\u2013"  # in a class of characters
FRACTION = ("/", "\u2044")  # between the number above the line and that below it
WORD = re.compile(r"[^\W\d_]+\Z")
MARKS = re.compile(r"\d{1,3}(?:\s?[,\u2013-]\s?(?:\d{1,3}|[*\u2020\u2021\u00a7\u00b6]))*")
AFTER = tuple('.,;:!?\u2019\u201d"\u00bb')  # a number above the line after these is of a note
NUMBER = re.compile(rf"[{SIGNS}]?\s?\d+(?:[.,/]\d+)?(?![\w,])|[{SIGNS}]?\d+[a-z]\Z")
VARIABLE = re.compile(rf"[{SIGNS}]?(?:[b-dijkmnpqxyzNMKT]|i?[\u03b1-\u03c9])")
TERM = re.compile(rf"[{SIGNS}]?\w{{1,3}}(?:\s?[{SIGNS}/*]\s?\w{{1,3}})+")


def formula(element: Any) -> str:
    """Return the source of a formula as its author wrote it, or else its elements in a line."""
    if told := element.get("alttext"):
        return str(told)
    for annotation in element.iter("annotation"):
        if annotation.get("encoding") == TEX and annotation.text:
            return " ".join(annotation.text.split())
    return " ".join(linear(element).split())


def linear(element: Any) -> str:
    """Return the elements of a formula in a line: a power with a caret, a fraction with a slash.

    The parser bounds the depth of the elements.
    """
    tag = element.tag
    if tag.__class__ is not str or tag in ("annotation", "annotation-xml"):
        return ""
    parts = [linear(child) + (child.tail or "").strip() for child in element]
    if tag in ("msup", "mover") and len(parts) == 2:
        return f"{parts[0]}^{grouped(parts[1])}"
    if tag in ("msub", "munder") and len(parts) == 2:
        return f"{parts[0]}_{grouped(parts[1])}"
    if tag in ("msubsup", "munderover") and len(parts) == 3:
        return f"{parts[0]}_{grouped(parts[1])}^{grouped(parts[2])}"
    if tag == "mfrac" and len(parts) == 2:
        return f"{grouped(parts[0])}/{grouped(parts[1])}"
    if tag == "msqrt":
        return ROOT + grouped("".join(parts))
    text = (element.text or "").strip()
    if tag == "mo" and len(text) == 1 and text in "=+-<>\u2212\u2264\u2265\u2260\u2248":
        return f" {text} "
    if tag in ("mtext", "mtd"):
        return f" {text}{''.join(parts)} "
    return text + "".join(parts)


def grouped(text: str) -> str:
    """Return a part of a formula, in brackets if it is more than one number or letter."""
    text = text.strip()
    return text if len(text) == 1 or text.isalnum() else f"({text})"


def described(image: Any, before: list[str]) -> str | None:
    """Return the text that an image stands for: of a formula, an emoji, a letter; "" for others.

    A page may have a formula twice, for readers and for screen readers; it is written once.
    """
    words = image.get("alt")
    if not words:
        return None
    if len(words) == 1 and words.isalpha():  # a drawn initial, or a letter that no font had
        follows = (image.tail or "")[:1]
        return str(words) if follows.isalpha() and not follows.isupper() else None
    told = f"{image.get('class', '')} {image.get('src', '')}"
    if len(words) <= LONGEST_FACE and FACES.search(told):
        return None if SPELT.search(words) else str(words)
    if not any(word in told for word in FORMULA):
        return None
    last = next((part for part in reversed(before) if part.strip()), "")
    return None if last.strip() == words.strip() else str(words)


def moved(tag: str, element: Any, before: list[str]) -> str | None:
    """Return what stands for a superscript or a subscript in a line, None for what is neither.

    An exponent has a caret before it, the mark of a note is in brackets; other superscripts, such
    as the end of "2nd", are text like any other, for which this returns None too.
    """
    if tag not in ("sup", "sub"):
        style = element.get("style") if tag == "span" else None
        raises = RAISES.search(style) if style else None
        if raises is None:
            return None
        tag = raises[1].lower()[:3]
    said = " ".join("".join(element.itertext()).split())
    if not said or len(said) > LONGEST_MOVED:
        return None
    base = "".join(before[-PARTS:])[-LONGEST_WORD:]
    return lowered(said, base) if tag == "sub" else raised(element, said, base)


def raised(sup: Any, said: str, base: str) -> str | None:
    """Return what stands for a superscript after a text, None if it is written as it is."""
    if mark := note(sup, said):
        return mark
    after = sup.getnext()
    if after is not None and after.tag == "sub" and (sup.tail or "").strip() in FRACTION:
        return f" {said}" if said.isdecimal() and base[-1:].isdecimal() else None
    word = WORD.search(base)
    letters = word[0] if word else ""
    if MARKS.fullmatch(said) and (base[-1:] in AFTER or is_name(letters, said)):
        return f"[{said.replace(' ', '')}]"
    if not (base[-1:].isalnum() or base[-1:] in tuple(")]")):
        return None
    if letters + said in ABBREVIATED or (said in ("d", "m", "c") and base[-1:].isdecimal()):
        return None  # such as Wm, or 2d and 34m
    if NUMBER.match(said) or (
        (len(letters) == 1 or not letters) and (VARIABLE.fullmatch(said) or TERM.fullmatch(said))
    ):
        return f"^{together(said)}"
    return None


def is_name(letters: str, number: str) -> bool:
    """Whether letters before a number above the line are a word, and no unit or function."""
    power = number in ("2", "3") and UNITS.fullmatch(letters)
    return len(letters) > LONGEST_UNIT and not power


def lowered(said: str, base: str) -> str | None:
    """Return what stands for a subscript after a text, None if it is written as it is.

    Nothing stands between them, unless digits would meet, or it is a sum.
    """
    if said[0].isdecimal() and base[-1:].isdecimal():
        return f"_{together(said)}"
    return f"_{together(said)}" if base[-1:].isalnum() and TERM.fullmatch(said) else None


def together(text: str) -> str:
    """Return an exponent or index, in brackets if it is a sum or the like."""
    text = "".join(text.split())
    return (
        text
        if text.lstrip("+-\u2212\u2013").isalnum() or ("/" not in text and "." in text)
        else f"({text})"
    )


def note(sup: Any, said: str) -> str | None:
    """Return the mark of a note that a superscript links to, as "[1]", None if it is another.

    As a superscript the number stands apart from its word; in a line it would be a part of it.
    """
    link = sup.getparent() if len(sup) == 0 else sup[0]
    if link is None or link.tag != "a" or "#" not in link.get("href", ""):
        return None
    if " ".join("".join(link.itertext()).split()) != said:
        return None  # the link says more: it is no mark, but has an exponent in it
    mark = NOTE.fullmatch(said)
    return f"[{mark[1]}]" if mark else None
