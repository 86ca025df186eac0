"""A block among the first guesses about the others."""

import lxml.html
import pytest

from webtext.pipeline.text.extraction.blocks.blocks import blocks
from webtext.pipeline.text.extraction.blocks.evidence import TOKEN, evidence
from webtext.pipeline.text.extraction.blocks.neighbours import AGAIN, MISSING, Neighbours
from webtext.pipeline.text.extraction.blocks.scoring import SURE, judged

PAGE = """<body><div class=post><p>one two three</p><p>four</p></div>
<div class=post><p>five six seven</p></div><div class=menu><a>eight</a></div></body>"""
GUESSES = [0.8, 0.5, 0.6, 0.1]


@pytest.fixture
def found():
    found, _ = blocks(lxml.html.fromstring(PAGE))
    assert [block.text for block in found] == ["one two three", "four", "five six seven", "eight"]
    return found


def seen(found, number, guesses=GUESSES):
    words = [len(TOKEN.findall(block.text)) for block in found]
    return dict(zip(AGAIN, Neighbours(found, words, guesses).row(number), strict=True))


def test_a_block_is_told_what_stands_around_it(found):
    row = seen(found, 1)
    assert [row[f"guess at {step:+d}"] for step in (-2, -1, 1, 2, 3)] == [
        MISSING, 0.8, 0.6, 0.1, MISSING
    ]  # fmt: skip
    assert row["guess"] == 0.5
    # Of 4, 2, 4 and 2 words, one more each than they have.
    assert row["guess within 4"] == pytest.approx((3.2 + 1.0 + 2.4 + 0.2) / 12)
    assert row["guess of the page"] == row["guess within 4"]
    assert row["text before"] == pytest.approx(3.2 / 6.8)
    assert row["words likelier"] == pytest.approx((4 + 4 + 2) / 12)
    assert row["best guess of the page"] == 0.8


def test_blocks_with_the_same_names_are_told_of_each_other_wherever_they_stand(found):
    posts = (3.2 + 1.0 + 2.4) / 10
    assert [seen(found, n)["guess of its group"] for n in (0, 1, 2)] == pytest.approx([posts] * 3)
    assert seen(found, 0)["guess of its parent"] == pytest.approx(4.2 / 6)  # its own post alone
    assert seen(found, 2)["guess of its parent"] == pytest.approx(0.6)


def test_of_two_equal_blocks_the_one_among_text_is_the_likelier():
    line = "<p>See also the notes below.</p>"
    text = (
        "<p>" + "The harbour was quiet, and the boats had come in before the storm. " * 5 + "</p>"
    )
    menu = "".join(f"<li><a href=/{n}>Menu {n}</a></li>" for n in range(12))
    page = lxml.html.fromstring(
        f"<body><ul>{menu}</ul>{line}<ul>{menu}</ul><article>{text * 3}{line}{text * 3}</article>"
    )
    found, places = blocks(page)
    rows = evidence(found, places, "")
    words = [len(TOKEN.findall(block.text)) for block in found]
    chances = judged(found, words, rows)
    outside, inside = [n for n, block in enumerate(found) if block.text.startswith("See also")]
    assert chances[inside] > chances[outside]


def test_what_the_first_look_is_sure_of_stays(found, monkeypatch):
    def looked(rows, look):
        return [0.99, SURE, 0.5, 0.01] if look == "alone" else [0.123] * len(rows)

    name = "webtext.pipeline.text.extraction.blocks.scoring.probabilities"
    monkeypatch.setattr(name, looked)
    assert judged(found, [3, 1, 3, 1], [[]] * 4) == [0.99, SURE, 0.123, 0.01]


def test_a_page_without_blocks_has_no_neighbours():
    assert judged([], [], []) == []
