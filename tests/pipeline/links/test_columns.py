import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webtext.pipeline.core.compressed import blocks, chunks
from webtext.pipeline.core.jsonlines import decoded
from webtext.pipeline.links import columns
from webtext.pipeline.links.columns import _usual, batches
from webtext.pipeline.links.dumps import records
from webtext.pipeline.links.submissions import Submission

POST = {"id": "87", "subreddit": "pics", "score": 5, "created_utc": 1119552233, "title": "&lt;3"}
POST |= {"url": "http://a.com/?b&amp;c", "is_self": False, "over_18": False}
LINE = json.dumps(POST).encode()


def in_columns(path, rows=1 << 14):
    """Read a file as columns and give it as `records` does."""
    for found, flaws in batches(path, rows):
        for at, row in enumerate(found.to_pylist()):
            line, row["id"] = row.pop("line"), row.pop("submission")
            yield line, flaws.get(at) or Submission(**row)


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "is_self": st.sampled_from([True, None, "true"]),
        "over_18": st.sampled_from([True, None, 1]),
        "score": st.sampled_from(["7", 2**40, -(10**30), None, 1.5]),
        "created_utc": st.sampled_from(["1119552233", 1.5e9, -1, 10**18, 1e400, None, "soon", "0"]),
        "url": st.sampled_from([None, "", "/r/a", 7, [1]]),
        "url_overridden_by_dest": st.sampled_from(["http://b.org/&gt;", "", None]),
        "title": st.sampled_from(["\ud800", "", None, "é\n"]),
        "id": st.sampled_from([None, 7]),
        "removed_by_category": st.sampled_from(["author", None, False]),
        "_meta": st.sampled_from([None, {}, {"removal_type": "x"}, {"was_deleted_later": "1"}, 7]),
        "crosspost_parent_list": st.sampled_from(
            [
                [],
                None,
                [None],
                [{"url": "http://p.com", "is_self": True}],
                [{"url": "http://q.com"}],
            ]
        ),
    },
)
ODD = st.sampled_from(
    [b"", b"{", b"[1]", b'"http://c.com"', LINE + b" " + LINE, b" " + LINE + b"\r"]
)
ODD |= st.just(b'{"id":\n1}')
LINES = st.lists(
    st.one_of(CHANGES.map(lambda change: json.dumps(POST | change).encode()), st.just(LINE), ODD),
    max_size=20,
)


@settings(max_examples=300, deadline=None)
@given(LINES, st.sampled_from([1, 3, 1000]), st.booleans())
def test_columns_hold_what_the_records_say(tmp_path_factory, lines, rows, ended):
    path = tmp_path_factory.mktemp("columns") / "dump.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n" * ended)
    assert list(in_columns(path, rows)) == list(records(path))


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_tables_and_lists_are_read_as_columns_too(name, tmp_path):
    path = tmp_path / name
    path.write_text("url\n" + "\n".join(f"http://a.com/{n}" for n in range(50)))
    assert list(in_columns(path, 7)) == list(records(path))


def test_the_real_dumps_are_read_alike_in_columns_and_line_by_line(dumps_of_all_eras):
    for name in ("RS_2005-07.zst", "RS_v2_2005-07.xz", "reddit_api_submissions_praw.jsonl.zst"):
        path = dumps_of_all_eras / name
        assert list(in_columns(path)) == list(records(path))


DUMPS = {
    "RS_2005-07.zst": 400,
    "RS_top2013_sample.jsonl.zst": 2000,
    "reddit_api_submissions_praw.jsonl.zst": 400,
}


@pytest.mark.parametrize("name", DUMPS)
def test_lines_of_real_dumps_are_usual(name, dumps_of_all_eras):
    for chunk in chunks(blocks(dumps_of_all_eras / name)):
        assert decoded(chunk, _usual) is not None


def test_only_lines_that_each_are_one_submission_are_read_at_once():
    assert len(decoded(LINE + b"\n" + LINE, _usual) or []) == 2
    assert len(decoded(LINE + b"\n", _usual) or []) == 1
    two, torn = LINE + LINE, LINE.replace(b", ", b",\n", 1)
    for chunk in (b"\n", b"\n" + LINE, LINE + b"\n\n", two, two + b"\n" + torn, torn + b"\n" + two):
        assert decoded(chunk, _usual) is None


def test_no_batch_holds_more_text_than_a_column_can(monkeypatch, tmp_path):
    path = tmp_path / "dump.jsonl"
    path.write_bytes((LINE + b"\n") * 9000)
    monkeypatch.setattr(columns, "FULL", 3 << 17)
    assert [found.columns.num_rows for found in batches(path, 1 << 16)] != [9000]
    assert list(in_columns(path, 1 << 16)) == list(records(path))


# What a line of JSON breaks at, or hides in.
SPOILERS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\t", b" ", b"\0", b"-"]
SPOILERS += [
    b"0",
    b".",
    b"e",
    b"\x80",
    b"\xc3",
    b"\xa9",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"u",
]
SPOILERS += [b"\\u0026lt;", b"\\ud83d\\ude00", b"\\ud83d", b"\\/", b"&amp;", b"null", b"true", b""]
SPOILERS += [
    b"\\u0000",
    b'"url":"/r/a",',
    b'"_meta":{"removal_type":"x"},',
    b'"title":"\\u00e9\\n",',
]
SPOILERS += [b'"x":[{"a":[]},{}],', b'"score":12345678901,', b'"is_self":true,', b'"x":"\\ud800",']


def spoilt(line, rng):
    """Put something in the place of some bytes of a line, once or a few times."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(line) + 1)
        if rng.random() < 0.5:  # next to where syntax is
            at = line.find(rng.choice((b'"', b":", b",")), at) + rng.choice((0, 1))
        line = line[:at] + rng.choice(SPOILERS) + line[at + rng.choice((0, 0, 1, 1, 9)) :]
    return line


@pytest.mark.parametrize(("name", "count"), DUMPS.items())
def test_spoilt_lines_of_real_dumps_are_read_as_one_by_one(
    name, count, dumps_of_all_eras, tmp_path
):
    originals = b"".join(blocks(dumps_of_all_eras / name)).splitlines()
    rng = random.Random(name)
    path = tmp_path / "dump.jsonl"
    lines = [spoilt(rng.choice(originals), rng) for _ in range(count)]
    path.write_bytes(b"{}\n" + b"\n".join(lines))
    assert list(in_columns(path, 300)) == list(records(path))


@pytest.mark.parametrize("name", ["url", "URL", " url", "link", "permalink", "domain"])
def test_a_line_without_a_url_is_read_by_other_names_alike(name, tmp_path):
    path = tmp_path / "dump.jsonl"
    line = b'{"id":"a","is_self":false,"created_utc":1,"score":5,"%s":"http://a.example/%d"}\n'
    path.write_bytes(b"".join(line % (own, at) for at, own in enumerate([b"url", name.encode()])))
    found = list(in_columns(path, 7))
    assert found == list(records(path))
    other = line % (b"URL", 2)
    for both in (b'"url":null,"URL"', b'"URL":"http://b.example/","url"'):
        path.write_bytes(other.replace(b'"URL"', both))
        assert list(in_columns(path, 7)) == list(records(path))
    known = name not in ("permalink", "domain")
    assert found[1][1].url == ("http://a.example/1" if known else None)
