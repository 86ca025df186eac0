"""What a page of Prefect's shows of the documents: text of strangers."""

import pytest

from tests.pipeline.fake_data import World
from webtext.flows.building.samples import more, plain, report_of, samples
from webtext.pipeline.build import Build


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    World(data, 60)
    return Build(None, data).made()


def test_kept_and_dropped_documents_are_drawn_with_their_reasons(made):
    kept, dropped = samples(made).split("**Dropped**")
    for half in (kept, dropped):
        assert half.count("\n- ") == 6
        assert r"https\://site" in half
    assert dropped.count("- **") == 6, "each says why"
    assert "- **" not in kept
    assert r"Too short\." in dropped
    assert samples(made) == samples(made)
    assert samples(made[:2]) == "", "no documents yet"


def test_text_of_a_page_is_no_markup():
    hostile = "[x](javascript:y) <img src=z onerror=a> | `b` **c**\n# d \x1b[31m"
    shown = plain(hostile)
    for mark in ("[x]", "](", "<", "`b`", "**", "\n", "\x1b"):
        assert mark not in shown


def test_the_report_is_written_where_there_is_a_corpus(made, tmp_path):
    page = tmp_path / "report.html"
    assert not report_of(made[:2], page)
    assert not page.exists()
    assert report_of(made, page)
    assert "The funnel" in page.read_text()
    assert not report_of(made, page / "report.html"), "what cannot be written fails no build"


def test_links_lead_to_the_report_where_a_server_shows_it(tmp_path):
    data = tmp_path / "my data"
    assert "](http://127.0.0.1:1/webtext/report)" in more(data, "http://127.0.0.1:1/webtext/report")
    assert f"`webtext report --data '{data}'`" in more(data, None)
    assert f"`webtext inspect --data '{data}'`" in more(data, None)
