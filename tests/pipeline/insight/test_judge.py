import gzip
import json
import quopri

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from webtext.flows.models.notebook import Judge
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.insight.judge import extract_file, judge, own_texts, texts
from webtext.pipeline.sources.source_rows import Fields
from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.text.language import Language

PROSE = "The house stood at the end of the road, and nobody had lived in it for years. " * 8
PAGE = f"<html><head><title>A house</title></head><body><p>{PROSE}</p></body></html>".encode()
ROWS = [{"id": "a", "text": "one"}, {"id": 2, "text": "two\n"}]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def test_a_verdict_says_what_every_rule_measured():
    verdict = judge(Rules(), Language(), "a", PROSE)
    assert (verdict["id"], verdict["language"], verdict["dropped_by"]) == ("a", "en", None)
    assert verdict["confidence"] > 0.99
    assert verdict["measures"]["gopher_quality.word_count"] == {
        "measure": 136,
        "threshold": 50,
        "at_least": 50,
        "at_most": 100_000,
        "kept": True,
        "enabled": True,
    }
    assert not verdict["measures"]["gopher_repetition.repeated_5_grams"]["kept"]
    assert verdict["measures"]["scripts.foreign"]["at_most"] == 0.05
    assert verdict["measures"]["prose.words"] == {
        "measure": 136, "threshold": 15, "at_least": 15, "at_most": None, "kept": True,
        "enabled": False,
    }  # fmt: skip
    json.dumps(verdict, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "language.undetected"),
        ("Tous les êtres humains naissent libres et égaux en dignité.", "language.other"),
        ("The house stood at the end of the road.", "rules.gopher_quality.word_count.low"),
        (PROSE + "\n" + "서울 부산 대구 " * 12, "rules.scripts.foreign.high"),
        (PROSE.upper(), None),  # English in capitals is English
        (PROSE.title(), None),
    ],
)
def test_a_verdict_names_the_first_objection(text, reason):
    assert judge(Rules(), Language(), "a", text)["dropped_by"] == reason


def test_a_text_that_utf8_cannot_hold_is_judged():
    text = Clean().text(PROSE + "\ud800\x00")
    assert judge(Rules(), Language(), "a", text)["dropped_by"] is None


def test_a_text_is_cleaned_as_the_recipe_says_and_not_once_more():
    """Invisible characters that are left in count, as in a build."""
    text = PROSE.replace("house", "h\u00ado\u00adu\u00ads\u00ade")
    for line, size in (("clean.unicode = true", 0), ("clean.unicode = false", 4 * 8)):
        measured = Judge("webtext", [line])(text)["measures"]["c4.length"]["measure"]
        assert measured == len(PROSE.strip()) + size


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_texts_are_read_from_each_kind_of_file(tmp_path, suffix):
    path = tmp_path / f"texts{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"id": ["a", "2"], "n": [1, 2], "text": ["one", "two\n"]}), path)
    else:
        pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(path.suffix, bytes)
        path.write_bytes(pack(JSONL + b"\n"))
    assert list(texts(path)) == [("a", "one"), ("2", "two\n")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", None, "a.jsonl: no such file"),
        ("a.jsonl", JSONL + b"{", "a.jsonl:3: not JSON"),
        ("a.jsonl", b"[1]", "a.jsonl:1: found list, wanted an object"),
        (
            "a.jsonl",
            b'{"id": [1], "text": "t"}',
            "a.jsonl:1: id is [1], wanted a string or a whole number",
        ),
        ("a.jsonl", b'{"id": 1, "text": null}', "a.jsonl:1: text is NoneType, wanted a string"),
        ("a.jsonl", b"\xff", "a.jsonl:1: not JSON"),
        ("a.jsonl.gz", gzip.compress(JSONL)[:-9], "a.jsonl.gz: cannot be read after line"),
        ("a.jsonl.zst", b"nonsense", "a.jsonl.zst:1: not JSON"),
        ("a.parquet", b"nonsense", "a.parquet: not a whole Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        list(texts(path))
    assert message in str(raised.value)


def test_a_text_without_an_id_is_called_by_its_url_or_its_place(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"url": "http://a.test/", "text": "one"}\n{"id": null, "text": "two"}\n')
    assert list(texts(path)) == [("http://a.test/", "one"), (f"{path}:2", "two")]


def test_a_quote_that_is_never_closed_is_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'id,text\n1,one\n2,"two\n3,three\n4,four')
    found = list(own_texts([path], Fields(), Extract()))
    assert [getattr(row, "text", None) for row in found] == ["one", None]
    assert found[-1].why == "a quoted field is never closed, from this row on"
    path.write_bytes(b'id,text\n1,"one\n2"\n3,"three"')
    assert [row.text for row in own_texts([path], Fields(), Extract())] == ["one\n2", "three"]
    for data in (b"", b"id,text\n"):
        path.write_bytes(data)
        assert not list(own_texts([path], Fields(), Extract()))


@pytest.mark.parametrize("between", [",", ";", "|", "\t"])
@pytest.mark.parametrize("before", ["", "sep={}\r\n"])
def test_a_table_says_in_its_first_line_what_is_between_its_fields(tmp_path, between, before):
    rows = [["id", '"text"', "n"], ["1", '"one; two, three|four"', "2"]]
    lines = [between.join(row) for row in rows]
    (tmp_path / "a.csv").write_text(before.format(between) + "\n".join(lines))
    (row,) = own_texts([tmp_path / "a.csv"], Fields(), Extract())
    assert (row.id, row.text) == ("1", "one; two, three|four")


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["a"], "body": ["one"]}), path)
    with pytest.raises(UserError, match="no column text among id, body"):
        list(texts(path))


def test_an_html_file_is_extracted_whatever_its_name(tmp_path):
    path = tmp_path / "page"
    path.write_bytes(PAGE)
    (page,) = extract_file(path)
    assert page["text"].startswith("The house stood")
    assert (page["source"], page["title"], page["dropped_by"]) == (str(path), "A house", None)


def test_a_page_that_a_browser_saved_as_mhtml_is_read(tmp_path):
    head = (
        b"From: <Saved by a browser>\r\nSnapshot-Content-Location: http://h.test/a\r\n"
        b"Subject: A house\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/related;\r\n\tboundary="--b"\r\n\r\n\r\n----b\r\n'
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    style = b"\r\n----b\r\nContent-Type: text/css\r\n\r\np { color: red }\r\n----b--\r\n"
    path = tmp_path / "page.mhtml"
    path.write_bytes(head + quopri.encodestring(PAGE).replace(b"\n", b"\r\n") + style)
    (page,) = extract_file(path)
    path.write_bytes(PAGE)
    (plain,) = extract_file(path)
    assert page["text"] == plain["text"]
    assert (page["url"], plain["url"]) == ("http://h.test/a", None)


def test_a_directory_is_extracted_in_the_order_of_its_names(tmp_path):
    for name in ("b/2.html", "a/1.HTM", "a/1.htm", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PAGE)
    found = [page["source"].removeprefix(f"{tmp_path}/") for page in extract_file(tmp_path)]
    assert found == ["a/1.HTM", "a/1.htm", "b/2.html"]


def test_a_page_without_text_says_why(tmp_path):
    path = tmp_path / "page.html"
    path.write_bytes(b"<html></html>")
    (page,) = extract_file(path, Extract())
    assert (page["text"], page["dropped_by"], page["dropped_value"]) == (None, "extract.no_text", 0)


def test_a_warc_file_is_extracted_with_its_urls(tmp_path):
    records = [
        ("http://a.test/", b"200 OK", b"text/html", PAGE),
        ("http://a.test/gone", b"404 Not Found", b"text/html", PAGE),
        ("http://a.test/i.png", b"200 OK", b"image/png", b"\x89PNG\r\n\x1a\n"),
    ]
    path = tmp_path / "pages.warc"
    path.write_bytes(b"".join(map(warc_record, records)))
    pages = list(extract_file(path))
    assert [(page["url"], page["dropped_by"]) for page in pages] == [
        ("http://a.test/", None),
        ("http://a.test/gone", "pages.http_status"),
        ("http://a.test/i.png", "pages.not_html"),
    ]
    assert pages[0]["title"] == "A house"
    assert pages[1]["dropped_value"] == 404


def warc_record(record):
    url, status, kind, body = record
    answer = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        status, kind, len(body), body,
    )  # fmt: skip
    return (
        b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: %s\r\n"
        b"WARC-Date: 2017-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
        b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n"
    ) % (url.encode(), len(answer), answer)


def test_nothing_to_extract_is_said(tmp_path):
    with pytest.raises(UserError, match="no \\.html, \\.htm"):
        list(extract_file(tmp_path))
    with pytest.raises(UserError, match="no such file or directory"):
        list(extract_file(tmp_path / "missing.html"))
