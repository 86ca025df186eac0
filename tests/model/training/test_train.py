import itertools
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from webtext.model.batches.data import Batches, Stream
from webtext.model.errors import DivergedError, UserError
from webtext.model.gpt.gpt import GPT, build
from webtext.model.optim.schedule import rate
from webtext.model.training import work as module
from webtext.model.training.checkpoint import Checkpoints
from webtext.model.training.run import begin, log, read
from webtext.model.training.train import train


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in log(run)]


def test_the_loss_falls_and_the_log_tells_it(tokens, tiny, settings, tmp_path):
    seen = []
    path = train(tmp_path / "run", tokens, tiny, settings, "cpu", seen.append)
    assert path == tmp_path / "run" / "checkpoints" / "step-00000012.pt"
    assert list(log(tmp_path / "run")) == seen
    assert [line["step"] for line in seen] == list(range(12))
    assert seen[0]["loss"] == pytest.approx(np.log(500), abs=0.1)
    assert seen[-1]["loss"] < seen[0]["loss"] - 1
    assert [line["step"] for line in seen if line["val_loss"] is not None] == [2, 3, 5, 7, 8, 11]
    assert seen[-1]["val_loss"] < seen[3]["val_loss"]
    assert set(seen[0]) == {
        *("step", "loss", "lr", "norm", "skipped", "val_loss", "tokens_per_s", "mfu"),
        "seconds_left",
    }
    assert seen[0]["mfu"] is None
    assert seen[-1]["seconds_left"] == 0


def test_a_run_is_trained_by_one_process_at_a_time(tokens, tiny, settings, tmp_path):
    """Two would write one log, and each other's checkpoints under one name."""

    def watch(line):
        if line["step"] == 4:
            with pytest.raises(UserError, match="another training is at work there"):
                train(tmp_path / "run", tokens, tiny, settings, "cpu")

    path = train(tmp_path / "run", tokens, tiny, settings, "cpu", watch)
    assert [line["step"] for line in log(tmp_path / "run")] == list(range(12))
    assert train(tmp_path / "run", tokens, tiny, settings, "cpu") == path


def test_losses_of_fifty_steps_are_those_of_a_loop_written_from_scratch(tokens, tiny, settings):
    settings = replace(settings, steps=50)
    run = tokens.parent / "run"
    train(run, tokens, tiny, settings, "cpu")

    text = np.concatenate(
        [np.fromfile(path, "<u2")[512:] for path in sorted(tokens.glob("train*"))]
    )
    batches = Batches(Stream(tokens, "train"), 64, 8, settings.seed, 500)
    model = build(tiny, settings.seed)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0}]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8, foreach=False)
    wanted = []
    for step in range(50):
        rows = [text[w * 64 : w * 64 + 65].astype(np.int64) for w in batches.windows(step)]
        rows_BT = torch.from_numpy(np.stack(rows))
        logits = model(rows_BT[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), rows_BT[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for weights in adamw.param_groups:
            weights["lr"] = rate(settings, step)
        adamw.step()
        adamw.zero_grad()
        wanted.append(loss.item())
    assert losses(run) == pytest.approx(wanted, abs=2e-4)


@pytest.mark.parametrize(
    "changed",
    [{"optimizer": "muon"}, {"schedule": "wsd"}, {"precision": "bf16"}, {"recompute": True}],
    ids=lambda changed: next(iter(changed.values())),
)
def test_it_learns_in_every_way_there_is(tokens, tiny, settings, tmp_path, changed):
    train(tmp_path / "run", tokens, tiny, replace(settings, **changed), "cpu")
    found = losses(tmp_path / "run")
    assert found[-1] < found[0] - 0.5


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_embeddings_can_have_a_rate_of_their_own(tokens, tiny, settings, tmp_path, optimizer):
    settings = replace(settings, steps=1, optimizer=optimizer, embedding_lr=1e-6)
    path = train(tmp_path / "run", tokens, tiny, settings, "cpu")
    ended = torch.load(path, weights_only=True)["weights"]
    for name, before in build(tiny, settings.seed).named_parameters():
        moved = (ended[name] - before[: len(ended[name])]).abs().max().item()
        assert (moved < 1e-7) == (name in ("wte.weight", "wpe.weight")), name


def test_fp16_trains_with_a_scale_that_a_resume_takes_up(tokens, tiny, settings, tmp_path):
    settings = replace(settings, precision="fp16", steps=4, checkpoint_every=2)
    train(tmp_path / "whole", tokens, tiny, settings, "cpu")
    stop_after(1, tmp_path / "halves", tokens, tiny, settings)
    train(tmp_path / "halves", tokens, tiny, settings, "cpu")
    assert losses(tmp_path / "halves") == losses(tmp_path / "whole")
    assert Checkpoints(tmp_path / "halves" / "checkpoints").load(4)["scaler"]["_growth_tracker"] > 0


def stop_after(step, run, tokens, gpt, settings, sign=signal.SIGTERM, score=None):
    """Send ourselves a signal while the line of `step` is shown."""

    def watch(line):
        if line["step"] == step:
            os.kill(os.getpid(), sign)

    return train(run, tokens, gpt, settings, "cpu", watch, score)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_checkpoint_and_it_goes_on_to_the_bit(
    tokens, tiny, settings, tmp_path, sign
):
    settings = replace(settings, eval_every=1)
    handler = signal.getsignal(sign)
    whole = train(tmp_path / "whole", tokens, tiny, settings, "cpu")
    half = stop_after(4, tmp_path / "halves", tokens, tiny, settings, sign)
    assert half.name == "step-00000006.pt"  # the signal came after step 4, so during step 5
    assert signal.getsignal(sign) is handler
    assert [line["val_loss"] is None for line in log(tmp_path / "halves")] == [False] * 5 + [True]
    end = train(tmp_path / "halves", tokens, tiny, settings, "cpu")
    assert losses(tmp_path / "halves") == losses(tmp_path / "whole")
    assert same_state(end, whole)


def same_state(one: Path, two: Path) -> bool:
    a, b = (torch.load(path, weights_only=True) for path in (one, two))
    return all(
        torch.equal(a["weights"][name], b["weights"][name])
        and all(
            torch.equal(a["moments"][name][k], b["moments"][name][k]) for k in a["moments"][name]
        )
        for name in a["weights"]
    )


def test_dropout_is_resumed_to_the_bit_too(tokens, tiny, settings, tmp_path):
    dropping = replace(tiny, dropout=0.2)
    whole = train(tmp_path / "whole", tokens, dropping, settings, "cpu")
    stop_after(4, tmp_path / "halves", tokens, dropping, settings)
    torch.manual_seed(12345)
    assert same_state(train(tmp_path / "halves", tokens, dropping, settings, "cpu"), whole)


def test_a_finished_run_is_left_alone(tokens, tiny, settings, tmp_path):
    settings = replace(settings, steps=2)
    path = train(tmp_path / "run", tokens, tiny, settings, "cpu")
    before = path.stat().st_mtime_ns
    assert train(tmp_path / "run", tokens, tiny, settings, "cpu", pytest.fail) == path
    assert path.stat().st_mtime_ns == before
    assert len(losses(tmp_path / "run")) == 2


def test_what_a_crash_left_in_a_log_stops_nothing(tokens, tiny, settings, tmp_path):
    run, settings = tmp_path / "run", replace(settings, steps=4, checkpoint_every=2)
    train(run, tokens, tiny, settings, "cpu")
    Checkpoints(run / "checkpoints").path(4).unlink()
    first, *others = (run / "log.jsonl").read_bytes().splitlines(keepends=True)
    damage = [b"\0" * 40 + b"\n", b"junk\xff\n", b"[1]\n", b'{"step": "2"}\n']
    (run / "log.jsonl").write_bytes(b"".join([*damage, first, *damage, *others, b'{"step": 9']))
    train(run, tokens, tiny, settings, "cpu")
    assert [line["step"] for line in log(run)] == [0, 1, 2, 3]
    (run / "log.jsonl").write_bytes(b"".join(damage))
    assert not list(log(run))


def test_the_size_of_a_part_changes_no_more_than_rounding(tokens, tiny, settings, tmp_path):
    for part in (3, 8):
        train(tmp_path / str(part), tokens, tiny, replace(settings, microbatch=part), "cpu")
    assert losses(tmp_path / "3") == pytest.approx(losses(tmp_path / "8"), abs=1e-4)


def test_other_settings_or_tokens_are_no_resume(tokens, tiny, settings, tmp_path, write_shard):
    run = tmp_path / "run"
    settings = replace(settings, steps=1)
    train(run, tokens, tiny, settings, "cpu")
    with pytest.raises(UserError, match=r"train.lr was 0.01, is 0.02; train.seed was 0, is 1"):
        train(run, tokens, tiny, replace(settings, lr=0.02, seed=1), "cpu")
    with pytest.raises(UserError, match=r"model.layers was 2, is 3"):
        train(run, tokens, replace(tiny, layers=3), settings, "cpu")
    write_shard(tokens / "train-00002.bin", np.arange(3))
    with pytest.raises(UserError, match=r"tokens.sha256 was '.*', is '"):
        train(run, tokens, tiny, settings, "cpu")
    found = read(run)
    assert (found.gpt, found.train, found.tokens) == (tiny, settings, tokens.resolve())


def test_a_run_can_tell_what_its_steps_read(tokens, tiny, settings, tmp_path):
    begin(tmp_path / "run", tokens, tiny, settings)
    batches = read(tmp_path / "run").batches()
    wanted = Batches(Stream(tokens, "train"), 64, 8, settings.seed, 500)
    assert (batches.windows(5) == wanted.windows(5)).all()
    moved = tokens.rename(tmp_path / "moved")
    assert (read(tmp_path / "run").batches(moved).windows(5) == wanted.windows(5)).all()


def test_a_directory_that_is_no_run_is_said_to_be_none(tmp_path):
    with pytest.raises(UserError, match=r"config.json: no such file; wanted the directory of a tr"):
        read(tmp_path)
    for found in (b'{"model": {"depth": 3}}', b"\xff\xfe{", b"", b"[]"):
        (tmp_path / "config.json").write_bytes(found)
        with pytest.raises(UserError, match=r"config.json: not as this version writes it"):
            read(tmp_path)


def test_a_text_too_short_to_hold_a_val_window_trains_without(tokens, tiny, settings, tmp_path):
    (tokens / "val-00000.bin").unlink()
    train(tmp_path / "run", tokens, tiny, replace(settings, steps=4), "cpu")
    assert {line["val_loss"] for line in log(tmp_path / "run")} == {None}


@pytest.fixture
def poison(monkeypatch):
    """Let the loss of some forward passes in training be no number; two passes make a step."""

    def spoil(*passes, by=float("nan")):
        forward, count = GPT.forward, itertools.count()

        def spoilt(self, x_BT, y_BT=None):
            loss = forward(self, x_BT, y_BT)
            return loss * by if torch.is_grad_enabled() and next(count) in passes else loss

        monkeypatch.setattr(GPT, "forward", spoilt)

    return spoil


def test_a_loss_that_is_no_number_stops_it_and_names_what_was_read(
    tokens, tiny, settings, tmp_path, poison
):
    poison(2 * 4)
    with pytest.raises(DivergedError, match=r"step 4: the loss is nan; it read windows") as caught:
        train(tmp_path / "run", tokens, tiny, settings, "cpu")
    batches = Batches(Stream(tokens, "train"), 64, 8, settings.seed, 500)
    assert caught.value.step == 4
    assert caught.value.windows == tuple(batches.windows(4))
    assert "the last good checkpoint is" in str(caught.value)
    assert "step-00000003.pt; lower train.lr" in str(caught.value)
    assert Checkpoints(tmp_path / "run" / "checkpoints").last() == 3


def test_a_step_without_a_number_is_left_out_if_that_is_wished(
    tokens, tiny, settings, tmp_path, poison
):
    poison(2 * 4)
    train(tmp_path / "run", tokens, tiny, replace(settings, trouble="skip"), "cpu")
    lines = list(log(tmp_path / "run"))
    assert [line["skipped"] for line in lines if line["skipped"]] == ["the loss is nan"]
    assert lines[4]["loss"] is None
    assert lines[-1]["loss"] < lines[0]["loss"] - 1
    json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[4])


def test_it_does_not_skip_for_ever(tokens, tiny, settings, tmp_path, poison, monkeypatch):
    monkeypatch.setattr(module, "SKIPS", 3)
    poison(*range(100))
    with pytest.raises(DivergedError, match="step 3: the loss is nan"):
        train(tmp_path / "run", tokens, tiny, replace(settings, trouble="skip"), "cpu")


def test_a_spike_is_told_from_the_last_losses(
    tokens, tiny, settings, tmp_path, poison, monkeypatch
):
    monkeypatch.setattr(module, "LAST", 4)
    poison(16, 17, by=10.0)
    train(tmp_path / "run", tokens, tiny, replace(settings, trouble="skip", spike=6.0), "cpu")
    skipped = [line["skipped"] for line in log(tmp_path / "run")]
    assert skipped[8].startswith("the loss is ")
    assert "of the last 4 " in skipped[8]
    assert skipped.count(None) == 11


def test_measuring_in_the_loop_changes_nothing_but_the_log(tokens, tiny, settings, tmp_path):
    dropping = replace(tiny, dropout=0.1)

    def measure(model, stop):
        torch.rand(3)  # whatever it draws
        training = model.training
        model.eval()
        model.hidden(torch.zeros(1, 4, dtype=torch.int64))
        model.train(training)
        return {"copa/lm-eval/acc": 50.0}

    plain = train(tmp_path / "plain", tokens, dropping, settings, "cpu")
    run = tmp_path / "measured"
    stop_after(4, run, tokens, dropping, settings, score=measure)
    measured = train(run, tokens, dropping, settings, "cpu", score=measure)
    assert same_state(measured, plain)
    with_scores = [line["step"] for line in log(run) if "scores" in line]
    assert with_scores == [line["step"] for line in log(run) if line["val_loss"] is not None]
    assert with_scores


def test_a_signal_while_scoring_ends_it_there_with_a_checkpoint(tokens, tiny, settings, tmp_path):
    settings = replace(settings, eval_every=4, checkpoint_every=0)
    whole = train(tmp_path / "whole", tokens, tiny, settings, "cpu")
    asked = []

    def measure(model, stop):
        if not asked:
            os.kill(os.getpid(), signal.SIGTERM)
        asked.append(stop())
        return {} if stop() else {"copa/lm-eval/acc": 50.0}

    run = tmp_path / "halves"
    half = train(run, tokens, tiny, settings, "cpu", score=measure)
    assert half.name == "step-00000004.pt"
    assert asked == [True]
    assert ["scores" in line for line in log(run)] == [False] * 4
    assert same_state(train(run, tokens, tiny, settings, "cpu", score=measure), whole)
