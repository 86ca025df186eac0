"""Paragraphs that several documents have stay in one; nothing else of any text changes."""

import hashlib
import json
import random
from collections import Counter

import pytest

from tests.pipeline.dedup.material import documents, prose, rows
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.dedup import paragraphs as module
from webtext.pipeline.dedup.paragraphs import Paragraphs, paragraphs
from webtext.pipeline.dedup.signatures.folded_text import fold

ON = Paragraphs(enabled=True, keep_words=10)
MENU = "Home · About us · Contact, 2017"
NOTICE = "All rights reserved by the owners of this site"


pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


def made(path, given, settings=ON, shards=1, workers=0):
    """Remove what repeats; return the texts left by id, the dropped rows and the passage."""
    found = documents(path / "documents", given, shards)
    out = Directory(path / "paragraphs")
    out.path.mkdir()
    (passage,) = paragraphs(settings, found, out, workers)
    kept = {row["id"]: row["text"] for shard in out.shards() for row in read(shard)}
    dropped = {row["id"]: row for shard in out.shards("dropped") for row in read(shard)}
    assert passage.read == len(given) == len(kept) + len(dropped)
    assert passage.kept == len(kept)
    return kept, dropped, passage, out


def read(path):
    return read_shard(path).to_pylist()


def defined(given, settings):
    """Do what the module says it does, plainly."""
    first = {}
    for row in sorted(given, key=lambda row: row["id"]):
        for part in row["text"].split(module.UNITS[settings.unit]):
            first.setdefault(hashlib.sha1(fold(part).encode()).digest()[:8], row["id"])
    texts = {}
    for row in given:
        left, seen = [], set()
        for part in row["text"].split(module.UNITS[settings.unit]):
            hashed = hashlib.sha1(fold(part).encode()).digest()[:8]
            if len(fold(part).split()) < settings.min_words:
                left.append(part)
            elif first[hashed] == row["id"] and hashed not in seen:
                seen.add(hashed)
                left.append(part)
        text = module.UNITS[settings.unit].join(left)
        while "\n\n\n" in text:
            text = text.replace("\n\n\n", "\n\n")
        texts[row["id"]] = row["text"] if text == row["text"] else text.strip("\n")
    return texts


def test_a_paragraph_stays_in_the_document_of_the_smallest_id(tmp_path):
    texts = [f"{MENU}\n{prose(n, 30)}\n{NOTICE}" for n in range(3)]
    texts[2] = texts[2].replace(MENU, "HOME - About us -- contact: 1999")  # folds to the same
    kept, dropped, passage, _ = made(tmp_path, rows(texts)[::-1])
    assert kept == {
        f"{0:016x}": texts[0],
        f"{1:016x}": prose(1, 30),
        f"{2:016x}": prose(2, 30),
    }
    assert (dropped, passage.dropped) == ({}, {})


def test_a_document_of_which_too_little_is_left_is_dropped_and_says_how_much(tmp_path):
    texts = [prose(1, 60), f"{prose(1, 60)}\nand nothing else", "Short from the start"]
    kept, dropped, passage, _ = made(tmp_path, rows(texts))
    assert set(kept) == {f"{0:016x}", f"{2:016x}"}
    (row,) = dropped.values()
    assert (row["dropped_by"], row["dropped_value"]) == ("paragraphs.too_short", 3)
    assert passage.dropped == {"paragraphs.too_short": 1}


def test_a_paragraph_that_its_own_document_repeats_stays_once(tmp_path):
    kept, _, _, _ = made(tmp_path, rows([f"{NOTICE}\n{prose(1, 20)}\n\n{NOTICE}\n\n{prose(2, 9)}"]))
    assert kept == {f"{0:016x}": f"{NOTICE}\n{prose(1, 20)}\n\n{prose(2, 9)}"}


def test_lines_without_words_and_short_ones_are_left_alone(tmp_path):
    texts = [f"***\nNote\n{prose(n, 20)}\n***" for n in range(2)]
    kept, *_ = made(tmp_path / "a", rows(texts))
    assert kept[f"{1:016x}"] == f"***\n{prose(1, 20)}\n***"
    spared = Paragraphs(enabled=True, min_words=2, keep_words=10)
    kept, *_ = made(tmp_path / "b", rows(texts), spared)
    assert list(kept.values()) == texts


def test_paragraphs_between_blank_lines_can_be_the_unit(tmp_path):
    texts = [f"one line here\nof several\n\n{prose(n, 20)}\nof several" for n in range(2)]
    settings = Paragraphs(enabled=True, unit="paragraph", keep_words=10)
    kept, *_ = made(tmp_path, rows(texts), settings)
    assert kept == {f"{0:016x}": texts[0], f"{1:016x}": f"{prose(1, 20)}\nof several"}


def patchwork(count=120):
    """Return documents of paragraphs of which many are in several documents."""
    rng = random.Random(7)
    pool = [prose(n, rng.randint(1, 30)) for n in range(150)] + ["", "", "---", MENU]
    return [
        {"id": f"{rng.getrandbits(64):016x}", "text": "\n".join(rng.choices(pool, k=k))}
        for k in (rng.randint(1, 12) for _ in range(count))
    ]


@pytest.mark.parametrize("unit", module.UNITS)
def test_what_is_left_is_what_the_definition_says(tmp_path, unit):
    given = patchwork()
    settings = Paragraphs(enabled=True, unit=unit, keep_words=0)
    kept, dropped, _, out = made(tmp_path, given, settings, shards=3)
    assert kept == defined(given, settings)
    assert not dropped
    told = json.loads((out.path / "removed.json").read_text())
    bytes_of = Counter(before=sum(len(row["text"].encode()) for row in given))
    bytes_of["after"] = sum(len(text.encode()) for text in kept.values())
    assert told["bytes"] == bytes_of["before"]
    assert told["removed_bytes"] == bytes_of["before"] - bytes_of["after"]
    assert 0 < told["removed"] < told["paragraphs"]


def test_neither_shards_nor_workers_nor_runs_change_what_is_left(tmp_path, monkeypatch):
    given = patchwork()
    first, gone, _, one = made(tmp_path / "a", given)
    turned, also, *_ = made(tmp_path / "b", given[::-1], shards=5, workers=2)
    assert (turned, also.keys()) == (first, gone.keys())
    monkeypatch.setattr(module, "RUN", 50)
    monkeypatch.setattr(module, "READ_ROWS", 7)
    again, _, _, two = made(tmp_path / "c", given)
    assert again == first
    assert (one.path / "removed.json").read_bytes() == (two.path / "removed.json").read_bytes()
    assert sorted(path.name for path in two.path.iterdir()) == [
        "00000.parquet",
        "dropped",
        "removed.json",
    ]


def killed_in_it(first):
    first.unlink()
    raise KeyboardInterrupt


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    given = patchwork()
    *_, whole = made(tmp_path / "whole", given, shards=4)
    found = documents(tmp_path / "cut" / "documents", given, shards=4)
    out = Directory(tmp_path / "cut" / "paragraphs")
    out.path.mkdir()
    real, calls = {}, Counter()
    for name in ("collect", "_compare_range", "remove"):
        real[name] = getattr(module, name)

        def killed_at_the_third(*arguments, name=name):
            calls[name] += 1
            if calls[name] == 3:
                raise KeyboardInterrupt
            real[name](*arguments)

        monkeypatch.setattr(module, name, killed_at_the_third)
    monkeypatch.setattr(module, "RUN", 100)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            paragraphs(ON, found, out, 0)
    with monkeypatch.context() as killed:
        killed.setattr(module.shutil, "rmtree", lambda work: killed_in_it(work / "00001.json"))
        with pytest.raises(KeyboardInterrupt):
            paragraphs(ON, found, out, 0)
    paragraphs(ON, found, out, 0)
    assert not (out.path / module.WORK).exists()
    assert calls["collect"] == calls["remove"] == 5  # four shards, and the one that was cut short
    for number in range(4):
        for under in ("", "dropped"):
            assert out.shard(number, under=under).read_bytes() == (
                whole.shard(number, under=under).read_bytes()
            )
    assert (out.path / "removed.json").read_bytes() == (whole.path / "removed.json").read_bytes()


def test_no_documents_and_empty_texts_are_no_trouble(tmp_path):
    kept, dropped, passage, _ = made(tmp_path / "none", [], shards=2)
    assert (kept, dropped, passage.read) == ({}, {}, 0)
    kept, *_ = made(tmp_path / "empty", [{"id": "0" * 16, "text": ""}, {"id": "1" * 16}])
    assert list(kept.values()) == ["", None]


def test_the_rows_are_documents_as_before(tmp_path):
    *_, out = made(tmp_path, rows([prose(1)]))
    assert read_shard(out.shard(0)).schema.equals(DOCUMENT)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"unit": "word"}, "unit is 'word'; wanted one of line, paragraph"),
        ({"min_words": 0}, "min_words is 0 and keep_words 50; wanted 1 or more"),
    ],
)
def test_a_setting_out_of_range_says_what_is_wanted(wrong, said):
    with pytest.raises(UserError, match=said):
        Paragraphs(**wrong)
