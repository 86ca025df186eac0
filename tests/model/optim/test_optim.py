import pytest

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
    matrices, embeddings, others = adamw.param_groups
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.3, 0.3, 0.0]
    assert "h.0.attn.c_attn.weight" in names(model, matrices["params"])
    assert names(model, embeddings["params"]) == {"wte.weight", "wpe.weight"}
    assert all(p.dim() == 1 for p in others["params"])
    found = [p for group in adamw.param_groups for p in group["params"]]
    assert len(found) == len(list(model.parameters()))


def test_decay_can_leave_the_embeddings_alone(tiny):
    for settings in (Train(embedding_decay=False), Train(embedding_decay=False, optimizer="muon")):
        adamw = optimizers(build(tiny), settings)[-1]
        assert {group["weight_decay"] for group in adamw.param_groups} <= {0.0, 0.1}
        (embeddings,) = (
            g for g in adamw.param_groups if g["params"][0].dim() == 2 and len(g["params"]) == 2
        )
        assert embeddings["weight_decay"] == 0.0


def test_muon_moves_the_hidden_matrices_and_adamw_the_rest(tiny):
    model = build(tiny)
    muon, adamw = optimizers(model, Train(optimizer="muon"))
    hidden = names(model, [p for group in muon.param_groups for p in group["params"]])
    rest = names(model, [p for group in adamw.param_groups for p in group["params"]])
    assert hidden == {
        f"h.{layer}.{part}.weight"
        for layer in (0, 1)
        for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }
    assert hidden | rest == {name for name, _ in model.named_parameters()}
    assert not hidden & rest


def test_muon_needs_whole_matrices(tiny):
    with pytest.raises(UserError, match=r"use train\.parallel = 'ddp'"):
        optimizers(build(tiny), Train(optimizer="muon", parallel="fsdp"))


def test_every_weight_has_its_moments_once(tiny):
    model = build(tiny)
    found = [name for name, _, _ in moments(model, optimizers(model, Train(optimizer="muon")))]
    assert sorted(found) == sorted(name for name, _ in model.named_parameters())
