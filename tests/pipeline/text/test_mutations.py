import random

import pytest

from tests import mutations
from webtext.pipeline.core.stage import judged


def test_a_thousand_spoilt_pages_and_texts_have_a_fate_each(capsys):
    assert mutations.main(["--count", "1000", "--seed", "7"]) == 0
    told = capsys.readouterr().out
    assert "500 pages: " in told
    assert "500 texts: " in told
    assert "1000 inputs, seeds 7 to 16, 0 crashes" in told


def test_two_workers_find_what_one_finds(capsys):
    for workers in ("1", "2"):
        assert mutations.main(["--count", "200", "--workers", workers]) == 0
    one, two = capsys.readouterr().out.split("200 inputs, seeds 0 to 1, 0 crashes")[:2]
    assert one.splitlines()[:2] == two.splitlines()[1:]


def test_a_batch_depends_on_its_seed_alone():
    known = mutations.originals()[0][:3]
    one, same, other = (mutations.pages(known, random.Random(seed)) for seed in (1, 1, 2))
    assert one.equals(same)
    assert not one.equals(other)


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("raises", "crash: seed 1: ZeroDivisionError"),
        ("crashes", "crash: seed 1: an extractor's process died"),
    ],
)
def test_what_raises_or_kills_is_told_with_its_seed(failing, said, monkeypatch, capsys):
    class Failing(mutations.Clean):
        def __call__(self, batch):
            if failing == "raises":
                raise ZeroDivisionError
            return judged(batch, ["extract.crashed"] * batch.num_rows)

    monkeypatch.setattr(mutations, "AFTER", (Failing(),))
    assert mutations.main(["--count", "100", "--seed", "1"]) == 1
    assert said in capsys.readouterr().out
