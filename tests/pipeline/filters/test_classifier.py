import json

import numpy as np
import pytest

from tests.pipeline import fake_data
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import CORPUS, DOCUMENT, with_reasons
from webtext.pipeline.core.shards import Directory, sha256
from webtext.pipeline.corpus import labels
from webtext.pipeline.filters.classifier import Example, Learn, features, load, save, train
from webtext.pipeline.filters.quality import Quality, Score
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.insight.examples import by_labels, by_rules, by_score, of_files
from webtext.pipeline.words.document import Document

SMALL = Learn(bits=14, epochs=10)


def documents(word, count, seed):
    rng = np.random.default_rng(seed)
    common = ["the", "of", "and", "a", "to", "in", "house", "river", "day"]
    for number in range(count):
        text = " ".join([*rng.choice(common, 40), word, *rng.choice(common, 10)])
        yield Example(f"site{number}.example", text)


@pytest.fixture(scope="module")
def model():
    return train(documents("theorem", 200, 1), documents("casino", 200, 2), SMALL, {"by": "hand"})


def test_a_model_tells_what_it_learnt_from_what_it_did_not_see(model):
    new = [[one.text for one in documents(word, 50, 9)] for word in ("theorem", "casino")]
    good, bad = ([model.score(text) for text in texts] for texts in new)
    assert min(good) > 0.5 > max(bad)
    assert model.provenance["held_out"]["auc"] == 1.0
    counts = model.provenance["documents"]
    assert counts["training"]["positive"] + counts["held_out"]["positive"] == 200
    assert 8 < counts["held_out"]["negative"] < 40
    assert model.provenance["sources"] == {"by": "hand"}


def test_the_area_under_the_curve_is_scikit_learns(model):
    from sklearn.metrics import roc_auc_score

    from webtext.pipeline.filters.classifier import judged

    rng = np.random.default_rng(0)
    labels = rng.random(500) < 0.3
    scores = np.round(rng.random(500) + 0.2 * labels, 1)  # many of them equal
    assert judged(scores, labels)["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-4)


def test_the_score_is_the_probability_that_scikit_learn_gives(model):
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    text = "The theorem of the river, and a casino in the house"
    buckets = features(text, SMALL)
    row = csr_matrix(
        (np.full(len(buckets), len(buckets) ** -0.5), buckets, [0, len(buckets)]),
        (1, 1 << SMALL.bits),
    )
    peer = LogisticRegression()
    peer.classes_ = np.array([False, True])
    peer.coef_, peer.intercept_ = model.weights[None].astype(float), np.array([model.bias])
    assert model.score(text) == pytest.approx(peer.predict_proba(row)[0, 1], abs=1e-6)
    assert 0 < model.score("") < 1


def test_the_same_documents_give_the_same_file_which_reads_back(model, tmp_path):
    again = train(documents("theorem", 200, 1), documents("casino", 200, 2), SMALL, {"by": "hand"})
    save(model, tmp_path / "one")
    save(again, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = load(str(tmp_path / "one"))
    assert found.provenance == model.provenance
    assert found.score("a casino") == model.score("a casino")


def test_a_model_is_a_rule_with_a_threshold(model, tmp_path):
    path = tmp_path / "quality.safetensors"
    save(model, path)
    rules = Rules(quality=Quality(score=Score(str(path), at_least=0.6)))
    asked = {one.rule: one for one in rules.measures("casino " * 60)}["quality.score"]
    assert asked.objection == "low"
    assert asked.measure == pytest.approx(Score(str(path))(Document("casino " * 60)))
    assert rules.fingerprints() == {"rules.quality.score": sha256(path)}
    assert Rules(quality=Quality(False, Score(str(path)))).fingerprints() == {}
    assert "quality.score" not in {one.rule for one in Rules().measures("casino")}


def test_what_is_no_model_is_said(tmp_path):
    with pytest.raises(UserError, match=r"none: no such file"):
        Rules(quality=Quality(score=Score(str(tmp_path / "none")))).fingerprints()
    (tmp_path / "bad").write_text("nothing")
    with pytest.raises(UserError, match="no quality model to be read"):
        load(str(tmp_path / "bad"))


def test_too_few_documents_are_said():
    with pytest.raises(UserError, match=r"positive and 0 negative training documents; wanted 2"):
        train(documents("theorem", 20, 1), [], SMALL, {})


def test_examples_come_from_what_the_rules_kept_and_dropped(tmp_path):
    home = Directory(tmp_path / "documents-1")
    rows = [fake_data.document(number) for number in range(30)]
    fake_data.write(home.shard(0), rows[:20], DOCUMENT)
    why = {"dropped_value": 1.0}
    gone = [{**row, "dropped_by": "rules.c4.sentences.low", **why} for row in rows[20:26]]
    gone += [{**row, "dropped_by": "language.other", **why} for row in rows[26:]]
    fake_data.write(home.shard(0, under="dropped"), gone, with_reasons(DOCUMENT))
    assert {one.text for one in by_rules(home, True, 99)} == {row["text"] for row in rows[:20]}
    assert {one.text for one in by_rules(home, False, 99)} == {row["text"] for row in rows[20:26]}
    few = sorted(rows[:20], key=lambda row: row["id"])[:5]
    assert [one.text for one in by_rules(home, True, 5)] == [row["text"] for row in few]
    assert {one.group for one in by_rules(home, True, 5)} == {row["domain"] for row in few}


def test_examples_come_from_what_people_labelled(tmp_path):
    home = Directory(tmp_path / "documents-1")
    rows = [fake_data.document(number) for number in range(8)]
    fake_data.write(home.shard(0), rows[:5], DOCUMENT)
    gone = [{**row, "dropped_by": "rules.c4.sentences.low"} for row in rows[5:]]
    fake_data.write(home.shard(0, under="dropped"), gone, with_reasons(DOCUMENT))
    with pytest.raises(UserError, match=r"no document of documents-1 is labelled keep"):
        list(by_labels(home, tmp_path, "keep", 99))
    for row, label in zip(rows, ["keep", "drop", "unsure", "keep", "", "keep"], strict=False):
        labels.add(tmp_path, labels.Label(row["id"], label))
    good = {one.text for one in by_labels(home, tmp_path, "keep", 99)}
    assert good == {rows[number]["text"] for number in (0, 3, 5)}
    (bad,) = by_labels(home, tmp_path, "drop", 99)
    assert (bad.text, bad.group) == (rows[1]["text"], rows[1]["domain"])


def test_examples_come_from_high_and_low_karma_and_from_files(tmp_path):
    home = Directory(tmp_path / "corpus-1")
    rows = [fake_data.document(number) for number in range(30)]
    fake_data.write(home.shard(0), rows, CORPUS)
    high = {one.text for one in by_score(home, 77, True, 99)}
    low = {one.text for one in by_score(home, 77, False, 99)}
    assert high == {row["text"] for row in rows if (row["score"] or 0) >= 77}
    assert low == {row["text"] for row in rows if row["score"] is not None and row["score"] < 77}
    path = tmp_path / "good.jsonl"
    path.write_text(json.dumps({"id": 1, "text": "a"}) + "\n")
    assert list(of_files([path])) == [Example("1", "a")]
