from dataclasses import replace

import pytest

from tests.pipeline import fake_data
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT, with_reasons
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.filters.c4 import C4
from webtext.pipeline.filters.gopher import GopherQuality, LetterWords, WordCount
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.insight.audit import audit, describe, sampled

RULES = Rules()
REASON = "gopher_quality.word_count.low"


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """Forty documents, of which the rules dropped ten and another stage five, in two shards."""
    directory = Directory(tmp_path_factory.mktemp("data") / "documents-1")
    for shard in range(2):
        rows = [fake_data.document(20 * shard + number) for number in range(20)]
        for number in range(5):
            rows[number] |= {"text": "The end of that."}
        fake_data.write(directory.shard(shard), rows[8:], DOCUMENT)
        why = {"dropped_by": f"rules.{REASON}", "dropped_value": 4.0}
        gone = [{**row, **why} for row in rows[:5]]
        gone += [
            {**row, "dropped_by": "language.other", "dropped_value": None} for row in rows[5:8]
        ]
        path = directory.shard(shard, under="dropped")
        fake_data.write(path, gone, with_reasons(DOCUMENT))
    return directory


def test_the_sample_are_the_smallest_ids_of_all_that_came_to_the_rules(documents):
    whole = {document.url for document in sampled(documents, 1000)}
    assert len(whole) == 34
    numbers = [20 * shard + n for shard in range(2) for n in (*range(5), *range(8, 20))]
    ranked = sorted((fake_data.document(n) for n in numbers), key=lambda row: row["id"])
    for count in (1, 7, 34):
        found = {document.url for document in sampled(documents, count)}
        assert found == {row["url"] for row in ranked[:count]}


@pytest.mark.parametrize("rules", [RULES, Rules(gopher_quality=GopherQuality(enabled=False))])
def test_the_counts_are_those_of_asking_one_document_after_the_other(documents, rules):
    found = audit(rules, documents)
    texts = [document.text for document in sampled(documents, 1000)]
    objections = []
    for text in texts:
        asked = [one for one in rules.measures(text) if one.objection]
        objections.append([(f"{one.rule}.{one.objection}", one.enabled) for one in asked])
    assert found.sampled == 34
    assert found.kept == sum(not any(on for _, on in each) for each in objections)
    assert found.kept == sum(rules.judge(text)[0] is None for text in texts)
    for verdict in found.verdicts:
        mine = [each for each in objections if verdict.reason in [name for name, _ in each]]
        assert verdict.objects == len(mine)
        others = [[name for name, on in each if on and name != verdict.reason] for each in mine]
        assert verdict.alone == sum(not names for names in others)
        first = [next((name for name, on in each if on), None) for each in objections]
        assert verdict.first == first.count(verdict.reason)
        assert len(verdict.urls) == min(10, len(mine))


def test_moving_a_bound_gives_what_that_bound_would_give(documents):
    (verdict,) = [one for one in audit(RULES, documents).verdicts if one.reason == REASON]
    for move in verdict.moves:
        count = GopherQuality().word_count
        other = type(count)(at_least=round(move.bound), at_most=count.at_most)
        rules = Rules(gopher_quality=GopherQuality(word_count=other))
        (again,) = [one for one in audit(rules, documents).verdicts if one.reason == REASON]
        assert move.objects == again.objects
        assert move.kept == audit(rules, documents).kept


def test_people_see_the_table_and_the_urls(documents):
    printed = describe(audit(RULES, documents))
    assert "34 documents, " in printed
    assert REASON in printed
    assert "  https://site" in printed


def test_no_document_is_no_audit(tmp_path):
    with pytest.raises(UserError, match="no document came as far as the rules"):
        audit(RULES, Directory(tmp_path))


@pytest.mark.parametrize("moved", [None, 100.0])
def test_the_table_of_measures_gives_what_the_texts_give(tmp_path, moved, monkeypatch):
    """Of all documents, and without a text: the counts are those of asking every rule again."""
    world = fake_data.World(tmp_path, 30)
    home = world.directories["documents"]
    rules = RULES
    if moved:
        rules = replace(
            RULES, gopher_quality=GopherQuality(word_count=WordCount(at_least=moved, at_most=None))
        )
    by_texts = audit(rules, home, 10_000)
    monkeypatch.setattr("webtext.pipeline.insight.audit.sampled", None)
    by_table = audit(rules, home)
    assert (by_table.sampled, by_table.kept) == (by_texts.sampled, by_texts.kept)
    texts = {one.reason: one for one in by_texts.verdicts}
    for one in by_table.verdicts:
        same = texts.pop(one.reason)
        assert replace(one, urls=()) == replace(same, urls=())
        assert len(one.urls) == len(same.urls)
    assert {reason.rpartition(".")[0] for reason in texts} <= set(by_table.unmeasured)
    assert "c4.sentences" in by_table.unmeasured
    assert "c4.sentences" in describe(by_table)


def test_rules_that_measure_something_else_are_asked_about_the_texts(tmp_path):
    home = fake_data.World(tmp_path, 3).directories["documents"]
    other = GopherQuality(letter_words=LetterWords(marks=not LetterWords().marks))
    for rules in (Rules(gopher_quality=other), Rules(c4=C4(enabled=True))):
        assert not audit(rules, home).unmeasured
    assert audit(Rules(gopher_quality=GopherQuality(enabled=False)), home).unmeasured
