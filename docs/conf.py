"""How Sphinx builds the documentation: `make docs` writes it to build/docs."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import made  # noqa: E402 -- it lies beside this file

project = "webtext"
author = copyright = "the makers of webtext"  # noqa: A001 -- Sphinx asks for this name
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"  # all of its files lie beside the pages: they ask nobody else for anything
html_title = "webtext"
html_show_sphinx = False
html_copy_source = False
nitpicky = True
HOW_TO = "HOW-TO-PAGES"  # in index.md: all pages that no list there names


def listed(_app: Sphinx, name: str, source: list[str]) -> None:
    """List all how-to pages on the first one."""
    if name == "index":
        named = set(source[0].splitlines())
        found = sorted(path.stem for path in HERE.glob("*.md") if path.stem not in named)
        source[0] = source[0].replace(HOW_TO, "\n".join(one for one in found if one != "index"))


def setup(app: Sphinx) -> None:
    """Make the pages that say what the code says."""
    made.write(HERE / "reference")
    app.connect("source-read", listed)
