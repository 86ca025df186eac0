import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import build
from webtext.model.settings import GPT2, Train
from webtext.model.training.hardware import look_up
from webtext.model.training.optim import optimizers
from webtext.model.training.plan import activations, at_once, padded, plan

LARGER = GPT2(layers=4, heads=4, width=128, context=128, vocab=1000)


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("Tesla T4", 65e12),
        ("a100", 312e12),
    ],
)
def test_a_device_is_known_by_the_name_that_its_driver_gives(name, half):
    assert look_up(name).half == half


def test_an_unknown_device_has_no_peak_rather_than_anothers():
    assert look_up("NVIDIA GeForce GTX 1080") is None
    assert look_up("NVIDIA L400") is None
    with pytest.raises(UserError, match=r"device 'abacus' is not in the table; known: H200, GH200"):
        plan(GPT2(), Train(), "abacus")


def test_operations_and_hours_follow_from_the_formula():
    found = plan(GPT2(), Train(), "H100", mfu=0.5, corpus_tokens=5_000_000_000)
    assert found.tokens == 19_073 * 524_288
    assert found.flops == pytest.approx(8.552e8 * 1e10, rel=1e-3)
    assert found.hours == pytest.approx(8.552e18 / (989e12 * 0.5) / 3600, rel=1e-3)
    assert found.epochs == pytest.approx(2.0, rel=1e-3)
    assert plan(GPT2(), Train(), "H100", 8, 0.5).hours == pytest.approx(found.hours / 8)
    assert plan(GPT2(), Train()).hours is None
    assert plan(GPT2(), Train()).fits is None


def test_the_largest_model_fits_an_h100_only_with_a_small_part_at_a_time():
    largest = GPT2(48, 25, 1600)
    assert plan(largest, Train(microbatch=4), "H100").fits
    assert not plan(largest, Train(microbatch=64), "H100").fits
    assert plan(largest, Train(microbatch=64, recompute=True), "H100").fits
    alone, shared = (
        plan(largest, Train(parallel=parallel), "H100", processes=4) for parallel in ("ddp", "fsdp")
    )
    assert shared.optimizer == pytest.approx(alone.optimizer / 4)


def test_weights_gradients_and_moments_are_as_planned(settings):
    settings = Train(batch_tokens=512, microbatch=4, optimizer="adamw")
    found = plan(LARGER, settings)
    model = build(LARGER)
    (mover,) = optimizers(model, settings)
    x_BT = torch.randint(LARGER.vocab, (4, LARGER.context))
    model(x_BT, x_BT).backward()
    mover.step()
    held = [p.nbytes for p in model.parameters()]
    remembered = [t.nbytes for state in mover.state.values() for t in state.values()]
    assert sum(held) == 4 * padded(LARGER) == found.weights
    assert sum(p.grad.nbytes for p in model.parameters()) == found.gradients
    assert sum(remembered) == pytest.approx(found.optimizer, rel=0.01)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_are_as_planned(precision):
    """Count what autograd keeps; planned right within 10 %."""
    settings = Train(batch_tokens=4 * LARGER.context, microbatch=4)
    model = build(LARGER)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # held, so that no address recurs
        return tensor

    x_BT = torch.randint(LARGER.vocab, (4, LARGER.context))
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        model(x_BT, x_BT)
    found = sum(size for address, (size, _) in kept.items() if address not in weights)
    head = 4 * (at_once(LARGER, settings) + LARGER.padded_vocab) * LARGER.width
    assert activations(LARGER, settings, precision) + head == pytest.approx(found, rel=0.1)


def test_computing_them_again_leaves_one_layers_activations():
    kept = activations(LARGER, Train(batch_tokens=1024, microbatch=8), "fp32")
    again = activations(LARGER, Train(batch_tokens=1024, microbatch=8, recompute=True), "fp32")
    assert again < kept / 2.5
