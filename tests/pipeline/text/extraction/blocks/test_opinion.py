"""What trafilatura takes of a page is asked where a page is an article, and heeded."""

import pytest
import trafilatura
from lxml import etree
from trafilatura.settings import Document

from webtext.pipeline.text.extraction.blocks import opinion
from webtext.pipeline.text.extraction.blocks.evidence import NAMES
from webtext.pipeline.text.extraction.blocks.opinion import NOT_ASKED, OPINION
from webtext.pipeline.text.extraction.blocks.reader import main_text, seen
from webtext.pipeline.text.extraction.maintext import Article, Page, Reading, read
from webtext.pipeline.text.extraction.parse import parse

SIGNS = {
    "open graph": "<meta property='og:type' content='article'>",
    "by name": "<meta name='og:type' content='Article'>",
    "published": "<meta property='article:published_time' content='2019-03-04'>",
    "linked data": '<script type="application/ld+json">{"@type": "NewsArticle"}</script>',
    "several types": '<script type="application/ld+json">{"@type": ["BlogPosting"]}</script>',
}
OTHERS = {
    "nothing": "",
    "a site": "<meta property='og:type' content='website'>",
    "goods": '<script type="application/ld+json">{"@type": "Product"}</script>',
}
SAID = [
    (
        f"The keeper of lock {n} says that the gates were shut for the {n} days of the flood, and "
        "that the barges had to wait at the bend until the water had gone down."
    )
    for n in range(3, 12)
]
LAST = "Boats that draw less than two feet may pass the upper gates at any hour of the day."


def page(sign):
    said = "".join(f"<p>{one}</p>" for one in SAID)
    return (
        f"<!doctype html><html><head><title>The flood</title>{sign}</head><body><div class='wide'>"
        f"<h1>The flood</h1>{said}</div><div class='low'><p>{LAST}</p></div></body></html>"
    )


@pytest.fixture
def asked(monkeypatch):
    """What trafilatura is asked, while it answers as ever."""
    trees = []
    answer = trafilatura.bare_extraction

    def ask(tree, **settings):
        trees.append(tree)
        return answer(tree, **settings)

    monkeypatch.setattr(trafilatura, "bare_extraction", ask)
    return trees


def opinions(tree):
    at = [NAMES.index(name) for name in OPINION]
    found, rows = seen(tree)
    return [(block.text, tuple(row[n] for n in at)) for block, row in zip(found, rows, strict=True)]


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_it_is_asked_of_a_page_that_says_it_is_an_article(sign, asked):
    found = read(Reading(metadata=False), Page(page(sign).encode(), "text/html", None))
    assert isinstance(found, Article)
    assert SAID[0] in found.text
    assert len(asked) == 1


@pytest.mark.parametrize("sign", OTHERS.values(), ids=OTHERS)
def test_it_is_not_asked_of_another(sign, asked):
    read(Reading(metadata=False), Page(page(sign).encode(), "text/html", None))
    assert asked == []
    assert {told for _, told in opinions(parse(page(sign)))} == {NOT_ASKED}


def test_its_answer_is_told_of_each_block_and_leaves_the_tree_as_it_is():
    tree = parse(page(SIGNS["open graph"]))
    before = etree.tostring(tree)
    told = dict(opinions(tree))
    assert all(told[one][0] == 1.0 for one in SAID)
    assert all(0 < near <= 1 and 0.5 < whole <= 1 for _, near, whole in told.values())
    assert etree.tostring(tree) == before


def test_a_share_is_that_of_runs_of_three_words_and_short_blocks_are_lines():
    blocks = [["one", "two", "three", "four"], ["two", "three"], ["five"], []]
    assert opinion.compared(blocks, "ONE two three\nfive\n\n") == [0.5, 0.0, 1.0, 0.0]


def test_its_answer_changes_what_is_chosen(monkeypatch):
    def answering(text):
        document = Document()
        document.text = text
        monkeypatch.setattr(opinion.trafilatura, "bare_extraction", lambda *_, **__: document)
        return main_text(parse(page(SIGNS["open graph"])))

    assert LAST in answering("\n".join([*SAID, LAST]))
    assert LAST not in answering("\n".join(SAID))


def test_a_page_that_it_fails_on_or_that_is_too_large_is_read_without_it(monkeypatch, asked):
    def fails(*_, **__):
        raise AttributeError("none")

    tree = parse(page(SIGNS["open graph"]))
    with monkeypatch.context() as patch:
        patch.setattr(opinion, "MOST_BLOCKS", 3)
        assert SAID[0] in main_text(tree)
        assert asked == []
    monkeypatch.setattr(trafilatura, "bare_extraction", fails)
    assert {told for _, told in opinions(tree)} == {NOT_ASKED}
    assert SAID[0] in main_text(tree)


def test_a_page_of_many_elements_is_read_without_it_as_that_would_take_its_square(asked):
    said = "<b>one</b> " * 30_000
    tree = parse(page(SIGNS["open graph"]).replace(LAST, said))
    assert SAID[0] in main_text(tree)
    assert asked == []


def test_memory_that_is_spent_is_not_hidden(monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr(trafilatura, "bare_extraction", fails)
    with pytest.raises(MemoryError):
        main_text(parse(page(SIGNS["open graph"])))


def test_soft_hyphens_are_no_ends_of_words():
    whole = page(SIGNS["open graph"]).replace("</h1>", "</h1><pre>a\xadb</pre>")
    parted = whole.replace("barges", "bar\xadges").replace("water", "wa\xadter")
    found, rows = seen(parse(parted))
    assert parted != whole
    assert rows == seen(parse(whole))[1]
    assert [block.text for block in found] == ["The flood", "a\xadb", *SAID, LAST]
