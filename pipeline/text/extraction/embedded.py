"""The text of pages that contain it as data for their scripts: threads of Discourse.

Such a page shows nothing until its scripts have run; its posts are JSON in an attribute, each as
HTML. They are put into a new page, post by post, which is then read like any other.
"""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

import lxml.html  # type: ignore[import-untyped]
from lxml import etree

from webtext.pipeline.text.extraction.parse import PARSER

ATTRIBUTE = "data-preloaded"
SHOWN = 1500  # characters of a page's blocks; with more, there is no search for data
HOLDERS = ("div", "discourse-assets-json")


def embedded(tree: Any) -> Any:
    """Return a tree of the posts that a page contains as data, None if there are none."""
    posts = [
        f'<article class="post"><p class="author">{escape(name)}</p>'
        f'<div class="post-content">{html}</div></article>'
        for element in tree.iter(*HOLDERS)
        if (raw := element.get(ATTRIBUTE))
        for name, html in preloaded(raw)
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
