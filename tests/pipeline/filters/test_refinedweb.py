import pyarrow as pa
import pytest

from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.filters.gopher import GopherQuality
from webtext.pipeline.filters.refinedweb import RefinedWeb
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.words.document import Document

KEPT = "This line is kept, as lines of text are."
LONG = "one two three four five six seven eight nine items in cart"  # eleven words or more


def lines(text, **settings):
    return RefinedWeb(**settings).edit(Document(text)).text.split("\n")


@pytest.mark.parametrize(
    "line",
    [
        "ABOUT us HERE",
        "12345",
        "3 likes",
        "(1,204 Comments)",
        "2.5k views",
        "Menu",
        "   ",
        "items in cart",
        "Read more...",
    ],
)
def test_lines_of_the_pages_frame_go(line):
    assert lines(f"{KEPT}\n{line}\n{KEPT}") == [KEPT, KEPT]


@pytest.mark.parametrize(
    "line",
    [
        KEPT,
        "",
        "ABcd efg",
        "AB cd",  # 2 of 5
        "AB c",  # half is not more than half
        "3 likes of hers",
        "three likes",
        "12345 6",
        "two words",
        LONG,
        "They read more... and slept",
        "Please Sign-in",
    ],
)
def test_other_lines_stay(line):
    assert lines(f"{KEPT}\n{line}\n{KEPT}") == [KEPT, line, KEPT]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("Sign-in to go on", "to go on"),
        ("sign-in please", "please"),
        ("There are 3 items in cart now", "There are 3 now"),
        ("The news of today. Read more...", "The news of today."),
        ("The news of today. READ MORE…", "The news of today."),
    ],
)
def test_short_lines_lose_the_frames_leftovers(line, left):
    found = lines(f"{KEPT}\n{line}\n{KEPT}")
    assert found == [KEPT, left, KEPT]


def test_each_rule_on_lines_may_be_left_out():
    frame = "ABOUT US\n12\n3 likes\nMenu"
    all_kept = {"upper": 1.0, "numbers": True, "counters": True, "min_words": 0}
    assert lines(frame, **all_kept) == frame.split("\n")


WORDS = " ".join(["word"] * 95)


@pytest.mark.parametrize(
    ("removed", "reason"),
    [(5, None), (6, "rules.refinedweb.removed_words.high")],
)
def test_a_document_goes_that_loses_more_than_a_twentieth_of_its_words(removed, reason):
    text = WORDS + "\nMenu" * removed
    rules = Rules(gopher_quality=GopherQuality(enabled=False), refinedweb=RefinedWeb(enabled=True))
    found = rules(pa.RecordBatch.from_pylist([{"id": "1", "text": text}], DOCUMENT)).to_pylist()
    assert found[0]["dropped_by"] == reason
    assert found[0]["text"] == (text if reason else WORDS)


def test_what_was_removed_is_counted():
    group = RefinedWeb()
    doc = group.edit(Document(f"{KEPT}\n\nMenu\n3 likes\n{KEPT}"))
    assert group.removed_lines(doc) == 2
    assert group.removed_words(doc) == pytest.approx(3 / 21)
    assert group.removed_words(Document("")) == 0


def test_the_measures_of_a_text_name_what_would_go():
    measured = {asked.rule: asked for asked in Rules().measures(f"{WORDS}\nMenu")}
    assert measured["refinedweb.removed_lines"].measure == 1
    assert measured["refinedweb.removed_words"].objection is None
    assert not measured["refinedweb.removed_words"].enabled
