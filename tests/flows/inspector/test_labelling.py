"""Labels are given, drawn for, and counted; nothing else can be changed."""

import shutil

import pytest
from starlette.testclient import TestClient

from tests.flows.inspector.conftest import PORT, SECRET
from tests.flows.inspector.test_pages import seen
from webtext.flows.inspector.app import make_app, portion
from webtext.flows.inspector.gate import FIELD, Gate
from webtext.flows.inspector.labelling import Labels
from webtext.pipeline.corpus import labels


@pytest.fixture
def mine(app, built, tmp_path):
    """The inspector of the same build, with labels in a directory of its own."""
    table = app.state.inspector.table
    made = make_app(tmp_path, table, built / "inspector")
    found = TestClient(Gate(made, PORT, SECRET), base_url=f"http://127.0.0.1:{PORT}")
    found.get("/", params={FIELD: SECRET})
    found.data, found.table = tmp_path, table
    return found


def ids(mine, where):
    return [
        row["id"] for row in mine.table.rows(f"SELECT id FROM documents WHERE {where} ORDER BY id")
    ]


def test_a_label_is_kept_and_shown(mine):
    first = ids(mine, "fate = 'kept'")[0]
    back = f"/document/{first}?at=0&show=tokens"
    fields = {"label": "drop", "reason": "<b>a menu</b>\u202e", "back": back}
    answer = mine.post(f"/document/{first}/label", data=fields, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, back)
    label = labels.read(mine.data)[first]
    assert (label.label, label.fate, label.reason) == ("drop", "kept", "<b>a menu</b>\u202e")
    page, _ = seen(mine, back)
    pressed = [at["value"] for _, at in page.found if at.get("aria-pressed") == "true"]
    assert pressed == ["drop"]
    _, text = seen(mine, "/labels")
    assert "<b>a menu</b>\\u202e" in text
    assert "labelled drop" in seen(mine, "/?side=kept")[1]
    mine.post(f"/document/{first}/label", data={"label": ""})
    assert labels.read(mine.data) == {}


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/", "/document/x", "/\\x"]
)
def test_a_label_leads_nowhere_else(mine, back):
    first = ids(mine, "true")[0]
    fields = {"label": "keep", "back": back}
    answer = mine.post(f"/document/{first}/label", data=fields, follow_redirects=False)
    assert answer.headers["location"] == f"/document/{first}"


def test_only_what_is_a_label_of_a_document_is_written(mine):
    first = ids(mine, "true")[0]
    assert mine.post("/document/0000000000000000/label", data={"label": "keep"}).status_code == 400
    assert mine.post(f"/document/{first}/label", data={"label": "maybe"}).status_code == 400
    large = {"label": "keep", "reason": "x" * 70_000}
    assert mine.post(f"/document/{first}/label", data=large).status_code == 413
    outside = {"origin": "https://evil.example"}
    form = {"label": "keep"}
    assert mine.post(f"/document/{first}/label", data=form, headers=outside).status_code == 403
    assert mine.get(f"/document/{first}/label").status_code == 405
    assert not (mine.data / labels.FILE).exists()


def test_documents_are_drawn_in_the_order_of_their_ids(mine):
    strata = {
        "kept": "fate = 'kept'",
        "dropped": "fate <> 'kept'",
        "rules.gopher_quality.word_count.low": "fate LIKE '%word_count.low'",
    }
    for name, where in strata.items():
        wanted = ids(mine, where)
        for identity in wanted[:3]:
            answer = mine.get("/draw", params={"from": name}, follow_redirects=False)
            assert answer.headers["location"] == f"/document/{identity}?draw={name}"
            fields = {"label": "keep", "draw": name}
            answer = mine.post(f"/document/{identity}/label", data=fields, follow_redirects=False)
            assert answer.headers["location"] == f"/draw?from={name}"
        (mine.data / labels.FILE).unlink()
    answer = mine.get("/draw?from=nonsense")
    assert answer.status_code == 400
    assert "there is no document without a label in it" in answer.text


def test_shares_are_of_the_drawn_ones_only(mine):
    kept, dropped = ids(mine, "fate = 'kept'"), ids(mine, "fate <> 'kept'")
    judged = [(kept[0], "drop"), (kept[1], "keep"), (kept[2], "unsure"), (kept[3], "keep"),
              (kept[9], "drop"),  # not drawn: it stands behind one without a label
              (dropped[0], "keep"), (dropped[1], "drop")]  # fmt: skip
    for identity, label in judged:
        mine.post(f"/document/{identity}/label", data={"label": label})
    view = Labels(mine.data, mine.table).view()
    one, other = view["overall"]
    assert (one.name, one.documents, one.drawn, one.unsure) == ("kept", len(kept), 4, 1)
    assert (one.wrong.matching, one.wrong.of) == (1, 3)
    assert (other.name, other.documents, other.drawn) == ("dropped", len(dropped), 2)
    assert (other.wrong.matching, other.wrong.of) == (1, 2)
    assert sum(row.documents for row in view["reasons"]) == len(dropped)
    text = " ".join(seen(mine, "/labels")[1].split())
    limits = labels.share(1, 3)
    assert (
        f"Of the kept documents, {portion(1 / 3)} should not be in the corpus: "
        f"{portion(limits.low)} to {portion(limits.high)} with 95 % confidence." in text
    )


def test_labels_of_another_process_are_seen(mine):
    first = ids(mine, "true")[0]
    labels.add(mine.data, labels.Label(first, "unsure"))
    page, _ = seen(mine, f"/document/{first}")
    assert [at["value"] for _, at in page.found if at.get("aria-pressed") == "true"] == ["unsure"]


def test_labels_outlive_the_cache(app, built, mine):
    first = ids(mine, "true")[0]
    mine.post(f"/document/{first}/label", data={"label": "keep"})
    shutil.rmtree(mine.data / "inspector", ignore_errors=True)
    assert set(labels.read(mine.data)) == {first}
