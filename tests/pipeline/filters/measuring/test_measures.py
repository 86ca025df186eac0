"""The table of measures: a row for every document, with the numbers that the rules decided by."""

import random
from hashlib import blake2b

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline.warcfile import http, record
from webtext.pipeline.archive.warc import read_response
from webtext.pipeline.archive.warc_import import ImportWarc, import_warc
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.filters.c4 import C4
from webtext.pipeline.filters.gopher import GopherQuality, GopherRepetition
from webtext.pipeline.filters.measuring.measures import FACTS, KEPT, UNDER, schema
from webtext.pipeline.filters.rules import Rules, objection_of
from webtext.pipeline.filters.step import documents
from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.text.language import Language
from webtext.pipeline.text.pii import Pii
from webtext.pipeline.words.scripts import SCRIPTS, look

EDITING = Rules(c4=C4(enabled=True, terminal=False), gopher_repetition=GopherRepetition(True))
CHAINS = {
    "built-in": (Extract(), Clean(), Language(), Rules()),
    "edits": (Extract(), Clean(), Language(), EDITING, Pii(enabled=True)),
}
WORDS = "the harbour and its engine that have been of winter to be with a letter in the signal"
GERMAN = "Der Hafen und seine Maschine, die im Winter nicht gelaufen ist, waren nicht zu sehen. "


def paragraph(rng, words=60):
    said = " ".join(rng.choices(WORDS.split(), k=words)).capitalize()
    return f"<p>{said}. Write to ann@lake.org [1] of it.</p>"


def page(number):
    """Pages that fare differently: prose, too short, German, a list, the same again, nothing."""
    rng = random.Random(number)
    kinds = (
        "".join(paragraph(rng) for _ in range(5)),
        paragraph(rng, 12),
        f"<p>{GERMAN * 9}</p>",
        "<ul>" + "".join(f"<li>- the {word} of it</li>" for word in WORDS.split() * 3) + "</ul>",
        paragraph(random.Random(1)) * 8,
        "",
    )
    body = f"<!doctype html><html><body><article>{kinds[number % 6]}</article></body></html>"
    return http(body.encode())


@pytest.fixture(scope="module", params=CHAINS)
def made(request, tmp_path_factory):
    """The documents of two WARC files, with their pages and their rules."""
    folder = tmp_path_factory.mktemp("measures")
    for name in ("a", "b"):
        records = [
            record(f"http://{name}.test/{n}", page(n + 60 * (name == "b")), number=n)
            for n in range(30)
        ]
        (folder / f"{name}.warc").write_bytes(b"".join(records))
    pages, out = Directory(folder / "pages"), Directory(folder / "documents")
    warcs = [folder / "a.warc", folder / "b.warc"]
    import_warc(ImportWarc(), warcs, None, pages, 0, silent)
    chain = CHAINS[request.param]
    documents(chain, pages, out, 0, silent)
    return pages, out, chain[3]


def stored(out, number):
    """All documents of a shard by id, with their fates and places."""
    found = {}
    for under in ("", "dropped"):
        for place, row in enumerate(pq.read_table(out.shard(number, under=under)).to_pylist()):
            row |= {"fate": row.get("dropped_by") or KEPT, "place": place}
            found[row["id"]] = row
    return found


def test_each_document_has_one_row_sorted_by_id_that_says_where_it_is(made):
    pages, out, _ = made
    fates = set()
    for number in out.numbers():
        rows = pq.read_table(out.shard(number, under=UNDER)).to_pylist()
        wanted = stored(out, number)
        assert [row["id"] for row in rows] == sorted(wanted)
        for row in rows:
            same = wanted[row["id"]]
            fates.add(row["fate"])
            for name in ("url", "domain", "fate", "language", "language_probability"):
                assert row[name] == same[name]
            assert (row["shard"], row["row"]) == (number, same["place"])
            assert row["value"] == same.get("dropped_value")
            if same["text"] is None:
                assert row["bytes"] is row["words"] is row["lines"] is None
            else:
                text = same["text"]
                assert (row["bytes"], row["characters"]) == (len(text.encode()), len(text))
                assert row["text_digest"] == blake2b(text.encode(), digest_size=8).hexdigest()
                assert (row["words"], row["lines"]) == (len(text.split()), text.count("\n") + 1)
            assert row["digest"] is None or row["digest"].startswith("sha1:")
            found = read_response(
                pages.path / row["source_file"], row["source_offset"], row["source_length"], 10**6
            )
            assert found.url == row["url"]
    assert {KEPT, "language.other"} <= fates
    for stage in ("extract.", "rules."):
        assert any(fate.startswith(stage) for fate in fates)


def test_the_bounds_decide_by_the_table_as_they_did_by_the_texts(made):
    """Who moves a bound needs no text: the table gives each document the fate that it had."""
    _, out, rules = made
    bounds = {rule: (low, high) for rule, low, high in rules.order_of_bounds()}
    decided = 0
    for number in out.numbers():
        for row in pq.read_table(out.shard(number, under=UNDER)).to_pylist():
            if row["bytes"] is None:
                assert all(row[name] is None for name in rules.measured)
                continue
            reached = row["fate"] == KEPT or row["fate"].startswith("rules.")
            objections = (
                f"rules.{rule}.{side}"
                for rule, (low, high) in bounds.items()
                if (side := objection_of(row[rule], low, high))
            )
            if reached:
                assert row["fate"] == next(objections, KEPT)
                decided += 1
    assert decided >= 24


def test_a_measure_is_the_very_number_that_asking_the_rule_gives(made):
    _, out, rules = made
    for number in out.numbers():
        texts = stored(out, number)
        for row in pq.read_table(out.shard(number, under=UNDER)).to_pylist():
            text = texts[row["id"]]["text"]
            edited = row["fate"] == KEPT and rules is EDITING
            if text is not None and not edited:
                given = rules.measures(text, row["url"], row["language"])
                asked = {one.rule: one.measure for one in given}
                assert {name: row[name] for name in rules.measured} == {
                    name: asked[name] for name in rules.measured
                }


def test_what_is_measured_on_every_document_is_what_is_on_or_cheap():
    names = set(Rules().measured)
    assert {"gopher_quality.word_count", "fineweb.newlines"} <= names
    assert "gopher_repetition.repeated_lines" in names
    dear = ("gopher_repetition.top_2_gram", "webtext.tokens", "c4.sentences", "dolma_repetition")
    assert not any(name.startswith(dear) for name in names)
    assert {"gopher_repetition.top_2_gram", "c4.sentences"} <= set(EDITING.measured)
    off = Rules(gopher_quality=GopherQuality(enabled=False))
    assert off.measured == Rules().measured
    assert schema(off).names == [*FACTS.names, *off.measured]


def test_the_table_holds_no_text(made):
    _, out, _ = made
    for number in out.numbers():
        path = out.shard(number, under=UNDER)
        assert b"harbour" not in path.read_bytes()
        longest = 0
        for column in pq.read_table(path).columns:
            if column.type == pa.string():
                longest = max(longest, *(len(value or "") for value in column.to_pylist()))
        assert longest < 400


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("aд語ש \n\u2003\x1c."))
def test_words_are_those_between_white_space_and_the_shares_add_up(text):
    found = look(text)
    assert found.words == len(text.split())
    letters = sum(character.isalpha() for character in text)
    assert sum(found.shares) == pytest.approx(1, abs=1e-5) if letters else sum(found.shares) != 1


def test_letters_belong_to_their_script():
    text = "Ünder ﬁ Жук שלום سلام नमस्ते ไทย 한글 カナかな 漢字 Ωmega Հայ"
    found = dict(zip(SCRIPTS, look(text).shares.tolist(), strict=True))
    assert all(found.values())
    assert max(found, key=found.get) == "latin"
