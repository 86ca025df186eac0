import json
from dataclasses import replace

import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.optim.schedule import rate
from webtext.model.settings import Train
from webtext.model.training.run import log, read
from webtext.model.training.train import train

SETTINGS = {"steps": 101, "warmup": 10, "lr": 1.0, "min_lr": 0.1}


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "trapezoid"])
def test_the_rate_rises_in_a_line_to_the_peak_and_ends_at_the_least(schedule):
    settings = Train(**SETTINGS, schedule=schedule)
    assert [rate(settings, step) for step in range(10)] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    )
    assert rate(settings, 100) == pytest.approx(0.1)
    assert rate(settings, 1000) == pytest.approx(0.1)


def test_the_cosine_is_half_way_down_in_the_middle():
    assert rate(Train(**SETTINGS), 55) == pytest.approx(0.55)


def test_wsd_holds_the_peak_until_it_falls_as_a_root():
    settings = Train(**SETTINGS, schedule="wsd")  # falls over the last fifth: from step 81
    assert {rate(settings, step) for step in range(10, 82)} == {1.0}
    assert rate(settings, 81 + 19 // 4) == pytest.approx(0.1 + 0.9 * (1 - (4 / 19) ** 0.5))


def test_a_trapezoid_falls_in_a_line():
    settings = Train(**SETTINGS, schedule="trapezoid", decay=0.4)  # from step 61
    assert {rate(settings, step) for step in range(10, 62)} == {1.0}
    assert rate(settings, 61 + 13) == pytest.approx(0.1 + 0.9 * (1 - 13 / 39))


def test_without_warm_up_the_first_step_is_at_the_peak():
    assert rate(Train(steps=1, warmup=0), 0) == pytest.approx(6e-4)


@pytest.fixture
def flat(settings):
    """Steps 2 to 9 of twelve are at the peak."""
    return replace(settings, schedule="wsd", decay=0.25, steps=12, eval_every=0, checkpoint_every=3)


def stopped(after, run, tokens, gpt, settings):
    """Train until the line of a step, then die; the last checkpoint is some steps before."""

    def watch(line):
        if line["step"] == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, tokens, gpt, settings, "cpu", watch)


@pytest.mark.parametrize(("steps", "schedule"), [(20, "wsd"), (11, "trapezoid")])
def test_a_run_at_its_peak_becomes_longer_or_shorter_to_the_bit(
    tokens, tiny, flat, tmp_path, steps, schedule
):
    flat = replace(flat, schedule=schedule)
    run, other = tmp_path / "run", replace(flat, steps=steps)
    stopped(8, run, tokens, tiny, flat)  # so its last checkpoint is after 6
    end = train(run, tokens, tiny, other, "cpu")
    whole = train(tmp_path / "whole", tokens, tiny, other, "cpu")
    a, b = (torch.load(path, weights_only=True)["weights"] for path in (end, whole))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert [line["lr"] for line in log(run)] == [rate(other, step) for step in range(steps)]
    assert read(run).train == other
    config = json.loads((run / "config.json").read_text())
    assert config["lengths"] == [{"steps": 12, "until": 6}]
    assert train(run, tokens, tiny, other, "cpu", pytest.fail) == end


def test_a_run_whose_decay_has_begun_keeps_its_length(tokens, tiny, flat, tmp_path):
    run = tmp_path / "run"
    train(run, tokens, tiny, flat, "cpu")
    config = (run / "config.json").read_text()
    with pytest.raises(UserError, match=r"its decay began at step 10, .* is after 12; go on with"):
        train(run, tokens, tiny, replace(flat, steps=20), "cpu")
    assert (run / "config.json").read_text() == config


def test_a_shorter_run_would_have_begun_its_decay_earlier(tokens, tiny, flat, tmp_path):
    run = tmp_path / "run"
    stopped(8, run, tokens, tiny, flat)
    with pytest.raises(UserError, match=r"its decay began at step 5, .* is after 6"):
        train(run, tokens, tiny, replace(flat, steps=5), "cpu")


def test_a_cosine_has_one_length(tokens, tiny, settings, tmp_path):
    stopped(4, tmp_path / "run", tokens, tiny, settings)
    with pytest.raises(UserError, match=r"was 12, is 20: the rate of every step of a 'cosine'"):
        train(tmp_path / "run", tokens, tiny, replace(settings, steps=20), "cpu")


def test_nothing_else_changes_with_the_length(tokens, tiny, flat, tmp_path):
    stopped(4, tmp_path / "run", tokens, tiny, flat)
    with pytest.raises(UserError, match=r"train.steps was 12, is 20; train.lr was 0.01, is 0.02"):
        train(tmp_path / "run", tokens, tiny, replace(flat, steps=20, lr=0.02), "cpu")
