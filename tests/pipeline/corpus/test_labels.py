"""Labels are appended, survive what kills a process, and say how sure a share is."""

import json
import multiprocessing

import pytest

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.corpus import labels
from webtext.pipeline.corpus.labels import Label, add, read, share


def test_the_last_label_counts_and_can_be_taken_back(tmp_path):
    assert read(tmp_path) == {}
    add(tmp_path, Label("a", "keep", "prose", "http://a/", "kept"))
    add(tmp_path, Label("b", "drop"))
    add(tmp_path, Label("a", "drop", "\u202e\n menu"))
    found = read(tmp_path)
    assert {name: one.label for name, one in found.items()} == {"a": "drop", "b": "drop"}
    assert found["a"].reason == "\u202e\n menu"
    assert found["a"].time.endswith("+00:00")
    add(tmp_path, Label("a", ""))
    assert set(read(tmp_path)) == {"b"}
    lines = (tmp_path / labels.FILE).read_bytes().splitlines()
    assert len(lines) == 4  # nothing is rewritten
    assert all(line.isascii() and json.loads(line) for line in lines)


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_half_a_line_costs_no_other_label(tmp_path, cut):
    add(tmp_path, Label("a", "keep"))
    add(tmp_path, Label("b", "keep"))
    path = tmp_path / labels.FILE
    path.write_bytes(path.read_bytes()[:-cut])  # a process killed while it wrote the second one
    add(tmp_path, Label("c", "drop"))
    expected = {"a", "b", "c"} if cut == 1 else {"a", "c"}  # only the line's end was lacking
    assert set(read(tmp_path)) == expected


def test_lines_of_others_are_passed_over(tmp_path):
    text = '{"id": "a", "label": "keep"}\n[]\nnull\n{"id": "b", "label": "odd"}\n\xff\n{"id": 7}\n'
    (tmp_path / labels.FILE).write_bytes(text.encode("latin-1"))
    assert set(read(tmp_path)) == {"a"}


def test_what_is_no_label_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"label = maybe: wanted keep, drop or unsure"):
        add(tmp_path, Label("a", "maybe"))
    with pytest.raises(UserError, match=r"cannot be written"):
        add(tmp_path / "nowhere", Label("a", "keep"))


def _add(folder, number):
    for one in range(40):
        add(folder, Label(f"{number}-{one}", "keep", "x" * 500))


def test_two_processes_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(tmp_path, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(read(tmp_path)) == 80


def test_a_share_is_given_with_its_limits():
    # Source: Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I,
    # method 3: the score method without continuity correction.
    for count, of, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                 (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):  # fmt: skip
        found = share(count, of)
        assert (found.low, found.high) == (
            pytest.approx(low, abs=1e-4),
            pytest.approx(high, abs=1e-4),
        )
    assert share(0, 0).share is None
