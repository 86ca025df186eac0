import json
import os

import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import build
from webtext.model.settings import Train
from webtext.model.training.checkpoint import Checkpoints, restore, snapshot
from webtext.model.training.optim import optimizers


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
