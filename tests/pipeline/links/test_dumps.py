import doctest
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webtext.pipeline.core import compressed
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.links import dumps, submissions
from webtext.pipeline.links.dumps import Flaw, records
from webtext.pipeline.links.submissions import Submission

POST = {
    "id": "87",
    "subreddit": "reddit.com",
    "score": 183,
    "created_utc": 1119552233,
    "title": "Memo",
}
POST |= {"url": "http://memo.com", "is_self": False, "over_18": False, "domain": "memo.com"}
FOUND = Submission("http://memo.com", "87", "reddit.com", 183, 1119552233, "Memo")


def read(tmp_path, data, name="dump"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(records(path))


def one(tmp_path, fields):
    [(line, found)] = read(tmp_path, json.dumps(fields))
    assert line == 1
    return found


def changed(**fields):
    found = {name: getattr(FOUND, name) for name in FOUND.__struct_fields__}
    return Submission(**found | fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"is_self": True}, {"self_post": True}),
        ({"is_self": None}, {}),
        ({"is_self": None, "domain": "self.python"}, {"self_post": True}),
        ({"over_18": True}, {"over_18": True}),
        ({"over_18": "true"}, {"over_18": True}),
        ({"score": "183"}, {}),
        ({"score": None}, {"score": None}),
        ({"score": "many"}, {"score": None}),
        ({"score": 10**30}, {"score": 2**31 - 1}),
        ({"created_utc": "1119552233"}, {}),
        ({"created_utc": 1119552233.0}, {}),
        ({"created_utc": None, "created": 1119552233.0}, {}),
        ({"created_utc": 10**18}, {"created": None}),
        ({"created_utc": "soon"}, {"created": None}),
        ({"subreddit": None, "permalink": "/r/x/"}, {"subreddit": None}),
        ({"url": None}, {"url": None}),
        ({"url": 7}, {"url": "7"}),
        ({"url": ["http://a.com"]}, {"url": None}),
        ({"url": "http://a.com/?b&amp;c=%3C&lt;"}, {"url": "http://a.com/?b&c=%3C<"}),
        ({"title": "&lt;3 &amp;amp;"}, {"title": "<3 &amp;"}),
        ({"url": "http://www.reddit.com/a", "url_overridden_by_dest": "http://memo.com"}, {}),
        ({"url": "/r/pics/comments/1"}, {"url": "https://www.reddit.com/r/pics/comments/1"}),
        (
            {
                "url": "/r/x/1",
                "crosspost_parent_list": [{"url": "http://memo.com", "is_self": False}],
            },
            {},
        ),
        (
            {"crosspost_parent_list": [{"url": "https://www.reddit.com/r/a/1/", "is_self": True}]},
            {"url": "https://www.reddit.com/r/a/1/", "self_post": True},
        ),
        ({"crosspost_parent_list": []}, {}),
        ({"crosspost_parent_list": [None]}, {}),
        ({"removed_by_category": "moderator"}, {"deleted": True}),
        ({"_meta": {"removal_type": "deleted"}}, {"deleted": True}),
        ({"_meta": {"was_deleted_later": True}}, {"deleted": True}),
        ({"_meta": {"retrieved_2nd_on": 1}}, {}),
        ({"author": "[deleted]"}, {}),  # the account is gone, the link is not
    ],
    ids=str,
)
def test_reddit_of_every_era_is_read(fields, expected, tmp_path):
    assert one(tmp_path, POST | fields) == changed(**expected)


def test_hacker_news_is_read_in_both_its_forms(tmp_path):
    official = {"by": "pg", "id": 1, "score": 57, "time": 1160418111, "title": "Y", "type": "story"}
    official["url"] = "http://ycombinator.com"
    search = {
        "objectID": "1",
        "points": 57,
        "created_at_i": 1160418111,
        "title": "Y",
        "author": "pg",
    }
    search["url"] = "http://ycombinator.com"
    story = Submission("http://ycombinator.com", "1", None, 57, 1160418111, "Y")
    assert one(tmp_path, official) == one(tmp_path, search) == story
    assert one(tmp_path, official | {"dead": True}).deleted
    assert one(tmp_path, official | {"deleted": True}).deleted
    comment = {"by": "sama", "id": 15, "kids": [17], "parent": 1, "text": "hm", "type": "comment"}
    assert one(tmp_path, comment) == Submission(None, "15")


def test_lists_are_read_in_all_their_forms(tmp_path):
    expected = [Submission("http://a.com/ä", listed=True), Submission("http://b.com", listed=True)]
    for name, text in {
        "a.txt": "\ufeff# ours\nhttp://a.com/ä\r\n\n  http://b.com",
        "a.jsonl": '{"url": "http://a.com/ä"}\n\n"http://b.com"\n',
        "a.csv": "\ufeffrank,link\n1,http://a.com/ä\n2,http://b.com\n",
        "b.csv": "1,http://a.com/ä\n2,http://b.com\n",
        "a.tsv": "url\tnote\nhttp://a.com/ä\tx\nhttp://b.com\ty\n",
    }.items():
        assert [found for _, found in read(tmp_path, text, name)] == expected, name
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": [1, 2], "url": ["http://a.com/ä", "http://b.com"]}), path)
    assert [(line, found) for line, found in records(path)] == list(enumerate(expected, 1))


def test_a_list_with_scores_is_held_to_them(tmp_path):
    text = "url,score,created_utc\nhttp://a.com,2,2014-05-06T00:00:00Z\n"
    [(line, found)] = read(tmp_path, text, "a.csv")
    assert (line, found) == (2, Submission("http://a.com", score=2, created=1399334400))


def test_a_table_without_urls_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv: found the columns a, b; wanted one named url"):
        read(tmp_path, "a,b\n1,2\n", "a.csv")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet: found the columns a; wanted one named url"):
        list(records(tmp_path / "a.parquet"))


def test_a_table_may_have_line_ends_and_quotes_in_fields(tmp_path):
    text = (
        'title,url\n"two\nlines, ""said""",http://a.com\n5" disk,http://b.com\n"x"y,http://c.com\n'
    )
    found = read(tmp_path, text, "a.csv")
    assert [(line, row.title, row.url) for line, row in found] == [
        (2, 'two\nlines, "said"', "http://a.com"),
        (4, '5" disk', "http://b.com"),
        (5, "xy", "http://c.com"),
    ]


def test_a_quote_that_is_never_closed_costs_one_line(tmp_path):
    rows = [f"t,http://a.com/{n}" for n in range(300)]
    rows[100] = '"t,http://a.com/100'
    found = read(tmp_path, "title,url\n" + "\n".join(rows), "a.csv")
    assert [line for line, row in found if row == Flaw("broken_line")] == [102]
    assert [line for line, _ in found] == list(range(2, 302))
    found = read(tmp_path, "title,url\n" + "\n".join(rows[:102]), "a.csv")
    assert [line for line, row in found if row == Flaw("broken_line")] == [102]
    assert len(found) == 102


BROKEN = [b"{", b"[1]", b"7", b"null", b'{"url": "http://a.com"} x', b"\xff\xfe", b"[" * 100_000]


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: repr(line[:20]))
def test_a_broken_line_is_told_and_its_neighbours_are_read(line, tmp_path):
    good = json.dumps(POST).encode()
    assert read(tmp_path, b"\n".join([good, line, b"", good])) == [
        (1, FOUND),
        (2, Flaw("broken_line")),
        (4, FOUND),
    ]


def test_stray_bytes_and_half_characters_cost_a_title_and_not_a_link(tmp_path):
    text = json.dumps(POST)
    half = text.replace("Memo", "\\ud83d!").encode()
    stray = text.encode().replace(b"Memo", b"\xff!")
    [(_, one), (_, other)] = read(tmp_path, half + b"\n" + stray)
    assert one == other == changed(title="\ufffd!")
    [(_, torn)] = read(tmp_path, text.encode().replace(b'memo.com", "is', b'memo.com/\xff", "is'))
    assert torn == Flaw("broken_line")
    assert read(tmp_path, b"http://a.com\nhttp://b.com/\xff\n", "a.txt")[1] == (
        2,
        Flaw("broken_line"),
    )
    assert read(tmp_path, b"url\nhttp://b.com/\xff\n", "a.csv") == [(2, Flaw("broken_line"))]


def test_a_line_too_long_is_told_with_its_length(tmp_path, monkeypatch):
    monkeypatch.setattr(compressed, "LINE_BOUND", 1000)
    good = json.dumps(POST)
    assert read(tmp_path, f"{good}\n{' ' * 5000}{good}\n{good}") == [
        (1, FOUND),
        (2, Flaw("line_too_long", 5000 + len(good))),
        (3, FOUND),
    ]
    for name in ("a.txt", "a.csv"):
        found = read(tmp_path, f"url\n{'x' * 2000}\nhttp://a.com", name)
        assert found[-2:] == [
            (2, Flaw("line_too_long", 2000)),
            (3, Submission("http://a.com", listed=True)),
        ]


@pytest.mark.parametrize("name", ["RS_2005-06.zst", "a.csv.zst", "a.txt.zst"])
def test_a_truncated_archive_is_one_row_after_all_that_could_be_read(name, tmp_path):
    posts = [json.dumps(POST | {"id": str(n)}) for n in range(2000)]
    links = [f"http://a.com/{n**4}" for n in range(20_000)]
    text = "\n".join(posts if "RS" in name else ["url", *links])
    data = zstandard.ZstdCompressor(write_content_size=False).compress(text.encode())
    whole = read(tmp_path, data, name)
    found = read(tmp_path, data[: len(data) * 2 // 3], name)
    assert found[-1] == (found[-2][0] + 1, Flaw("truncated_archive"))
    assert found[:-1] == whole[: len(found) - 1]


def test_a_truncated_table_is_one_row(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"url": ["http://a.com"]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert list(records(path)) == [(1, Flaw("truncated_archive"))]


LINES = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [json.dumps(POST).encode(), b"", b" \r", b'"\\ud800"', b'{"url": "\\udc00"}']
        ),
        st.dictionaries(
            st.sampled_from([*submissions.COLUMNS, "_meta"]),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=4,
            ),
        ).map(lambda fields: json.dumps(fields).encode()),
    ).map(lambda line: line.replace(b"\n", b"?"))
)


@settings(max_examples=300, deadline=None)
@given(LINES)
@example([b"h\0", json.dumps(POST).encode()])  # no UTF-16, though it begins so
def test_any_line_gives_one_record_of_the_promised_types(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("dump", numbered=True) / "any.jsonl"
    path.write_bytes(b"\n".join(lines))
    if dumps.container(path):
        return  # the bytes happen to be those of an archive
    start = path.read_bytes()[: dumps.HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    other = re.match(rb"\[\s*[{\"]", start) or start[:14].lower().startswith(dumps.PAGES)
    if re.match(rb"[{\[h]\0[\t -~]\0", start):
        return  # or those of UTF-16
    if other or start.startswith((*dumps.BINARIES, dumps.POINTER)):  # or those of another format
        with pytest.raises(UserError, match=r"is no text|one array of JSON|a page of HTML|LFS"):
            list(records(path))
        return
    found = list(records(path))
    if lines and lines[0].startswith(b"\xef\xbb\xbf"):
        lines[0] = lines[0][3:]
    expected = [number for number, line in enumerate(lines, 1) if line.strip(b" \t\r\0")]
    assert [number for number, _ in found] == expected
    for _, record in found:
        if isinstance(record, Submission):
            pa.array([record.url, record.id, record.subreddit, record.title], pa.string())
            pa.array([record.score, record.created], pa.int64())
            assert {type(record.self_post), type(record.over_18), type(record.deleted)} == {bool}


def test_the_dumps_with_a_window_of_two_gib_hold_what_the_original_ones_do(dumps_of_all_eras):
    for month in ("2005-06", "2005-07"):
        new = list(records(dumps_of_all_eras / f"RS_{month}.zst"))
        assert new == list(records(dumps_of_all_eras / f"RS_v2_{month}.xz"))
        assert not [record for _, record in new if isinstance(record, Flaw)]


def test_doctests():
    assert doctest.testmod(submissions).failed == 0
