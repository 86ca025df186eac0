import json
import re

import pytest

from tests.pipeline import fake_data
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.insight.losses import POINTS, curve, losses, write_page


def test_a_torn_line_of_a_log_is_left_out(tmp_path):
    fake_data.write_log(tmp_path / "run", 10)
    train, val = losses(tmp_path / "run")
    assert [step for step, _ in train] == list(range(10))
    assert val == []


def test_losses_that_are_no_numbers_are_left_out(tmp_path):
    lines = ['{"step": 0, "loss": NaN}', '{"step": 1, "loss": null}', '{"step": 2, "loss": 3.5}']
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    assert losses(tmp_path) == ([(2, 3.5)], [])


@pytest.mark.parametrize("count", [1, 2, 399, 401, 5000])
def test_a_curve_of_any_length_stays_in_its_box(count):
    train = [(step, 10 / (1 + step)) for step in range(count)]
    found = curve(train, [(count - 1, 0.5)])
    numbers = [float(number) for number in re.findall(r"[\d.]+", found["train"] + found["val"])]
    assert all(0 <= number <= 1000 for number in numbers)
    assert len(re.findall("[ML]", found["train"])) <= POINTS
    assert all(0 <= tick["at"] <= 100 for tick in found["y"])


def test_no_losses_are_no_curve():
    assert curve([], []) is None


def begun(run, steps):
    fake_data.write_log(run, steps)
    config = {
        "model": {"layers": 2},
        "train": {"steps": 50, "batch_tokens": 1000},
        "tokens": {"path": "<b>"},
        "versions": {},
    }
    (run / "config.json").write_text(json.dumps(config))
    return run


def test_a_runs_page_shows_its_curve_and_what_it_was_started_with(tmp_path):
    page = write_page(begun(tmp_path / "first", 10)).read_text()
    assert "Training first" in page
    assert "of 50 steps" in page
    assert re.search(r"10,000</b><span class=.soft.>tokens", page)
    assert '<path class="train"' in page
    assert "<b>&lt;" not in page
    assert "&lt;b&gt;" in page


def test_a_page_of_no_run_is_a_clear_error(tmp_path):
    fake_data.write_log(tmp_path / "run", 3)
    with pytest.raises(UserError, match=r"config.json: not to be read"):
        write_page(tmp_path / "run")
