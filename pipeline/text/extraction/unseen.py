"""Which elements of a page its own markup hides: by an attribute, a style, or a rule of its styles.

Pages hide what is not for readers: words for machines, traps for forms, and parts that a script
shows later. Only simple rules of a page's `<style>` elements are read (one name, in no at-rule);
style sheets of their own are not fetched.
"""

import re
from collections.abc import Mapping
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

HIDES = re.compile(
    r"(?:display\s*:\s*none|visibility\s*:\s*hidden"
    r"|(?:left|top|text-indent)\s*:\s*-\d{4,})",
    re.IGNORECASE,
)
CUT = re.compile(r"clip\s*:\s*rect\(\s*(?:[01](?:px)?[\s,]*){4}\)", re.IGNORECASE)
NO_SIZE = re.compile(r"font-size\s*:\s*0(?:px|pt|em|%)?\s*(?:;|!|\Z)", re.IGNORECASE)
RULE = re.compile(r"display\s*:\s*([\w-]+)", re.IGNORECASE)
SELECTOR = re.compile(r"([a-z][a-z0-9]*)?([.#])(-?[a-z_][\w-]*)\Z", re.IGNORECASE)
COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
MOST_STYLE = 200_000  # characters of a page's <style> elements that are read

Names = dict[str, set[str]]  # of each class (".name") and id ("#name"): the tags, "" for all


def is_hidden(
    attributes: Mapping[str, str], tag: str = "", names: Names | None = None, leaf: bool = False
) -> bool:
    """Whether an element is hidden by its attributes, or by a rule for its class or id.

    Letters of no size are hidden in a `leaf` only: elements in others may have a size again.

    >>> is_hidden({"style": "display: none"}), is_hidden({"hidden": ""}), is_hidden({"id": "a"})
    (True, True, False)
    """
    if "hidden" in attributes and attributes["hidden"] != "until-found":
        return True
    style = attributes.get("style")
    if style and (
        HIDES.search(style)
        or ("clip" in style and CUT.search(style))
        or (leaf and NO_SIZE.search(style))
    ):
        return True
    if names:
        own = [f".{name}" for name in attributes.get("class", "").split()]
        own.append(f"#{attributes.get('id', '')}")
        return any("" in tags or tag in tags for name in own if (tags := names.get(name)))
    return False


def hidden_names(tree: Any) -> Names:
    """Return the classes and ids that the rules in a page's `<style>` elements hide."""
    found: Names = {}
    left = MOST_STYLE
    for element in tree.iter("style"):
        style = (element.text or "")[:left]
        left -= len(style)
        if "display" in style and "none" in style and not element.get("media"):
            read_rules(COMMENT.sub("", style), found)
    return found


def read_rules(style: str, found: Names) -> None:
    """Add the names that a style sheet hides; a later rule that shows a name removes it."""
    at = depth = 0
    last: dict[int, str] = {}  # what each block says at last, by its place
    for rule in RULE.finditer(style):
        depth += style.count("{", at, rule.start()) - style.count("}", at, rule.start())
        at = rule.start()
        begin = style.rfind("{", 0, at)
        if depth == 1 and begin >= 0:
            last[begin] = rule[1].lower()
    for begin, shown in last.items():
        before = max(style.rfind("}", 0, begin), style.rfind(";", 0, begin))
        for selector in style[before + 1 : begin].split(","):
            if match := SELECTOR.match(selector.strip()):
                tag, name = (match[1] or "").lower(), match[2] + match[3]
                if shown == "none":
                    found.setdefault(name, set()).add(tag)
                elif name in found:
                    found[name].discard(tag)


def size_of(element: Any, dropped: frozenset[str]) -> int:
    """Return the number of characters that an element may show, without those of some tags."""
    several = (one for one in element.iter(etree.Element) if one.tag not in dropped)
    return sum(len((one.text or "").strip()) + len((one.tail or "").strip()) for one in several)
