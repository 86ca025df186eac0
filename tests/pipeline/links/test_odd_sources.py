import json
import lzma
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.links.dumps import Flaw, records
from webtext.pipeline.links.links import harvest
from webtext.pipeline.links.settings import Harvest

POSTS = [
    {"id": f"a{n}", "url": f"http://s{n}.test/p", "score": 9, "subreddit": "x", "created_utc": n}
    for n in range(5)
]
LINES = "".join(json.dumps(post) + "\n" for post in POSTS)
CSV = "id,url,score\n" + "".join(f"{post['id']},{post['url']},9\n" for post in POSTS)


def block(posts):
    rows = [json.dumps(post).encode() for post in posts]
    places = [sum(map(len, rows[:n])) for n in range(len(rows))]
    table = b"".join(struct.pack("<II", at, len(row)) for at, row in zip(places, rows, strict=True))
    frame = zstandard.compress(struct.pack("<I", len(rows)) + table + b"".join(rows))
    return struct.pack("<I", len(frame)) + frame


SOURCES = {
    "lines": LINES,
    "BOM": "\ufeff" + LINES,
    "CRLF": LINES.replace("\n", "\r\n"),
    "CR alone": LINES.replace("\n", "\r"),
    "UTF-16 of little ends": b"\xff\xfe" + LINES.encode("utf-16-le"),
    "UTF-16 of big ends": b"\xfe\xff" + LINES.encode("utf-16-be"),
    "UTF-16 without a mark": LINES.encode("utf-16-le"),
    "blocks": block(POSTS[:3]) + block(POSTS[3:]),
    "one block": block(POSTS),
    "an answer": json.dumps({"data": POSTS}),
    "an answer over lines": json.dumps({"data": POSTS}, indent=1),
    "two answers": json.dumps({"data": POSTS[:2]}) + "\n" + json.dumps({"data": POSTS[2:]}) + "\n",
    "an answer with more": json.dumps({"metadata": {"a": 1}, "data": POSTS}),
    "a listing": json.dumps(
        {"kind": "Listing", "data": {"children": [{"kind": "t3", "data": post} for post in POSTS]}}
    ),
    "things": "".join(json.dumps({"kind": "t3", "data": post}) + "\n" for post in POSTS),
    "NULs behind": LINES + "\0" * 512,
    "blank lines": "\n\n" + LINES.replace("\n", "\n\n"),
    "half a letter": LINES.replace('"x"', '"\\ud83d"'),
    "no letter": LINES.encode().replace(b'"x"', b'"\xff"'),
    "other line ends in a text": LINES.replace('"x"', '"a\u2028b"'),
    "scores as text": LINES.replace('"score": 9', '"score": "9"'),
    "scores with a point": LINES.replace('"score": 9', '"score": 9.0'),
    "a list": "".join(f"{post['url']}\r\n" for post in POSTS),
    "a list with notes": "# of ours\n" + "".join(f"  {post['url']} \n" for post in POSTS),
    "a list in UTF-16": "".join(f"{post['url']}\n" for post in POSTS).encode("utf-16"),
    "a list that hides characters": "".join(
        f"\u00a0{post['url']}\u200b\u2060 \n" for post in POSTS
    ),
    "a list with titles": "".join(f"{post['url']}\ta title\t9\n" for post in POSTS),
    "record separators": "".join(f"\x1e{line}\n" for line in LINES.splitlines()),
    "commas behind": LINES.replace("}\n", "},\n"),
    "other names": LINES.replace('"url"', '"Link"'),
    "names in capitals": LINES.replace('"url"', '"URL"'),
    "LZMA": lzma.compress(LINES.encode(), format=lzma.FORMAT_ALONE),
    "table": CSV,
    "table of semicolons": CSV.replace(",", ";"),
    "table of tabs": CSV.replace(",", "\t"),
    "table that Excel names": "sep=|\n" + CSV.replace(",", "|"),
    "table in Latin-1": CSV.replace(",9", ",9 caf\xe9").encode("latin-1"),
    "table with two addresses": CSV.replace("id,", "link,"),
    "table with capitals": CSV.replace("id,url,score", "ID, URL, Score"),
    "table of quoted cells": "".join(
        f'"{line}"\n'.replace(",", '","') for line in CSV.splitlines()
    ),
    "table with BOM": "\ufeff" + CSV,
    "table in UTF-16": CSV.encode("utf-16"),
    "table with CR": CSV.replace("\n", "\r"),
    "table with CRLF": CSV.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_read_in_whatever_form_it_comes(tmp_path, name):
    endings = {"table": "csv", "a list": "txt"}
    ending = next((endings[kind] for kind in endings if name.startswith(kind)), "jsonl")
    path = tmp_path / f"dump.{ending}"
    data = SOURCES[name]
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    assert [found.url for _, found in records(path)] == [post["url"] for post in POSTS]


@pytest.mark.parametrize(
    "row", ['6,"a\rb",http://x.test/', "6,a\rb,http://x.test/", '6,"a "b\rc" d",http://x.test/',
            "6,a\0b,http://x.test/"]
)  # fmt: skip
def test_an_odd_row_of_a_table_costs_no_other(tmp_path, row):
    path = tmp_path / "a.csv"
    path.write_bytes(
        f"id,title,url\r\n1,a,http://y.test/\r\n{row}\r\n2,b,http://z.test/\r\n".encode()
    )
    found = [getattr(record, "url", None) for _, record in records(path)]
    assert (found[0], found[-1], len(found)) == ("http://y.test/", "http://z.test/", 3)


def test_blocks_that_are_cut_give_those_before(tmp_path):
    path = tmp_path / "RS.zst_blocks"
    path.write_bytes(block(POSTS) + block(POSTS)[:-9])
    found = [getattr(record, "url", record) for _, record in records(path)]
    assert found[:5] == [post["url"] for post in POSTS]
    assert found[5].reason == "truncated_archive"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.txt", "", "holds no line"),
        ("a.txt", "some words\nand more\n", "none of its 2 lines is a link; it begins with b'some"),
        ("a.txt", "# only a comment\n", "holds no line"),
        ("a.jsonl", '{"a": 1}\n', "its one line is no link"),
        ("a.jsonl", "{broken\n" * 3, "none of its 3 lines"),
        ("a.json", '{"data": []}', "holds no line"),
        ("a.csv", "url\nno url\n", "its one line is no link"),
        ("a.txt", "example.org/a\n", "wanted a dump of submissions, or a list of URLs"),
    ],
)
def test_a_source_of_which_nothing_is_understood_is_an_error(tmp_path, name, data, said):
    (tmp_path / name).write_text(data)
    with pytest.raises(UserError, match=said):
        harvest(Harvest(shards=1), [tmp_path / name], Directory(tmp_path / "out"))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.string_view()])
def test_a_table_of_any_type_and_case_is_read(tmp_path, kind):
    urls = [post["url"] for post in POSTS]
    pq.write_table(pa.table({"URL": pa.array(urls, kind)}), tmp_path / "a.parquet")
    assert [found.url for _, found in records(tmp_path / "a.parquet")] == urls


def test_a_table_of_one_column_keeps_the_commas_of_its_addresses(tmp_path):
    wanted = ["http://h.test/a,b,c", "http://h.test/d", "http://h.test/?e=1,2"]
    for head in ("url\n", ""):
        (tmp_path / "a.csv").write_text(head + "\n".join([wanted[1], wanted[0], f'"{wanted[2]}"']))
        found = [record.url for _, record in records(tmp_path / "a.csv")]
        assert found == [wanted[1], wanted[0], wanted[2]]


@pytest.mark.parametrize(
    ("name", "form"), [("a.txt", "%s\n"), ("a.csv", "url\n%s\n"), ("a.jsonl", '{"url": "%s"}\n')]
)
def test_a_list_that_was_made_from_a_dump_may_have_its_escapes(tmp_path, name, form):
    (tmp_path / name).write_text(form % "http://h.test/?a=1&amp;b=2")
    assert [record.url for _, record in records(tmp_path / name)] == ["http://h.test/?a=1&b=2"]


def test_a_url_whose_bytes_are_lost_is_none(tmp_path):
    (tmp_path / "a.csv").write_bytes(
        b"url,title\nhttp://h.test/caf\xe9,a\nhttp://h.test/b,caf\xe9\n"
    )
    found = [record for _, record in records(tmp_path / "a.csv")]
    assert [getattr(one, "url", one) for one in found] == [
        Flaw("broken_line"),
        "http://h.test/b",
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "pointer of Git"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a page of HTML"),
        (b"ARROW1\0\0" + bytes(90), "is no text"),
    ],
)
def test_what_lies_in_the_place_of_a_dump_is_named(tmp_path, data, said):
    (tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(UserError, match=said):
        list(records(tmp_path / "a.jsonl"))
