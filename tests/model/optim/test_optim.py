import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import build
from webtext.model.optim.optim import moments, optimizers
from webtext.model.settings import Train


def names(model, parameters):
    ids = {id(p): name for name, p in model.named_parameters()}
    return {ids[id(p)] for p in parameters}


def test_decay_is_on_matrices_only(tiny):
    model = build(tiny)
    (adamw,) = optimizers(model, Train(weight_decay=0.3))
    decayed, others = adamw.param_groups
    assert decayed["weight_decay"] == 0.3
    assert others["weight_decay"] == 0.0
    assert {"wte.weight", "wpe.weight", "h.0.attn.c_attn.weight"} <= names(model, decayed["params"])
    assert all(p.dim() == 1 for p in others["params"])
    assert len(decayed["params"]) + len(others["params"]) == len(list(model.parameters()))


def test_muon_moves_the_hidden_matrices_and_adamw_the_rest(tiny):
    model = build(tiny)
    muon, adamw = optimizers(model, Train(optimizer="muon"))
    hidden = names(model, muon.param_groups[0]["params"])
    rest = names(model, [p for group in adamw.param_groups for p in group["params"]])
    assert hidden == {
        f"h.{layer}.{part}.weight"
        for layer in (0, 1)
        for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }
    assert hidden | rest == {name for name, _ in model.named_parameters()}
    assert not hidden & rest


def test_muon_needs_whole_matrices_and_a_torch_that_has_it(tiny, monkeypatch):
    with pytest.raises(UserError, match=r"use train\.parallel = 'ddp'"):
        optimizers(build(tiny), Train(optimizer="muon", parallel="fsdp"))
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(UserError, match=r"wanted torch 2\.9 or later, is 2"):
        optimizers(build(tiny), Train(optimizer="muon"))


def test_every_weight_has_its_moments_once(tiny):
    model = build(tiny)
    found = [name for name, _, _ in moments(model, optimizers(model, Train(optimizer="muon")))]
    assert sorted(found) == sorted(name for name, _ in model.named_parameters())
