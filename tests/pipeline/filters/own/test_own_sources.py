import gzip
import shutil
from collections import Counter

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from webtext.flows.building.settings import load
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.measuring.measures import UNDER, digest_of
from webtext.pipeline.filters.own import step as own_step
from webtext.pipeline.insight.report import funnel
from webtext.pipeline.insight.trace import describe
from webtext.pipeline.insight.verification import verify
from webtext.pipeline.sources import source_chunks
from webtext.pipeline.urls import forgotten

SENTENCES = (
    "The way to the lake led through a small wood, and that was the way that the children liked. "
    "They would have to be home before dark, but the days were long in June and nobody had one. "
    "On the bank of the lake there was an old boat, and in the boat there was a box of wood. "
)


def prose(number):
    """Return a text like no other: its words have the number in them."""
    return " ".join(f"{word} {chr(97 + number % 26)}{number}x" for word in SENTENCES.split())


ROWS = [
    {"id": "a", "text": prose(1), "title": "First"},
    {"id": "b", "url": "http://b.test/two", "text": prose(2), "date": "2017-01-02"},
    {"id": "c", "text": "Too short."},
    {"id": "a", "text": prose(3)},
    {"url": "https://www.b.test/two", "text": prose(4)},
    {"text": prose(5)},
    {"text": prose(1)},
]
LINES = b"".join(orjson.dumps(row) + b"\n" for row in ROWS) + b"{broken\n"
PAGE = "<html><head><title>A lake</title></head><body><p>{}</p></body></html>"


def recipe(*lines):
    # The numbers among the words leave no sentences, and no language that is sure.
    any_text = (
        "language = {keep = [], min_probability = 0.0}",
        "extract.languages = []",
        "rules.prose.enabled = false",
        "rules.gopher_quality.stop_words.at_least = 0",
    )
    return load("webtext", [*any_text, *lines])


def build(tmp_path, *lines, until=None):
    found = Build(recipe(*lines), tmp_path / "data")
    found.run(until=until, workers=0)
    return found


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.jsonl").write_bytes(LINES)
    return tmp_path


def rows(directory, under=""):
    return [row for path in directory.shards(under) for row in pq.read_table(path).to_pylist()]


def test_a_forgotten_row_of_own_texts_is_counted_and_its_text_goes(own):
    forgotten.record(own / "data", [forgotten.request("b.test")], "asked by mail")
    made = build(own, "documents.sources = ['own.jsonl']", until="documents")
    home = made.path("documents")
    read = home.manifest()["passages"][0]
    assert (read["read"], read["dropped"]) == (8, {"read.forgotten": 2, "read.broken": 1})
    gone = [row for row in rows(home, "dropped") if row["dropped_by"] == "read.forgotten"]
    assert [(row["url"], row["text"]) for row in gone] == [
        ("own.jsonl:2", None), ("own.jsonl:5", None)]  # fmt: skip
    assert not list(verify(own / "data"))


def test_each_row_of_own_texts_has_one_fate_from_the_file_to_the_tokens(own):
    made = build(own, "documents.sources = ['own.jsonl']", "tokens.val_fraction = 0.0")
    assert [planned.name for planned in made.plan()] == [
        "documents", "signatures", "duplicates", "corpus", "tokens",
    ]  # fmt: skip
    stages = {stage["stage"]: stage for stage in made.funnel()["stages"]}
    assert (stages["read"]["read"], stages["read"]["dropped"]) == (8, {"read.broken": 1})
    assert stages["rules"]["dropped"] == {"rules.gopher_quality.word_count.low": 1}
    assert stages["dedup"]["dropped"] == {"dedup.exact": 1, "dedup.url": 1}
    assert stages["tokens"]["kept"] == 4
    kept = {row["url"]: row for row in rows(made.path("corpus"))}
    assert set(kept) >= {"http://b.test/two", "own.jsonl:4", "own.jsonl:6"}
    assert kept["http://b.test/two"]["domain"] == "b.test"
    assert kept["http://b.test/two"]["date"] == "2017-01-02"
    assert not list(verify(own / "data"))
    table = made.measures().project("id, url, fate, words, text_digest, tokens").fetchall()
    fates = Counter(fate for _, _, fate, *_ in table)
    assert fates == {"kept": 4, "dedup.exact": 1, "dedup.url": 1,
                     "read.broken": 1, "rules.gopher_quality.word_count.low": 1}  # fmt: skip
    assert sum(tokens or 0 for *_, tokens in table) == made.facts()["tokens"]["tokens"]
    told = {one["fate"]: one["documents"] for one in made.figures()["figures"]["fates"]}
    assert told == fates
    card = (made.path("corpus").about / "README.md").read_text()
    assert "voted" not in card
    assert "texts of the user's own" in card


def test_the_table_of_measures_has_each_row_by_its_id_and_says_where_it_is(own, monkeypatch):
    monkeypatch.setattr(source_chunks, "CHUNK_BYTES", 2000)  # several chunks
    lines = ("documents.sources = ['own.jsonl']", "documents.shard_rows = 4")
    home = build(own, *lines, until="documents").path("documents")
    assert len(home.numbers(UNDER)) > 1
    seen = 0
    for number in home.numbers(UNDER):
        table = pq.read_table(home.shard(number, under=UNDER)).to_pylist()
        files = {under: pq.read_table(home.shard(number, under=under)).to_pylist()
                 for under in ("", "dropped")}  # fmt: skip
        assert [row["id"] for row in table] == sorted(row["id"] for row in table)
        for row in table:
            document = files["" if row["fate"] == "kept" else "dropped"][row["row"]]
            assert (document["id"], document["url"]) == (row["id"], row["url"])
            assert document.get("dropped_by", "kept") == row["fate"]
            text = document["text"]
            assert (row["bytes"], row["text_digest"]) == (len(text.encode()), digest_of(text))
            assert row["shard"] == number
            words = row["gopher_quality.word_count"]
            assert words == pytest.approx(len(text.split()), abs=3)
        seen += len(table)
    assert seen == len(ROWS) + 1


def test_a_row_is_traced_by_its_url_its_id_or_its_place(own):
    made = build(own, "documents.sources = ['own.jsonl']", until="documents")
    assert made.follow("http://b.test/two").fate == "kept"
    assert made.follow("a").fate == "kept"
    assert made.follow("own.jsonl:4").fate == "kept", "its id is that of an earlier row"
    assert made.follow("c").fate == "rules.gopher_quality.word_count.low"
    broken = made.follow("own.jsonl:8")
    assert broken.fate == "read.broken"
    assert "cannot be read" in describe(broken)
    with pytest.raises(UserError, match="nothing"):
        made.follow("nothing")


def test_a_folder_of_pages_and_notes_becomes_documents(own):
    folder = own / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.html").write_text(PAGE.format(prose(1)))
    (folder / "b.md").write_text(f"---\ntitle: B\nurl: http://b.test/b\n---\n{prose(2)}")
    (folder / "c.txt").write_text(prose(3))
    (folder / "empty.html").write_text("<html></html>")
    made = build(own, "documents.sources = ['notes']", until="documents")
    kept = {row["url"]: row for row in rows(made.path("documents"))}
    assert {name: row["title"] for name, row in kept.items()} == {
        "sub/a.html": "A lake", "http://b.test/b": "B", "c.txt": None,
    }  # fmt: skip
    assert made.follow("empty.html").fate == "extract.no_text"
    assert [stage["stage"] for stage in made.funnel()["stages"]][:2] == ["read", "extract"]


def test_tables_with_other_names_are_read_as_the_recipe_says(own):
    table = pa.table({"body": [prose(1), None], "key": [7, 8], "headline": ["One", "Two"]})
    (own / "set").mkdir()
    pq.write_table(table, own / "set" / "train-00000.parquet")
    (own / "set" / "README.md").write_text(prose(9))
    with pytest.raises(UserError, match=r"'body', 'key', 'headline'.*documents.text_field"):
        build(own, "documents.sources = ['set']", until="documents")
    lines = [
        f"documents.{name}_field = '{field}'"
        for name, field in {"text": "body", "id": "key", "title": "headline"}.items()
    ]
    made = build(own, "documents.sources = ['set']", *lines, until="documents")
    (row,) = rows(made.path("documents"))
    assert (row["url"], row["title"], row["text"]) == ("7", "One", prose(1))
    assert made.follow("8").fate == "clean.no_text"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["documents.sources = ['none.jsonl']"], "documents.sources: no file matches 'none.jsonl'"),
        (["documents.sources = ['o*']", "links.sources = ['a']"], "documents.sources and links"),
        (["documents.sources = ['o*']", "documents.shard_rows = 0"], "use 1 or more"),
        (["documents.sources = ['empty.jsonl']"], "no row"),
    ],
)
def test_mistakes_are_told(own, lines, said):
    (own / "empty.jsonl").write_bytes(b"")
    with pytest.raises(UserError, match=said):
        build(own, *lines, until="documents")


def test_two_files_of_one_name_are_told_apart(own):
    for folder in ("x", "y"):
        (own / folder).mkdir()
        (own / folder / "same.jsonl").write_bytes(orjson.dumps({"text": prose(ord(folder))}))
    made = build(own, "documents.sources = ['x/same.jsonl', 'y/*.jsonl']", until="documents")
    assert len({row["id"] for row in rows(made.path("documents"))}) == 2
    assert made.follow("x/same.jsonl:1").fate == "kept"


class Killed(BaseException):
    """As a kill: no handler catches it."""


def test_a_killed_build_goes_on_and_ends_in_the_same_bytes(own, monkeypatch):
    monkeypatch.setattr(source_chunks, "CHUNK_BYTES", 4000)
    many = [{"id": n % 37, "text": prose(n) if n % 5 else "Short."} for n in range(90)]
    content = b"".join(orjson.dumps(row) + b"\n" for row in many)
    (own / "own.jsonl.gz").write_bytes(gzip.compress(content))
    lines = ["documents.sources = ['own.jsonl.gz']", "documents.shard_rows = 20"]
    whole = build(own, *lines, until="documents").path("documents")
    wanted = {p.relative_to(whole.path): p.read_bytes() for p in files(whole.path)}
    assert len(whole.shards()) > 3
    shutil.rmtree(own / "data")

    judge, calls = own_step.judge_chunk, []

    def dying(*arguments, **named):
        calls.append(1)
        if len(calls) in (4, 9, 12):
            raise Killed
        return judge(*arguments, **named)

    monkeypatch.setattr(own_step, "judge_chunk", dying)
    for _ in range(3):
        with pytest.raises(Killed):
            build(own, *lines, until="documents")
    again = build(own, *lines, until="documents").path("documents")
    assert {p.relative_to(again.path): p.read_bytes() for p in files(again.path)} == wanted
    assert len({row["id"] for under in ("", "dropped") for row in rows(again, under)}) == 90
    assert funnel(Build(None, own / "data").made())["stages"][0]["read"] == 90


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path.name != "manifest.json")
