import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webtext.pipeline.core.compressed import blocks, chunks, cut
from webtext.pipeline.links import scan
from webtext.pipeline.links.columns import _Rows, batches
from webtext.pipeline.links.dumps import records
from webtext.pipeline.links.submissions import Submission

POST = {"id": "87", "subreddit": "pics", "score": 5, "created_utc": 1119552233, "title": "&lt;3"}
POST |= {"url": "http://a.com/?b&amp;c", "is_self": False, "over_18": False}
LINE = json.dumps(POST).encode()


def in_columns(path, rows=1 << 14):
    """Read a file as columns and give it as `records` does."""
    for columns, flaws in batches(path, rows):
        for at, row in enumerate(columns.to_pylist()):
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


def test_the_real_dumps_are_read_alike_in_columns_and_line_by_line(shared):
    for name in ("RS_2005-07.zst", "RS_v2_2005-07.xz", "reddit_api_submissions_praw.jsonl.zst"):
        path = shared / "links" / name
        assert list(in_columns(path)) == list(records(path))


DUMPS = {
    "RS_2005-07.zst": 400,
    "RS_top2013_sample.jsonl.zst": 2000,
    "reddit_api_submissions_praw.jsonl.zst": 400,
}


@pytest.mark.parametrize("name", DUMPS)
def test_lines_of_real_dumps_are_scanned_but_for_crossposts(name, shared):
    for chunk in chunks(blocks(shared / "links" / name)):
        rows = _Rows(1 << 16)
        rows.read(rows.placed(chunk))
        posts = [json.loads(line) for line in cut(chunk)]
        crossposts = [at for at, post in enumerate(posts) if post.get("crosspost_parent_list")]
        assert list(rows.odd) == crossposts


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
def test_spoilt_lines_of_real_dumps_are_read_as_one_by_one(name, count, shared, tmp_path):
    originals = b"".join(blocks(shared / "links" / name)).splitlines()
    rng = random.Random(name)
    path = tmp_path / "dump.jsonl"
    lines = [spoilt(rng.choice(originals), rng) for _ in range(count)]
    path.write_bytes(b"{}\n" + b"\n".join(lines))
    assert list(in_columns(path, 300)) == list(records(path))


@settings(max_examples=500, deadline=None)
@given(st.text(st.characters(exclude_categories=[])), st.booleans(), st.integers(0, 150))
def test_any_string_is_scanned_as_it_reads(text, ascii_only, before):
    line = json.dumps({"pad": "x" * before, "title": text, "created_utc": 1, "is_self": False})
    if not ascii_only:
        line = json.dumps(json.loads(line), ensure_ascii=False)
    whole = text.encode("utf-8", "ignore").decode() == text
    rows = _Rows(4)
    rows.read(rows.placed(line.encode("utf-8", "surrogatepass")))
    assert whole == (not rows.odd)
    if whole:
        replaced = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert rows.found().columns["title"].to_pylist() == [replaced]


@pytest.mark.parametrize(
    "value",
    [b"01", b"1.", b"-", b"nul", b"[1,]", b'{"a":}', b'{"a" 1}', b"+1", b"NaN", b".5", b"1e", b"]"],
)
def test_what_is_no_json_is_odd_wherever_it_stands(value):
    for line in (b'{"x":%b,%b', b'{"x":[{"y":%b}],%b'):
        rows = _Rows(2)
        rows.read(rows.placed(line % (value, LINE[1:])))
        assert list(rows.odd) == [0]


@pytest.mark.parametrize(
    "value",
    [
        b"0",
        b"-0.5e+9",
        b"null",
        b"[ ]",
        b'{ "a" : [ 1 , { } ] }',
        b'"\\u00e9\xff"',
        b"[" * 59 + b"]" * 59,
    ],
)
def test_what_is_not_wanted_is_skipped_whatever_it_is(value):
    rows = _Rows(2)
    rows.read(rows.placed(b'{"x":%b , "y":[%b],%b \r' % (value, value, LINE[1:])))
    assert not rows.odd


def test_rows_take_texts_larger_than_the_room_they_began_with():
    line = LINE.replace(b"&lt;3", b"x" * 3_000_000)
    rows = _Rows(5)
    for _ in range(3):
        assert rows.read(rows.placed(line)) == 0
    found = rows.found().columns["title"].to_pylist()
    assert [len(title) for title in found] == [3_000_000] * 3
    assert np.all(rows.flags[:3] & scan.ODD == 0)
