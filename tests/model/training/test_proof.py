"""Compiled code is held to eager code before the first step."""

import gc
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from webtext.model.errors import DisagreementError
from webtext.model.gpt.gpt import GPT, MLP, LayerNorm, build
from webtext.model.machine.device import Precision
from webtext.model.training import passes as module
from webtext.model.training.passes import Passes
from webtext.model.training.proof import Proof, by_eager, farthest, part_at_fault, prove
from webtext.model.training.run import log
from webtext.model.training.train import train

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the compiler's own, on being imported
    import torch._inductor.compile_fx

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the compiler's own


@pytest.fixture(autouse=True)
def compiled_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile on the CPU: what is traced is run as it is, which takes no compiler's minute."""
    monkeypatch.setattr(module, "COMPILED_ON", ("cpu",))
    monkeypatch.setattr(module, "BACKEND", "aot_eager")
    torch.compiler.reset()


@pytest.fixture
def part() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    rows_BT = torch.randint(500, (4, 65), generator=random)
    return rows_BT[:, :-1], rows_BT[:, 1:].contiguous()


def plant(monkeypatch, owner, change):
    """Let a module's compiled code alone compute `change` of what it should."""
    right = owner.forward

    def wrong(self: nn.Module, x: Tensor) -> Tensor:
        return change(right(self, x)) if torch.compiler.is_compiling() else right(self, x)

    monkeypatch.setattr(owner, "forward", wrong)


@pytest.mark.parametrize(
    ("precision", "backend"), [("bf16", "inductor"), ("fp32", "aot_eager"), ("fp16", "aot_eager")]
)
def test_honest_code_passes(tiny, part, precision, backend, monkeypatch):
    monkeypatch.setattr(module, "BACKEND", backend)
    model, floats = build(replace(tiny, layers=1)), Precision(precision, CPU)
    passes = Passes(model, floats, compiled=True)
    assert passes.compiled
    proof = prove(model, passes, floats, *part)
    assert proof.fault is None
    assert proof.gradient < 1
    assert passes.loss == 0
    assert all(p.grad is None for p in model.parameters())


def test_a_fault_in_a_block_stops_the_training_and_is_named(
    tokens, tiny, settings, tmp_path, monkeypatch
):
    plant(monkeypatch, MLP, lambda y: y * 1.2)
    settings = replace(settings, disagreement="stop")
    named = (
        r"computes something else than the model: .*; at fault: block 0 \(off by .*% of the norm"
    )
    with pytest.raises(DisagreementError, match=named):
        train(tmp_path / "run", tokens, tiny, settings, "cpu")
    assert not list(log(tmp_path / "run"))


def test_or_it_goes_on_without_compiling_and_says_so(tokens, tiny, settings, tmp_path, monkeypatch):
    settings = replace(settings, steps=3)
    train(tmp_path / "eager", tokens, tiny, replace(settings, compile=False), "cpu")
    plant(monkeypatch, LayerNorm, lambda y: y * 1.2)
    told: list[str] = []
    train(tmp_path / "run", tokens, tiny, settings, "cpu", tell=told.append)
    assert "at fault: block 0" in told[0]
    assert "going on without compiling" in told[0]
    lines = [list(log(tmp_path / name)) for name in ("run", "eager")]
    assert [line["loss"] for line in lines[0]] == [line["loss"] for line in lines[1]]
    assert lines[0][0]["proof"]["gradient"] > 1
    assert "proof" not in lines[1][0]


@pytest.mark.parametrize(
    ("method", "name"),
    [("embed", "the embedding"), ("loss", "the head")],
)
def test_each_part_can_be_at_fault(tiny, part, monkeypatch, method, name):
    right = getattr(GPT, method)

    def wrong(self, *given):
        found = right(self, *given)
        return found * 1.2 if torch.compiler.is_compiling() else found

    monkeypatch.setattr(GPT, method, wrong)
    assert part_at_fault(build(tiny), build(tiny), *part, Precision("fp32", CPU)).startswith(name)


OTHER = {"positions": "rotary", "activation": "relu2", "qk_norm": True, "value_residual": True}
OTHER |= {"biases": False, "tied": False}


def test_a_model_that_is_no_gpt2_is_proved_like_one(tiny, part, monkeypatch):
    model, floats = build(replace(tiny, **OTHER)), Precision("bf16", CPU)
    passes = Passes(model, floats, compiled=True)
    assert prove(model, passes, floats, *part).fault is None
    # Only layers after the first mix in its values.
    right = torch.lerp

    def wrong(a, b, share):
        found = right(a, b, share)
        return found * 1.2 if torch.compiler.is_compiling() else found

    monkeypatch.setattr(torch, "lerp", wrong)
    torch.compiler.reset()
    assert part_at_fault(passes.called, model, *part, floats).startswith("block 1 ")


def test_parts_that_are_right_are_not_blamed(tiny, part):
    wanted = "no part alone, only all together"
    assert part_at_fault(build(tiny), build(tiny), *part, Precision("fp32", CPU)) == wanted


def test_every_block_is_compared_with_code_compiled_for_it(tiny, part, monkeypatch):
    deep = replace(tiny, layers=12)
    model = build(deep)
    right = MLP.forward
    last = model.h[11].mlp

    def wrong(self, x):
        found = right(self, x)
        return found * 1.2 if torch.compiler.is_compiling() and self is last else found

    monkeypatch.setattr(MLP, "forward", wrong)
    assert part_at_fault(model, model, *part, Precision("fp32", CPU)).startswith("block 11 ")


def test_played_kernels_and_eager_ones_do_not_share_their_sums(tiny, part):
    """What is recorded adds to the sums that it was recorded with, whatever came between."""
    model = build(tiny)
    passes = Passes(model, Precision("fp32", CPU), compiled=True)
    sums = tuple(torch.ones_like(p) for p in model.parameters())
    passes._recorded = module.Recorded(None, *part, torch.zeros(()), sums)
    with passes.eager():
        passes.begin()
        passes.add(*part, 1.0)
        assert all(p.grad is not s for p, s in zip(model.parameters(), sums, strict=True))
    passes.begin()
    assert all(p.grad is s for p, s in zip(model.parameters(), sums, strict=True))
    assert all(s.count_nonzero() == 0 for s in sums)


def test_code_that_gives_another_loss_each_time_is_a_fault(tiny, part, monkeypatch):
    model, floats = build(tiny), Precision("fp32", CPU)
    passes = Passes(model, floats, compiled=True)
    through, times = passes._through, iter(range(10))

    def racing(x_BT, y_BT, share):
        through(x_BT, y_BT, share)
        if passes.compiled and len(x_BT) == 4:
            passes.loss += 1e-6 * next(times)

    monkeypatch.setattr(passes, "_through", racing)
    assert "once and" in prove(model, passes, floats, *part).fault


def test_a_proof_with_no_number_in_it_can_be_written_as_json():
    told = Proof(float("nan"), float("inf"), "wte.weight", "it is no number").told()
    assert told == {"loss": None, "gradient": None, "weight": "wte.weight"}


def test_a_gradient_may_be_off_by_what_rounding_explains_and_no_more():
    exact = {"a": torch.ones(100), "b": torch.ones(100) * 1e-3, "c": torch.ones(3)}
    rounding = {"a": 0.1, "b": 1e-5, "c": 0.0}  # of norms 10, 0.01 and 1.7
    near = {"a": 0.15, "b": 0.0, "c": 13.0}  # c is small, and by chance anything
    worst, weight = farthest(near, rounding, exact, times=2.0, slack=0.005)
    assert (worst, weight) == (pytest.approx(0.15 / 0.25, rel=1e-3), "a")
    worst, weight = farthest(near | {"b": 3e-4}, rounding, exact, times=2.0, slack=0.005)
    assert weight == "b"
    assert worst > 1
    nothing = near | {"a": float("nan")}
    assert not farthest(nothing, rounding, exact, times=2.0, slack=0.005)[0] <= 1


def test_a_proof_holds_the_gradient_no_more_than_twice(tiny, part):
    """It must not need more room than the training, which has two moments a weight."""
    model, floats = build(tiny), Precision("bf16", CPU)
    passes = Passes(model, floats)
    most = 0
    through = passes._through

    def looking(*given):
        nonlocal most
        through(*given)
        gc.collect()
        there = [found for found in gc.get_objects() if type(found) in (Tensor, nn.Parameter)]
        same = [found for found in there if found.shape == model.wte.weight.shape]
        most = max(most, sum(found.dtype == torch.float32 for found in same))

    passes._through = looking
    eager = by_eager(model, passes, floats, *part)
    prove(model, passes, floats, *part, eager)
    assert most == 3  # the weight, its gradient, and the exact one
