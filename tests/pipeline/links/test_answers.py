"""Recorded API answers: what is broken in one of them costs no record of another."""

import gzip
import json

import pytest

from webtext.pipeline.links import answers
from webtext.pipeline.links.dumps import Flaw, records


def posts(start, count=2):
    return [{"id": f"a{n}", "url": f"http://s{n}.test/"} for n in range(start, start + count)]


def listing(found):
    return {"kind": "Listing", "data": {"children": [{"kind": "t3", "data": one} for one in found]}}


def read(tmp_path, data, name="a.jsonl"):
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return [found.reason if isinstance(found, Flaw) else found.url
            for _, found in records(tmp_path / name)]  # fmt: skip


def urls(*starts):
    return [one["url"] for start in starts for one in posts(start)]


CUTS = {
    "within a string": lambda text: text[: text.index("s2.test")],
    "after a comma": lambda text: text[: text.index(",") + 1],
    "between two records": lambda text: text[: text.rindex("},") + 2],
    "before its end": lambda text: text[:-2],
    "of its first letter": lambda text: text[1:],
    "of nothing but words": lambda _: "Bad gateway",
}
SPELT = {
    "an answer a line": {"indent": None},
    "over several lines": {"indent": 2},
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("spelt", SPELT)
@pytest.mark.parametrize("kind", [lambda found: {"data": found}, listing], ids=["data", "listing"])
def test_a_broken_answer_costs_no_record_of_another(tmp_path, cut, spelt, kind):
    said = [json.dumps(kind(posts(n)), **SPELT[spelt]) for n in range(0, 20, 2)]
    said[1] = CUTS[cut](said[1])
    found = read(tmp_path, "\n".join(said))
    sound = [url for url in found if url not in {"broken_line", "no_url", *urls(2)}]
    assert sound == urls(0, *range(4, 20, 2))
    assert {"broken_line", "no_url"} & set(found)


def test_an_answer_with_a_record_a_line_is_read(tmp_path):
    """Each of its lines could be an answer itself."""
    lines = ",\n".join(json.dumps({"kind": "t3", "data": one}) for one in posts(0, 5))
    said = '{"kind": "Listing", "data": {"children": [\n' + lines + "\n]}}\n"
    assert read(tmp_path, said * 2) == [one["url"] for one in posts(0, 5)] * 2


def test_records_of_a_broken_answer_that_are_whole_are_read(tmp_path):
    lines = [json.dumps({"kind": "t3", "data": one}) for one in posts(0, 5)]
    lines[2] = lines[2][:-8]
    said = '{"kind": "Listing", "data": {"children": [\n' + ",\n".join(lines) + "\n]}}\n"
    found = read(tmp_path, said)
    assert [url for url in found if url.startswith("http")] == urls(0) + urls(3)


@pytest.mark.parametrize("spelt", SPELT)
def test_an_archive_of_answers_that_is_cut_short_says_so(tmp_path, spelt):
    said = [json.dumps({"data": posts(n)}, **SPELT[spelt]) for n in range(0, 4000, 2)]
    packed = gzip.compress("\n".join(said).encode())
    found = read(tmp_path, packed[: len(packed) // 2], "a.jsonl.gz")
    assert len(found) > 100
    assert found[-1] == "truncated_archive"
    assert set(found[:-1]) == {one["url"] for one in posts(0, len(found) - 1)}


def test_a_line_that_is_too_long_to_hold_is_counted_with_its_length(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "LARGEST", 1 << 24)
    said = json.dumps({"data": posts(0)})
    long = json.dumps({"data": ["x" * (1 << 25)]})
    (tmp_path / "a.jsonl").write_text("\n".join([said, long, said]))
    found = [found for _, found in records(tmp_path / "a.jsonl")]
    assert found.pop(2) == Flaw("line_too_long", len(long))
    assert [one.url for one in found] == urls(0, 0)


def test_an_answer_over_many_lines_is_decoded_once(tmp_path, monkeypatch):
    decoded = []
    whole = answers._decode
    monkeypatch.setattr(answers, "_decode", lambda text: decoded.append(len(text)) or whole(text))
    said = json.dumps(listing(posts(0, 500)), indent=1)
    assert len(read(tmp_path, said)) == 500
    assert sum(decoded) <= len(said)
