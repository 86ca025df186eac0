import math

import pytest
import torch
from torch import nn

from webtext.model.optim.muon import ITERATIONS, Muon, orthogonal

SHAPES = [(48, 16), (16, 16), (64, 16), (16, 64), (16, 16), (64, 16), (20, 16)]


def weights(shapes=SHAPES):
    random = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=random)) for shape in shapes]


def steps(mover, parameters, count=5, rate=float):
    """Take some steps on gradients that follow from the step; return where the weights are."""
    for step in range(count):
        random = torch.Generator().manual_seed(step)
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=random)
        for group in mover.param_groups:
            group["lr"] = rate(0.01 * (step + 1))
        mover.step()
    return [p.detach() for p in parameters]


def theirs(parameters):
    return torch.optim.Muon(parameters, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")


def test_it_moves_weights_as_torchs_own_does():
    ours, others = weights(), weights()
    mover, other = Muon(ours, dtype=torch.bfloat16), theirs(others)
    starts = weights()
    moved = zip(steps(mover, ours), steps(other, others), starts, strict=True)
    for one, two, start in moved:
        # Both in bf16, which has 8 bits: one batched product may round as another does not.
        assert (one - two).norm() < 0.01 * (two - start).norm()
    for one, two in zip(ours, others, strict=True):
        torch.testing.assert_close(
            mover.state[one]["momentum_buffer"], other.state[two]["momentum_buffer"]
        )


def test_a_rate_in_a_tensor_is_as_good_as_a_number():
    one, two = weights(), weights()
    by_number, by_tensor = steps(Muon(one), one), steps(Muon(two), two, rate=torch.tensor)
    torch.testing.assert_close(by_number, by_tensor)


def test_few_at_once_move_as_all_at_once(monkeypatch):
    one, two = weights(), weights()
    whole = steps(Muon(one), one)
    monkeypatch.setattr("webtext.model.optim.muon.AT_ONCE", 1)
    torch.testing.assert_close(whole, steps(Muon(two), two))


def test_parts_move_as_the_matrices_that_they_are():
    """Three matrices in one move as three would, of which each has a scale of its own."""
    (whole,) = weights([(48, 16)])
    parts = [nn.Parameter(part.clone()) for part in whole.detach().chunk(3)]
    whole.grad = torch.randn(whole.shape, generator=torch.Generator().manual_seed(1))
    for part, grad in zip(parts, whole.grad.chunk(3), strict=True):
        part.grad = grad
    Muon([{"params": [whole], "parts": 3}], lr=0.1).step()
    Muon(parts, lr=0.1).step()
    torch.testing.assert_close(whole.detach(), torch.cat([part.detach() for part in parts]))


def test_a_weight_without_a_gradient_stays():
    first, second = weights([(16, 16), (16, 16)])
    before = first.detach().clone()
    second.grad = torch.ones_like(second)
    Muon([first, second], lr=0.1).step()
    assert torch.equal(first, before)


def test_singular_values_come_near_one_and_directions_stay():
    x_GRC = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    made_GRC = orthogonal(x_GRC)
    values = torch.linalg.svdvals(made_GRC)
    assert ITERATIONS == 5
    assert values.min() > 0.6
    assert values.max() < 1.3
    u_GRR, _, v_GRC = torch.linalg.svd(x_GRC, full_matrices=False)
    inner_GRR = u_GRR.mT @ made_GRC @ v_GRC.mT
    torch.testing.assert_close(inner_GRR, torch.diag_embed(inner_GRR.diagonal(dim1=1, dim2=2)))


def test_an_update_is_of_the_size_of_adamws():
    (p,) = weights([(64, 256)])
    before = p.detach().clone()
    p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
    Muon([p], lr=1.0, weight_decay=0.0).step()
    size = (p.detach() - before).square().mean().sqrt().item()
    assert math.isclose(size, 0.2, rel_tol=0.2)


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match=r"a weight of \(7,\) is not 1 matrices"):
        Muon([nn.Parameter(torch.zeros(7))])
    with pytest.raises(ValueError, match=r"a weight of \(16, 16\) is not 3 matrices"):
        Muon([{"params": weights([(16, 16)]), "parts": 3}])
