import hashlib

import pyarrow as pa
import pytest

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.filters.gopher import GopherQuality
from webtext.pipeline.filters.lists import (
    ListedDomains,
    ListedPieces,
    ListedWords,
    Urls,
    Words,
    entries,
)
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.words.document import Document


@pytest.fixture
def listed(tmp_path):
    def write(*lines):
        path = tmp_path / "list.txt"
        path.write_text("\n".join(lines))
        return str(path)

    return write


@pytest.mark.parametrize("rule", [ListedWords, ListedDomains, ListedPieces])
def test_every_rule_says_where_it_comes_from(rule):
    assert "Source:" in rule.__doc__


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("A darn thing", 1),
        ("DARN! darn? (darn)", 3),
        ("darned, undarn, darn_it", 0),
        ("go to heck and back", 1),
        ("heck", 0),
        ("is it c++?", 1),
        ("", 0),
    ],
)
def test_words_and_phrases_are_found_where_no_letter_touches_them(listed, text, count):
    file = listed("# mild ones", "Darn", "to heck  # a phrase", "", "c++")
    assert ListedWords(file)(Document(text)) == count


def test_the_share_of_listed_words_may_be_bounded(listed):
    rule = ListedWords(listed("darn"), of_words=True)
    assert rule(Document("darn it all now")) == 0.25
    assert rule(Document("")) == 0


@pytest.mark.parametrize(
    ("url", "measure"),
    [
        ("https://bad.example/a", 1),
        ("http://www.BAD.example:8080/", 1),
        ("https://notbad.example/", 0),
        ("https://good.example/bad.example", 0),
        ("https://blog.of.example/", 1),
        ("https://of.example/", 0),
        ("", 0),
        ("no url", 0),
    ],
)
def test_a_domain_on_the_list_takes_all_names_under_it(listed, url, measure):
    file = listed("bad.example", "blog.of.example")
    assert ListedDomains(file)(Document("", url=url)) == measure


def test_strings_of_the_list_are_counted_in_the_url(listed):
    rule = ListedPieces(listed("casino", "poker"))
    assert rule(Document("", url="https://Online-Casino.example/poker/poker")) == 2
    assert rule(Document("casino", url="https://good.example/")) == 0


def batch(**columns):
    rows = [
        {"id": "1", "text": "a darn word", "url": "https://a.example/", **columns},
        {"id": "2", "text": "another", "url": "https://b.example/"},
    ]
    return pa.RecordBatch.from_pylist(rows, DOCUMENT)


NO_QUALITY = GopherQuality(enabled=False)


def test_the_reason_says_which_list_it_was(listed):
    words = Rules(gopher_quality=NO_QUALITY, words=Words(listed=ListedWords(listed("darn"))))
    assert words(batch())["dropped_by"].to_pylist() == ["rules.words.listed.high", None]
    domains = Rules(
        gopher_quality=NO_QUALITY, urls=Urls(domains=ListedDomains(listed("c.example")))
    )
    assert domains(batch())["dropped_by"].to_pylist() == [None, None]


def test_the_url_of_a_page_is_the_last_it_was_redirected_to(listed):
    rules = Rules(gopher_quality=NO_QUALITY, urls=Urls(pieces=ListedPieces(listed("c.example"))))
    moved = batch(final_url="https://c.example/")
    assert rules(moved)["dropped_by"].to_pylist() == ["rules.urls.pieces.high", None]


def test_what_is_in_a_list_decides_and_not_its_name(listed):
    file = listed("darn")
    rules = Rules(words=Words(listed=ListedWords(file)))
    assert rules.fingerprints() == {"rules.words.listed": hashlib.sha256(b"darn").hexdigest()}
    assert Rules(words=Words(enabled=False, listed=ListedWords("gone"))).fingerprints() == {}
    assert Rules().fingerprints() == {}


def test_a_byte_order_mark_is_no_part_of_the_first_entry(listed):
    assert entries(listed("\ufeffDarn", "heck")) == {"darn", "heck"}


def test_a_list_that_is_not_there_or_empty_is_said_by_its_setting(listed):
    with pytest.raises(UserError, match=r"rules\.urls\.domains\.file: gone\.txt: no such file"):
        Rules(urls=Urls(domains=ListedDomains("gone.txt"))).fingerprints()
    with pytest.raises(UserError, match="an empty list"):
        Rules(words=Words(listed=ListedWords(listed("# nothing")))).fingerprints()


def test_a_list_that_changes_while_a_process_lives_is_read_anew(listed):
    """A notebook and a worker of a cluster outlive a build."""
    rule = ListedWords(listed("darn"))
    assert (rule(Document("darn it")), rule(Document("oh heck"))) == (1, 0)
    listed("heck", "and more")
    assert (rule(Document("darn it")), rule(Document("oh heck"))) == (0, 1)
