import json
import os
import threading
import weakref

import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import build
from webtext.model.machine.parallel import Group
from webtext.model.optim.optim import optimizers
from webtext.model.settings import Train
from webtext.model.training import checkpoint as module
from webtext.model.training.checkpoint import Checkpoints, restore, snapshot
from webtext.model.training.train import train


@pytest.fixture
def saved(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", keep=2)


def keep(saved, step, val_loss=None):
    saved.save(step, {"number": torch.tensor(step)}, val_loss)
    saved.wait()


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_snapshot_put_back_is_what_was_taken(tiny, optimizer):
    settings = Train(optimizer=optimizer)
    model = build(tiny)
    movers = optimizers(model, settings)
    x_BT = torch.randint(tiny.vocab, (2, 64))

    def move(model, movers):
        model(x_BT, x_BT.roll(-1, 1)).backward()
        for mover in movers:
            mover.step()
            mover.zero_grad()

    move(model, movers)
    state = snapshot(model, movers)
    other = build(tiny, seed=9)
    others = optimizers(other, settings)
    restore(state, other, others)
    for _ in range(2):
        move(model, movers)
        move(other, others)
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_the_padding_of_the_vocabulary_is_not_on_disk_and_stays_zero(tiny):
    model = build(tiny)
    movers = optimizers(model, Train())
    x_BT = torch.randint(tiny.vocab, (2, 64))
    model(x_BT, x_BT.roll(-1, 1)).backward()
    movers[0].step()
    state = snapshot(model, movers)
    assert state["weights"]["wte.weight"].shape == (500, 64)
    assert state["moments"]["wte.weight"]["exp_avg"].shape == (500, 64)
    assert model.wte.weight[500:].count_nonzero() == 0


def test_what_is_saved_is_loaded(saved):
    keep(saved, 7, 3.5)
    assert saved.load(7) == {"number": torch.tensor(7)}
    assert saved.notes()[7]["val_loss"] == 3.5


def test_the_last_ones_and_the_best_are_kept(saved):
    for step, loss in [(1, 5.0), (2, 3.0), (3, 4.0), (4, None), (5, 4.5)]:
        keep(saved, step, loss)
    assert list(saved.notes()) == [2, 4, 5]
    assert saved.best() == 2
    assert saved.last() == 5
    assert len(list(saved.folder.iterdir())) == 6


def test_a_damaged_checkpoint_is_not_believed(saved):
    keep(saved, 7)
    with saved.path(7).open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"x")
    with pytest.raises(UserError, match=r"step-00000007\.pt: damaged: its sha256 is .*, wanted"):
        saved.load(7)


def test_what_to_do_about_a_damaged_checkpoint_loses_nothing_else(saved):
    keep(saved, 7)
    keep(saved, 9)
    for step in (7, 9):
        saved.path(step).write_bytes(b"other")
    with pytest.raises(UserError, match=r"put a copy of it back, or move it .*goes on from step 7"):
        saved.load(9)
    with pytest.raises(UserError, match=r"put a copy of it back; there is none before it to go on"):
        saved.load(7)


TORN = [
    "",
    "{",
    "[]",
    "null",
    '{"step": 9}',
    '{"step": 7, "sha256": "", "val_loss": null}',
    "\0" * 99,
]


@pytest.mark.parametrize("content", TORN)
def test_a_torn_note_leaves_the_checkpoint_before(saved, content, caplog):
    keep(saved, 7)
    keep(saved, 9)
    saved.path(9).with_suffix(".json").write_text(content)
    assert saved.last() == 7
    saved.warn()
    (line,) = [record.message for record in caplog.records]
    assert "step-00000009.json: empty or torn" in line
    assert line.endswith("the last whole one is 7")
    saved.sweep()
    assert saved.folder.joinpath("step-00000009.pt").exists()  # only its note is lost
    keep(saved, 9)
    assert saved.load(9) == {"number": torch.tensor(9)}


def test_a_run_whose_last_note_is_empty_goes_on_from_the_one_before(
    tokens, tiny, settings, tmp_path
):
    run = tmp_path / "run"
    whole = train(run, tokens, tiny, settings, "cpu")
    wanted = torch.load(whole, weights_only=True)["weights"]
    whole.with_suffix(".json").write_text("")
    lines = []
    assert train(run, tokens, tiny, settings, "cpu", lines.append) == whole
    assert [line["step"] for line in lines] == [9, 10, 11]
    again = torch.load(whole, weights_only=True)["weights"]
    assert all(torch.equal(wanted[name], again[name]) for name in wanted)


def test_no_two_snapshots_are_in_memory(saved, tiny, monkeypatch):
    """While one is written, the next is not even begun; and when it is, the first is gone."""
    begun, alive = threading.Event(), []
    taken = module.snapshot

    def snapshot(model, optimizers):
        assert not [state for state in alive if state() is not None]
        state = taken(model, optimizers)
        alive.append(weakref.ref(state["weights"]["wte.weight"]))
        return state

    write, wait = Checkpoints._write, Checkpoints.wait
    monkeypatch.setattr(module, "snapshot", snapshot)
    monkeypatch.setattr(Checkpoints, "wait", lambda self: (begun.set(), wait(self))[1])
    monkeypatch.setattr(
        Checkpoints, "_write", lambda *given: (begun.wait(60), begun.clear(), write(*given))[2]
    )
    model = build(tiny)
    movers = optimizers(model, Train())
    for step in (1, 2, 3):
        saved.take(step, model, movers, {}, None, Group())
    saved.wait()
    assert len(alive) == 3
    assert list(saved.notes()) == [2, 3]


def test_a_checkpoint_that_is_not_there_is_named_with_those_that_are(saved):
    with pytest.raises(UserError, match=r"step-00000003\.pt: no such checkpoint; there are: none"):
        saved.load(3)
    keep(saved, 7)
    with pytest.raises(UserError, match="there are: 7"):
        saved.load(3)


def test_what_a_killed_process_left_is_not_taken_for_a_checkpoint(saved):
    keep(saved, 7)
    saved.path(8).write_bytes(b"whole, but its note was not written")
    saved.path(9).with_suffix(".pt.partial").write_bytes(b"not even whole")
    assert saved.last() == 7
    saved.sweep()
    assert {path.name for path in saved.folder.iterdir()} == {
        "step-00000007.pt",
        "step-00000007.json",
    }


def test_a_full_disk_is_said_to_be_full_and_leaves_the_last_checkpoint(saved):
    keep(saved, 7)
    saved.path(8).with_name("step-00000008.pt.partial").symlink_to("/dev/full")
    saved.save(8, {"numbers": torch.zeros(100_000)}, None)
    with pytest.raises(UserError, match=r"step-00000008.pt: could not be written .*from step 7"):
        saved.wait()
    assert saved.last() == 7
    assert json.loads(saved.path(7).with_suffix(".json").read_text())["step"] == 7
