"""The parts of GPT-2 that can be exchanged for what learns from fewer tokens."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import GPT, build, rotations, turn
from webtext.model.gpt.sample import generate
from webtext.model.gpt.weights import export
from webtext.model.machine.plan import padded, plan
from webtext.model.settings import GPT2
from webtext.model.training.checkpoint import Checkpoints
from webtext.model.training.train import train

ALL = {
    "positions": "rotary",
    "activation": "relu2",
    "qk_norm": True,
    "value_residual": True,
    "biases": False,
    "tied": False,
    "zero_start": True,
}
CASES = [*({name: value} for name, value in ALL.items()), ALL]
TITLES = [*ALL, "all"]


@pytest.fixture(params=CASES, ids=TITLES)
def gpt(request, tiny) -> GPT2:
    return replace(tiny, layers=3, **request.param)


def words(gpt, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(gpt.vocab, (2, gpt.context), generator=random)


def shaken(gpt, **options) -> GPT:
    """Build a model whose weights are all away from where they start."""
    model = build(gpt, **options)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=random), alpha=0.1)
        for table in (model.wte.weight, model.head):
            table[gpt.vocab :] = 0
    return model


def test_the_settings_count_the_parameters_and_operations(gpt):
    with torch.device("meta"):
        model = GPT(gpt)
    counted = sum(p.numel() for p in model.parameters())
    assert counted == padded(gpt)
    tables = sum(table.numel() for name, table in model.named_parameters() if "wpe" in name)
    if not gpt.tied:
        tables += gpt.vocab * gpt.width
    attention = 12 * gpt.layers * gpt.width * gpt.context
    assert gpt.flops_per_token == 6 * (gpt.parameters - tables) + attention


def test_a_cache_changes_no_logit_and_no_token(gpt):
    model, x_BT = shaken(gpt).eval(), words(gpt)
    caches = model.caches(2)
    parts = [model.hidden(x_BT[:, :20], caches)]
    parts += [model.hidden(x_BT[:, t : t + 1], caches) for t in range(20, 64)]
    torch.testing.assert_close(model.logits(torch.cat(parts, 1)), model(x_BT), rtol=1e-4, atol=1e-4)
    with_cache, without = (
        list(generate(model, [7, 8, 9], 80, temperature=0, cached=cached))
        for cached in (True, False)
    )
    assert with_cache == without


def test_no_token_sees_the_future(gpt):
    model, x_BT = shaken(gpt), words(gpt)
    changed_BT = x_BT.clone()
    changed_BT[:, 8:] = (changed_BT[:, 8:] + 1) % gpt.vocab
    torch.testing.assert_close(model(x_BT)[:, :8], model(changed_BT)[:, :8])


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
def test_compiling_and_recomputing_change_no_gradient(gpt):
    torch.compiler.reset()  # it gives up on a function that it has compiled eight times
    plain, compiled, again = shaken(gpt), shaken(gpt), shaken(gpt, recompute=True)
    compiled.compile(backend="aot_eager", fullgraph=True)
    x_BT = words(gpt)
    for model in (plain, compiled, again):
        model(x_BT, x_BT.roll(-1, 1)).backward()
    wanted = [p.grad for p in plain.parameters()]
    assert all(grad.isfinite().all() and grad.count_nonzero() for grad in wanted)
    for model in (compiled, again):
        torch.testing.assert_close([p.grad for p in model.parameters()], wanted)


def test_training_resumes_to_the_bit(gpt, tokens, settings, tmp_path):
    settings = replace(
        settings, optimizer="muon", schedule="trapezoid", decay=0.5, min_lr=0.0, embedding_lr=0.5
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, tokens, gpt, settings, "cpu")

    class StopError(Exception):
        pass

    def stop(line):
        if line["step"] == 7:
            raise StopError

    with pytest.raises(StopError):
        train(parts, tokens, gpt, settings, "cpu", stop)
    assert Checkpoints(parts / "checkpoints").last() == 6
    train(parts, tokens, gpt, settings, "cpu")
    one, two = (Checkpoints(run / "checkpoints").load(12) for run in (whole, parts))
    for kind in ("weights", "moments"):
        assert torch.equal(flat(one[kind]), flat(two[kind]))
    tables = ["wte.weight"] if gpt.tied else ["wte.weight", "lm_head.weight"]
    assert all(len(one["weights"][name]) == gpt.vocab for name in tables)


def flat(found):
    """Return all numbers of a tree of tensors."""
    if isinstance(found, torch.Tensor):
        return found.flatten().float()
    return torch.cat([flat(found[name]) for name in sorted(found)])


def test_what_is_no_gpt2_is_not_exported_as_one(gpt, tmp_path):
    if gpt.departures:
        with pytest.raises(UserError, match=r"model\.\w+ = .*: is no GPT-2, and transformers has"):
            export(build(gpt), tmp_path / "out")
        assert not (tmp_path / "out").exists()
    else:  # only its first weights were other
        export(build(gpt), tmp_path / "out")
    assert bool(gpt.departures) == (gpt.positions == "rotary" or not gpt.zero_start)


def test_rotary_attention_knows_distances_alone():
    random = torch.Generator().manual_seed(0)
    q_K, k_K = torch.randn(2, 1, 16, generator=random)

    def score(at, behind):
        places = torch.tensor([at]), torch.tensor([behind])
        q, k = (turn(x, *rotations(t, 16)) for x, t in zip((q_K, k_K), places, strict=True))
        return (q * k).sum()

    torch.testing.assert_close(score(9, 4), score(105, 100), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(score(3, 3), (q_K * k_K).sum())
    assert abs(score(9, 4) - score(9, 5)) > 0.01


def test_rotary_turns_pairs_by_the_published_angles():
    x_TK = torch.zeros(1, 4)
    x_TK[0, 1] = 1.0  # the second of two pairs: (second, fourth), whose angle is 100 times smaller
    turned = turn(x_TK, *rotations(torch.tensor([50]), 4))
    angle = torch.tensor(50 / 10_000 ** (2 / 4))
    wanted = torch.stack([torch.zeros(()), angle.cos(), torch.zeros(()), angle.sin()])
    torch.testing.assert_close(turned[0], wanted)


def test_a_heads_width_that_has_no_pairs_is_refused():
    with pytest.raises(UserError, match=r"a head of width 3 has one over; use other heads than 4"):
        GPT2(heads=4, width=12, positions="rotary")


def test_queries_and_keys_are_of_one_length(tiny, monkeypatch):
    seen = []
    attend = functional.scaled_dot_product_attention

    def look(q, k, v, **options):
        seen.extend((q, k))
        return attend(q, k, v, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", look)
    model = shaken(replace(tiny, qk_norm=True))
    model(words(tiny))
    for x_BHTK in seen:
        lengths = x_BHTK.norm(dim=-1)
        torch.testing.assert_close(lengths, torch.full_like(lengths, 32**0.5), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("share", "own"), [(0.0, True), (1.0, False)])
def test_later_layers_mix_in_the_values_of_the_first(tiny, share, own):
    """With a share of 1 their own values count for nothing, with one of 0 for all."""
    model, x_BT = shaken(replace(tiny, value_residual=True)), words(tiny)
    assert not hasattr(model.h[0].attn, "mix")
    with torch.no_grad():
        model.h[1].attn.mix.fill_(share)
        before = model(x_BT)
        model.h[1].attn.c_attn.weight[128:] += 1  # its values', the last of three
        assert torch.equal(model(x_BT), before) is not own


def test_a_zero_start_passes_the_embeddings_on(tiny):
    model, x_BT = build(replace(tiny, zero_start=True)), words(tiny)
    sums_BTD = model.wte(x_BT) + model.wpe(torch.arange(64))
    torch.testing.assert_close(model.hidden(x_BT), model.ln_f(sums_BTD))


def test_relu2_is_the_square_of_relu(tiny):
    mlp = shaken(replace(tiny, activation="relu2")).h[0].mlp
    x_D = torch.randn(64, generator=torch.Generator().manual_seed(0))
    inner = (mlp.c_fc.weight @ x_D + mlp.c_fc.bias).clamp(min=0) ** 2
    torch.testing.assert_close(mlp(x_D), mlp.c_proj.weight @ inner + mlp.c_proj.bias)


def test_an_untied_head_is_a_matrix_of_its_own(tiny):
    model, x_BT = shaken(replace(tiny, tied=False)), words(tiny)
    assert model(x_BT).shape == (2, 64, 500)
    before = model.hidden(x_BT)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    assert torch.equal(model.hidden(x_BT), before)
    assert not model(x_BT).any()


def test_muon_is_planned_with_one_moment_for_the_matrices_within(settings):
    muon, adamw = (
        plan(GPT2(), replace(settings, batch_tokens=1024, optimizer=name))
        for name in ("muon", "adamw")
    )
    assert adamw.optimizer - muon.optimizer == 4 * 12 * 768**2 * 12
