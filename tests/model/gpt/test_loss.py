import pytest
import torch
from torch.nn import functional

from webtext.model.gpt.loss import cross_entropy, token_losses

N, D, VOCAB, PADDED = 37, 24, 100, 128


@pytest.fixture
def case():
    random = torch.Generator().manual_seed(0)
    h_ND = torch.randn(N, D, generator=random, requires_grad=True)
    head_VD = torch.randn(PADDED, D, generator=random, requires_grad=True)
    y_N = torch.randint(VOCAB, (N,), generator=random)
    return h_ND, head_VD, y_N


def plain(h_ND, head_VD, y_N):
    return functional.cross_entropy(h_ND @ head_VD[:VOCAB].t(), y_N)


def test_loss_and_gradients_equal_those_of_all_logits_at_once(case):
    h_ND, head_VD, _ = case
    wanted = torch.autograd.grad(plain(*case) * 3, (h_ND, head_VD))
    found = torch.autograd.grad(cross_entropy(*case, VOCAB) * 3, (h_ND, head_VD))
    torch.testing.assert_close(cross_entropy(*case, VOCAB), plain(*case))
    torch.testing.assert_close(found, wanted)


def test_padding_gets_no_probability_and_no_gradient(case):
    _, head_VD, _ = case
    loss = cross_entropy(*case, VOCAB)
    loss.backward()
    assert head_VD.grad[VOCAB:].count_nonzero() == 0
    assert head_VD.grad[:VOCAB].count_nonzero() > 0
    with torch.no_grad():
        head_VD[VOCAB:] += 100
    torch.testing.assert_close(cross_entropy(*case, VOCAB), loss)


def test_the_losses_of_tokens_have_the_loss_as_their_mean(case):
    losses_N = token_losses(*case, VOCAB)
    assert losses_N.shape == (N,)
    assert not losses_N.requires_grad
    torch.testing.assert_close(losses_N.mean(), plain(*case))
    with torch.no_grad():
        torch.testing.assert_close(cross_entropy(*case, VOCAB), plain(*case))


def test_in_bf16_the_loss_is_near_and_the_weights_gradient_is_float32(case):
    _, head_VD, _ = case
    with torch.autocast("cpu", torch.bfloat16):
        loss = cross_entropy(*case, VOCAB)
    loss.backward()
    wanted = torch.autograd.grad(plain(*case), head_VD)[0]
    assert head_VD.grad.dtype == torch.float32
    torch.testing.assert_close(loss, plain(*case), rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(head_VD.grad, wanted, rtol=5e-2, atol=5e-3)
