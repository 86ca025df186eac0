import json

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.stage import conform
from webtext.pipeline.filters.decontaminate import Decontaminate
from webtext.pipeline.words.evalsets import examples
from webtext.pipeline.words.ngrams import ngrams, words

QUESTION = "Which of these birds can fly backwards for a long time without any wind at all?"
SHORT = "Only the small humming bird of the south can."


@pytest.fixture
def quiz(tmp_path):
    path = tmp_path / "quiz.jsonl.zst"
    lines = [{"question": QUESTION, "options": ["The owl", "The humming bird"], "gold": 1}]
    lines += [{"question": SHORT}, {"question": "Why not?"}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_bytes(zstandard.compress(text.encode()))
    return path


def judge(stage, *texts):
    rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    out = stage(conform(pa.RecordBatch.from_pylist(rows), DOCUMENT))
    return list(zip(out["dropped_by"].to_pylist(), out["dropped_value"].to_pylist(), strict=True))


def test_a_document_with_thirteen_words_of_a_set_in_a_row_goes(quiz):
    stage = Decontaminate((str(quiz),))
    asked = words(QUESTION)
    thirteen, twelve = " ".join(asked[:13]), " ".join(asked[:12])
    found = judge(
        stage,
        f"He read: {thirteen.upper()}! Nobody knew.",
        f"He read: {twelve}, and so on, and nobody knew.",
        "something else that is long enough to have thirteen words in it, or even a few more",
        QUESTION + " The owl The humming bird",
    )
    more = len(ngrams(QUESTION + " The owl The humming bird", 13))
    over = ("decontaminate.overlap", 1.0)
    assert found == [over, (None, None), (None, None), ("decontaminate.overlap", float(more))]


def test_a_short_example_is_looked_for_as_a_whole_and_a_very_short_one_not(quiz):
    stage = Decontaminate((str(quiz),))
    found = judge(stage, f"Well. {SHORT} So it is.", "Why not? Why not indeed?", SHORT[:-5])
    assert [reason for reason, _ in found] == ["decontaminate.overlap", None, None]


def test_what_is_in_a_set_decides_and_not_its_place(quiz, tmp_path):
    other = tmp_path / "elsewhere" / quiz.name
    other.parent.mkdir()
    other.write_bytes(quiz.read_bytes())
    one, two = Decontaminate((str(quiz),)), Decontaminate((str(other),))
    assert one.fingerprints() == two.fingerprints()
    with pytest.raises(UserError, match=r"decontaminate\.against: nowhere\.jsonl: no such file"):
        Decontaminate(("nowhere.jsonl",)).fingerprints()


def test_settings_out_of_range_are_refused():
    with pytest.raises(UserError, match=r"decontaminate\.shortest = 14: use 1 to"):
        Decontaminate(shortest=14)


def test_a_set_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt: not to be read"):
        list(examples(tmp_path / "none.txt"))
    (tmp_path / "odd.jsonl").write_text('\ufeff{"a": "b\u2028c"}\r\n\n{"a": "d"}', newline="")
    assert list(examples(tmp_path / "odd.jsonl")) == ["b\u2028c", "d"]
    (tmp_path / "bad.jsonl").write_text('{"a": "b"}\n{"a": \n')
    with pytest.raises(UserError, match=r"bad.jsonl: line 2: not JSON"):
        list(examples(tmp_path / "bad.jsonl"))


@given(st.text(max_size=60), st.integers(1, 4))
def test_ngrams_are_equal_where_the_words_are(text, n):
    found = words(text)
    grams = [tuple(found[at : at + n]) for at in range(len(found) - n + 1)]
    numbers = ngrams(text, n).tolist()
    assert len(numbers) == len(grams)
    assert len(set(numbers)) == len(set(grams))
    assert ngrams(" — ".join(found), n).tolist() == numbers


def test_sets_of_one_name_in_two_folders_both_count(tmp_path):
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "test.txt")
        paths[-1].write_text(f"{QUESTION} {folder}")
    stage = Decontaminate(tuple(map(str, paths)))
    before = stage.fingerprints()
    assert list(before) == ["test.txt", "test.txt (2)"]
    for path in paths:
        path.write_text(SHORT)
        assert stage.fingerprints() != before
        before = stage.fingerprints()
    assert [why for why, _ in judge(stage, QUESTION, SHORT)] == [None, "decontaminate.overlap"]
