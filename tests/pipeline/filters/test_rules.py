from dataclasses import fields, is_dataclass, replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.filters.c4 import C4
from webtext.pipeline.filters.dolma import DolmaRepetition
from webtext.pipeline.filters.fineweb import FineWeb
from webtext.pipeline.filters.gopher import GopherQuality, GopherRepetition, StopWords
from webtext.pipeline.filters.refinedweb import RefinedWeb
from webtext.pipeline.filters.rules import Asked, Rules
from webtext.pipeline.filters.webtext import Prose

ALL = Rules(
    prose=Prose(enabled=True),
    gopher_repetition=GopherRepetition(enabled=True),
    dolma_repetition=DolmaRepetition(enabled=True),
    c4=C4(enabled=True),
    fineweb=FineWeb(enabled=True),
    refinedweb=RefinedWeb(enabled=True),
)
PROSE = (
    "The house that we have seen stood at the end of the road, and nobody had lived in it for "
    "years. Its windows were dark. In summer the garden went wild, and children came to look for "
    "apples. They told each other stories of what might be inside. Then a family bought it, to the "
    "surprise of all. They painted the door green and put up a fence. By autumn there was light in "
    "every room."
)


def batch(*texts):
    rows = [{"id": f"{n:016x}", "text": text} for n, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, DOCUMENT)


def every_rule():
    for _, group in ALL.groups():
        for field in fields(group):
            if is_dataclass(rule := getattr(group, field.name)):
                yield pytest.param(rule, id=f"{type(group).__name__}.{field.name}")


@pytest.mark.parametrize("rule", list(every_rule()))
def test_every_rule_says_where_its_values_come_from(rule):
    assert "Source:" in type(rule).__doc__


@pytest.mark.parametrize("rule", list(every_rule()))
def test_every_rule_bounds_its_measure(rule):
    assert {"at_least", "at_most"} & {field.name for field in fields(rule)}


def test_prose_passes_every_rule():
    assert ALL(batch(PROSE))["dropped_by"].to_pylist() == [None]


def test_a_dropped_document_says_which_rule_and_by_what():
    out = Rules()(batch(PROSE, "word " * 49, "x" * 20 * 50, None)).to_pylist()
    assert [(row["dropped_by"], row["dropped_value"]) for row in out] == [
        (None, None),
        ("rules.gopher_quality.word_count.low", 49),
        ("rules.gopher_quality.word_count.low", 1),
        ("rules.gopher_quality.word_count.low", 0),
    ]


def test_a_disabled_group_is_measured_and_has_no_say():
    text = "The cat and the dog. " * 30
    assert ALL.judge(text)[0].rule.startswith("gopher_repetition.")
    assert Rules().judge(text)[0] is None
    measured = {asked.rule: asked for asked in Rules().measures(text)}
    assert measured["gopher_repetition.repeated_paragraphs"].objection is None
    assert measured["gopher_repetition.repeated_5_grams"].objection == "high"
    assert not measured["gopher_repetition.repeated_5_grams"].enabled


def test_a_bound_of_none_bounds_nothing():
    lax = Rules(gopher_quality=GopherQuality(stop_words=StopWords(at_least=None)))
    text = PROSE.replace("the ", "le ").replace("and ", "et ").replace("The", "Le")
    text = text.replace("have", "avons").replace("that", "que").replace(" of ", " de ")
    text = text.replace(" to ", " pour ").replace(" be ", " être ")
    assert Rules().judge(text)[0].rule == "gopher_quality.stop_words"
    assert lax.judge(text)[0] is None


def test_a_group_that_edits_changes_the_kept_text_and_no_dropped_one():
    text = PROSE.replace(". ", ".\n") + "\nno mark at the end of this"
    kept = Rules(c4=C4(enabled=True))(batch(text))
    assert kept["text"].to_pylist() == [PROSE.replace(". ", ".\n")]
    strict = replace(FineWeb(enabled=True).short_lines, length=10_000)
    dropped = Rules(c4=C4(enabled=True), fineweb=FineWeb(True, short_lines=strict))(batch(text))
    assert dropped["dropped_by"].to_pylist() == ["rules.fineweb.short_lines.high"]
    assert dropped["text"].to_pylist() == [text]


@pytest.mark.parametrize(
    ("measure", "low", "high", "objection", "threshold"),
    [
        (1.0, 1.0, 2.0, None, 1.0),
        (2.0, 1.0, 2.0, None, 2.0),
        (0.9, 1.0, 2.0, "low", 1.0),
        (2.1, 1.0, 2.0, "high", 2.0),
        (2.1, 1.0, None, None, 1.0),
        (0.9, None, 1.0, None, 1.0),
        (float("nan"), None, 1.0, "high", 1.0),
    ],
)
def test_bounds_are_kept_themselves(measure, low, high, objection, threshold):
    asked = Asked("rule", measure, low, high, enabled=True)
    assert (asked.objection, asked.threshold) == (objection, threshold)


texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text("ab.-#… \n{")


@given(st.lists(texts | st.none(), max_size=5))
def test_every_row_is_accounted_for_and_keeps_its_place(some):
    rows = batch(*some)
    out = ALL(rows)
    assert out["id"].equals(rows["id"])
    for given_text, text, reason in zip(
        some, out["text"].to_pylist(), out["dropped_by"].to_pylist(), strict=True
    ):
        assert text == given_text or reason is None


@given(texts)
def test_what_is_measured_is_a_finite_number(text):
    for asked in ALL.measures(text):
        assert 0 <= asked.measure < float("inf")


@given(texts)
def test_the_first_objection_is_the_first_measure_out_of_bounds(text):
    first = next((asked for asked in ALL.measures(text) if asked.objection), None)
    assert ALL.judge(text)[0] == first
