"""Two builds in the inspector: its figures are those of `webtext compare`, and lead to rows."""

import re

import pytest

from tests.flows.inspector.test_pages import seen
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.insight.figures.compared import compared


def count(client, address):
    """Return the number of documents that a list says it has."""
    text = seen(client, address)[1]
    return int(re.search(r"([\d,]+) documents", text)[1].replace(",", ""))


def test_every_figure_is_that_of_compare_and_of_its_list(client, built, built_otherwise):
    wanted = compared(Build(None, built).made(), Build(None, built_otherwise).made())
    assert wanted["documents"]["came"] >= 6
    assert wanted["documents"]["changed"] >= 1
    page, _ = seen(client, "/compare")
    links = [at["href"] for tag, at in page.found if tag == "a"
             and at.get("href", "").startswith("/compare/rows")]  # fmt: skip
    for name in ("came", "changed"):
        assert count(client, f"/compare/rows?change={name}") == wanted["documents"][name]
    for row in wanted["causes"]:
        address = f"/compare/rows?change={row['change']}&cause={row['cause'].replace(' ', '+')}"
        assert address in links
        assert count(client, address) == row["documents"]
    for row in wanted["moves"]:
        address = f"/compare/rows?before={row['a'] or '-'}&after={row['b'] or '-'}"
        assert address in links
        assert count(client, address) == row["documents"]
    assert {row["setting"] for row in wanted["why"]["settings"]} >= {
        "rules.gopher_quality.word_count.at_least"
    }


def test_a_changed_text_is_shown_with_its_new_words(client):
    page, _ = seen(client, "/compare/rows?change=changed")
    (link,) = [at["href"] for tag, at in page.found if tag == "a" and at.get("class") == "open"]
    for address in (link, "/compare"):
        page, text = seen(client, address)
        assert "The end of the text, which is another." in text
        assert ("mark", {"class": "new"}) in page.found


def test_hostile_text_is_text_on_both_sides(client):
    page, _ = seen(client, "/?q=zebra")
    link = next(at["href"] for tag, at in page.found if at.get("class") == "open")
    identity = link.split("/")[2].partition("?")[0]
    _, text = seen(client, f"/compare/document/{identity}")
    assert text.count("<script>alert('text')</script>") == 2
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "address",
    ["/compare/rows", "/compare/rows?nothing=1", "/compare/document/0000000000000000"],
)
def test_what_is_not_there_is_told_in_a_line(client, address):
    answer = client.get(address)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_a_build_of_an_earlier_version_is_told_in_a_line(built, built_otherwise, monkeypatch):
    made = [Build(None, home).made() for home in (built, built_otherwise)]
    monkeypatch.setattr("webtext.pipeline.insight.figures.compared.TEXT", "of a later version")
    with pytest.raises(UserError, match="build it again"):
        compared(*made)


def test_a_value_from_an_address_is_no_question(client):
    assert count(client, "/compare/rows?domain=%27%20OR%20true%20--") == 0
