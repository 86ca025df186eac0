"""What a moved bound does is what the rules themselves would do, over all documents."""

import math

import pytest

from tests.flows.inspector.test_pages import rows, seen
from webtext.flows.inspector.reading.cache import bounds_of
from webtext.flows.inspector.reading.texts import Texts
from webtext.pipeline.filters.own.own_rules import recorded_rules

WORDS = "/moved?rule=gopher_quality.word_count&side=low"


@pytest.fixture(scope="module")
def table(app):
    return app.state.inspector.table


def test_objections_are_those_of_the_rules(table):
    """Read every text again, and ask the rules as the build had them."""
    documents = table.directories["documents"]
    rules = recorded_rules(documents.manifest()["stages"]["rules"]["settings"])
    texts = Texts(documents)
    seen_rows = 0
    for row in table.rows("SELECT * FROM documents WHERE objections IS NOT NULL"):
        asked = [
            one for one in rules.measures(texts.of(row), row["url"], row["language"]) if one.enabled
        ]
        objecting = [one for one in asked if one.objection]
        assert row["objections"] == len(objecting), row["url"]
        assert (row["objections"] == 0) == (not row["fate"].startswith("rules."))
        seen_rows += 1
    assert seen_rows == 38


def test_every_bound_that_is_on_counts_what_it_drops(table, client):
    found = {(row["rule"], row["side"]): row for row in table.rows("SELECT * FROM bounds")}
    assert set(found) == {(one.rule, one.side) for one in bounds_of(table.directories["documents"])}
    dropped = table.value("SELECT count(*) FROM documents WHERE fate LIKE 'rules.%'")
    assert sum(row["first"] for row in found.values()) == dropped
    short = found["gopher_quality.word_count", "low"]
    assert (short["objects"], short["first"], short["enabled"]) == (6, 6, True)
    _, text = seen(client, "/bounds")
    assert "gopher_quality.word_count" in text


@pytest.mark.parametrize("at", [0, 20, 30, 50, 120, 160, 1e9])
def test_a_moved_bound_counts_what_comes_and_goes(table, client, at):
    told = client.get(f"{WORDS}&at={at}").json()
    column = '"gopher_quality.word_count"'
    free = (
        f"SELECT count(*) FROM documents WHERE objections - ({column} < 50)::INT = 0 AND {column}"
    )
    kept = table.value(f"{free} >= {at}")
    assert told["kept_then"] == kept == told["kept"] + told["comes"] - told["goes"]
    assert told["kept"] == table.value("SELECT count(*) FROM documents WHERE objections = 0")
    assert len(told["coming"]) == min(10, told["comes"])
    assert len(told["going"]) == min(10, told["goes"])
    assert all(at <= one["measure"] < 50 for one in told["coming"])
    assert all(50 <= one["measure"] < at for one in told["going"])
    assert told["line"] == f"rules.gopher_quality.word_count.at_least = {at:.6g}"


def test_the_page_and_its_script_say_the_same(client):
    told = client.get(f"{WORDS}&at=20").json()
    page, text = seen(client, "/bound?rule=gopher_quality.word_count&side=low&at=20")
    assert told["comes"] == 6
    for row in told["coming"]:
        assert row["url"] in text
    assert told["line"] in text
    assert any(at.get("id") == "range" for _, at in page.found)


def test_a_rule_that_is_off_is_told_to_be_put_on(client, table):
    row = next(row for row in table.rows("SELECT * FROM bounds WHERE NOT enabled ORDER BY place"))
    told = client.get("/moved", params={"rule": row["rule"], "side": row["side"]}).json()
    group = row["rule"].partition(".")[0]
    assert told["line"].startswith(f"rules.{group}.enabled = true\nrules.{row['rule']}.")
    assert (told["comes"], told["goes"]) == (0, row["alone"])


def test_hostile_titles_are_text_for_the_script_too(client):
    told = client.get(f"{WORDS}&at=1e9").json()
    assert told["goes"] > 10
    answer = client.get(WORDS)
    assert answer.headers["content-type"] == "application/json"
    assert "\u202e" not in answer.text


@pytest.mark.parametrize(
    "address",
    ["/bound", "/bound?rule=gopher_quality.word_count", "/moved?rule=x&side=low",
     "/bound?rule=gopher_quality.word_count&side=low&at=nan", f"{WORDS}&at=1e999",
     "/bound?rule=gopher_quality.word_count%22&side=low"],
)  # fmt: skip
def test_other_bounds_are_refused_in_a_line(client, address):
    answer = client.get(address)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_the_strips_show_where_a_document_lies(client):
    page, _ = seen(client, rows(client, "/?side=kept")[0])
    bars = [at for tag, at in page.found if tag == "rect" and at.get("class") == "all"]
    assert len(bars) > 20
    places = [float(at["x1"]) for tag, at in page.found if at.get("class", "").startswith("here")]
    assert places
    assert all(0 <= place <= 100 and math.isfinite(place) for place in places)
