"""Formulas of a page in one line: as their author wrote them, or from their elements."""

import re
from typing import Any

FORMULA = ("math", "tex", "latex")  # words in the class or URL of an image of a formula
TEX = "application/x-tex"
ROOT = "\u221a"
NOTE = re.compile(r"\[?(\d{1,3}|[a-z])\]?")


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
    """Return the text of an image of a formula, "" for other images.

    A page may have a formula twice, for readers and for screen readers; it is written once.
    """
    words = image.get("alt")
    told = f"{image.get('class', '')} {image.get('src', '')}" if words else ""
    if not any(word in told for word in FORMULA):
        return None
    last = next((part for part in reversed(before) if part.strip()), "")
    return None if last.strip() == words.strip() else words


def raised(element: Any, before: list[str]) -> str:
    """Return the sign between a base and its superscript: a caret before a number."""
    text = (element.text or "").strip().lstrip("+-\u2212")
    base = before[-1][-1:] if before else ""
    return "^" if text[:1].isdecimal() and (base.isalnum() or base in tuple(")]")) else ""


def lowered(element: Any, before: list[str]) -> str:
    """Return the sign between a base and its subscript: none, unless digits would meet."""
    text = (element.text or "").strip()
    return "_" if text[:1].isdecimal() and before and before[-1][-1:].isdecimal() else ""


def note(sup: Any) -> str | None:
    """Return the mark of a note that a superscript links to, as "[1]", None if it is another.

    As a superscript the number stands apart from its word; in a line it would be a part of it.
    """
    link = sup.getparent() if len(sup) == 0 else sup[0]
    if link is None or link.tag != "a" or not link.get("href", "").startswith("#"):
        return None
    said = "".join(sup.itertext()).strip()
    if "".join(link.itertext()).strip() != said:
        return None  # the link says more: it is no mark, but has an exponent in it
    mark = NOTE.fullmatch(said)
    return f"[{mark[1]}]" if mark else None
