"""The text of pages that contain it as data: for their scripts, or for search engines.

Such a page shows nothing until its scripts have run. Threads of Discourse have their posts as JSON
in an attribute, each as HTML; other pages tell search engines their text, or their posts, as linked
data. They are put into a new page, part by part, which is then read like any other.
"""

import json
import re
from collections.abc import Iterator
from html import escape, unescape
from typing import Any

import lxml.html  # type: ignore[import-untyped]
from lxml import etree

from webtext.pipeline.text.extraction.parse import PARSER

ATTRIBUTE = "data-preloaded"
SHOWN = 1500  # characters of a page's blocks; with more, there is no search for data
HOLDERS = ("div", "discourse-assets-json")
LINKED = "ld+json"
# Source: schema.org, kinds whose `text` is what their author wrote
POSTS = frozenset(
    ["DiscussionForumPosting", "SocialMediaPosting", "Comment", "Question", "Answer"]
)  # fmt: skip
MARKED_UP = re.compile(r"<(?:p|br|div|ul|ol|h[1-6]|b|i|em|strong|a)\b[^<>]*>", re.IGNORECASE)


def embedded(tree: Any) -> Any:
    """Return a tree of the texts that a page contains as data, None if there are none."""
    posts = [
        f'<article class="post"><p class="author">{escape(name)}</p>'
        f'<div class="post-content">{html}</div></article>'
        for element in tree.iter(*HOLDERS)
        if (raw := element.get(ATTRIBUTE))
        for name, html in preloaded(raw)
    ] or [
        html
        for script in tree.iter("script")
        if LINKED in script.get("type", "") and script.text
        for html in linked(script.text)
    ]
    if not posts:
        return None
    page = f"<html><body><main>{''.join(posts)}</main></body></html>"
    try:
        return lxml.html.document_fromstring(page, parser=PARSER)
    except etree.LxmlError:
        return None


def preloaded(raw: str) -> Iterator[tuple[str, str]]:
    """Yield name and HTML of each post of a thread in preloaded data, in order."""
    try:
        topics = [json.loads(value) for key, value in json.loads(raw).items()
                  if key.startswith("topic_")]  # fmt: skip
        posts = [post for topic in topics for post in topic["post_stream"]["posts"]]
        for post in posts:
            if isinstance(html := post.get("cooked"), str):
                name = post.get("username")
                yield (name if isinstance(name, str) else ""), html
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return


def linked(raw: str) -> list[str]:
    """Return the HTML of each text in linked data: an article, or the posts of a thread."""
    try:
        return list(texts(json.loads(raw, strict=False)))
    except (ValueError, TypeError, RecursionError):
        return []


def texts(node: Any) -> Iterator[str]:
    """Yield the HTML of each text in a part of linked data, in order."""
    if isinstance(node, list):
        for inner in node:
            yield from texts(inner)
    elif isinstance(node, dict):
        kind = node.get("@type")
        posted = not POSTS.isdisjoint([kind] if isinstance(kind, str) else kind or [])
        told = node.get("articleBody") or (node.get("text") if posted else None)
        if isinstance(told, str) and told.strip():
            head = node.get("headline") or (node.get("name") if kind == "Question" else None)
            title = f"<h1>{escape(unescape(head))}</h1>" if isinstance(head, str) else ""
            name = "post" if posted else "content"
            yield f'<article class="{name}">{title}{as_html(told)}</article>'
        for name, inner in node.items():
            if isinstance(inner, (dict, list)) and (posted or name != "comment"):
                yield from texts(inner)


def as_html(text: str) -> str:
    r"""Return a text of linked data as HTML: as it is, or its lines as paragraphs.

    >>> as_html("a &amp; b\n\nc"), as_html("<p>a")
    ('<p>a &amp; b</p><p>c</p>', '<p>a')
    """
    text = text if MARKED_UP.search(text) else unescape(text)
    if MARKED_UP.search(text):
        return text
    return "".join(f"<p>{escape(line)}</p>" for line in text.split("\n") if line.strip())
