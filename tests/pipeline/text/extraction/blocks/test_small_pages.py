"""Small pages of many kinds, alone and in the dress of three sorts of sites: what is read."""

import re
from pathlib import Path

import pytest

from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.extraction.maintext import Article, Page, Reading, read

FRONT, *CASES = (
    (Path(__file__).parent / "small_pages.txt").read_text(encoding="utf-8").split("\n\n== ")
)
PARAGRAPHS = re.findall(r"^\* (.+)$", FRONT, re.MULTILINE)
DRESSES = {
    name: (before, after)
    for name, before, after in re.findall(r"^% (.+)\n(.+)\n(.+)$", FRONT, re.MULTILINE)
}
AROUND = ("Opening hours", "Maps of the coast", "Our other valleys", "Imprint and contact",
          "measure how this site")  # fmt: skip
FIRST = 60  # characters of a paragraph that are looked for
# Too little text, or too like its dress, to be told from it.
HARD = {("old", "poem-only-bare"), ("old", "changelog")}


def filled(text, most=None):
    return re.sub(r"\{(\d)\}", lambda found: PARAGRAPHS[int(found[1])][:most], text)


def case(told):
    """Return the name of a page, its head, its body, and what must and must not be read of it."""
    name, body, *lines = told.strip().split("\n")
    name, _, head = name.partition(" ")
    told = [filled(line[2:].replace("~", "\n"), FIRST) for line in lines]
    signs = [line[0] for line in lines]
    assert set(signs) <= {"+", "-"}
    wanted, unwanted = (
        [text for sign, text in zip(signs, told, strict=True) if sign == one] for one in "+-"
    )
    return name, head, filled(body.replace("~", "\n")), wanted, unwanted


PAGES = list(map(case, CASES))
WORN = [(("", ""), page) for page in PAGES] + [
    (DRESSES[dress], page) for page in PAGES for dress in DRESSES if (dress, page[0]) not in HARD
]


@pytest.mark.parametrize(("dress", "page"), WORN)
def test_a_small_page_is_read_as_a_careful_reader_copies_it(dress, page):
    _, head, body, wanted, unwanted = page
    before, after = dress
    html = (
        "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n<title>The strait"
        f"</title>{head}\n</head>\n<body>\n{before}{body}{after}\n</body>\n</html>"
    )
    found = read(Reading(metadata=False), Page(html.encode(), "text/html", None))
    assert isinstance(found, Article)
    text = Clean().text(found.text)
    assert [one for one in wanted if one not in text] == []
    unwanted = (*unwanted, *AROUND) if before else unwanted
    assert [one for one in unwanted if one in text] == []
