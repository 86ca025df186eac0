"""The head and its cross-entropy together, so that all logits are never in memory at once.

At 124M with 8 windows of 1,024 tokens the logits alone are 8,192 * 50,304 * 4 bytes = 1.6 GB, and
their softmax and gradient as much again: more than the rest of the model. Here they are made some
rows at a time. The gradient is worked out in the same visit, for what it needs (the logits) is then
at hand: nothing is computed twice, and between forward and backward stay only the gradients
themselves.
"""

# Shape suffixes:
#   N = tokens (batch times length), D = width, V = vocabulary, padded; a chunk of N is C

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(h_ND: Tensor, head_VD: Tensor, y_N: Tensor, vocab: int) -> Tensor:
    """Return the mean loss of predicting `y` from `h`; from `vocab` on, the head is padding."""
    grad = torch.is_grad_enabled() and (h_ND.requires_grad or head_VD.requires_grad)
    if not grad:
        return token_losses(h_ND, head_VD, y_N, vocab).mean()
    return cast("Tensor", _HeadLoss.apply(h_ND, head_VD, y_N, vocab))  # type: ignore[no-untyped-call]


def token_losses(h_ND: Tensor, head_VD: Tensor, y_N: Tensor, vocab: int) -> Tensor:
    """Return each token's loss, in nats and float32, for which no gradient can be had."""
    losses = []
    with torch.no_grad():
        dtype = _dtype(h_ND)
        head_VD = head_VD.to(dtype)
        for h_CD, y_C in _chunks(h_ND.to(dtype), y_N):
            logp_CV = _log_probabilities(h_CD, head_VD, vocab)
            losses.append(-logp_CV.gather(1, y_C[:, None])[:, 0])
    return torch.cat(losses)


class _HeadLoss(torch.autograd.Function):
    """Mean cross-entropy whose gradients are made in the forward, scaled in the backward pass."""

    @staticmethod
    def forward(ctx: Any, h_ND: Tensor, head_VD: Tensor, y_N: Tensor, vocab: int) -> Tensor:
        """Return the mean loss, and keep its gradients for `h` and the head."""
        dtype = _dtype(h_ND)
        head = head_VD.to(dtype)
        total = torch.zeros((), device=h_ND.device)
        gh_ND = torch.empty_like(h_ND)
        ghead_VD = torch.zeros_like(head_VD)
        start = 0
        for h_CD, y_C in _chunks(h_ND.to(dtype), y_N):
            logp_CV = _log_probabilities(h_CD, head, vocab)
            total -= logp_CV.gather(1, y_C[:, None]).sum()
            g_CV = logp_CV.exp_()  # the gradient: probability, less one at the right token
            g_CV[torch.arange(len(y_C), device=y_C.device), y_C] -= 1
            g_CV = g_CV.to(dtype)
            gh_ND[start : start + len(y_C)] = g_CV @ head
            if dtype == ghead_VD.dtype:
                ghead_VD.addmm_(g_CV.t(), h_CD)  # spares a copy as large as the head
            else:
                ghead_VD += g_CV.t() @ h_CD
            start += len(y_C)
        # Divided by N last: a probability over a million would be below what fp16 can say.
        ctx.save_for_backward(gh_ND / start, ghead_VD / start)
        return total / start

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale what the forward pass made."""
        gh_ND, ghead_VD = ctx.saved_tensors
        return gh_ND * grads[0], ghead_VD * grads[0], None, None


def _chunks(h_ND: Tensor, y_N: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield parts of nearly equal length.

    A part costs one visit to the head's gradient (V * D) beside its logits (C * V), so C is in
    proportion to D; small where a cache is all that helps, large where a matrix unit must be fed.
    """
    most = max(1, h_ND.shape[1] // 2 if h_ND.device.type == "cpu" else h_ND.shape[1] * 4)
    size = -(-len(y_N) // -(-len(y_N) // most))
    yield from zip(torch.split(h_ND, size), torch.split(y_N, size), strict=True)


def _log_probabilities(h_CD: Tensor, head_VD: Tensor, vocab: int) -> Tensor:
    logits_CV = (h_CD @ head_VD.t()).float()
    logits_CV[:, vocab:] = -torch.inf
    return functional.log_softmax(logits_CV, dim=-1)


def _dtype(like: Tensor) -> torch.dtype:
    """Return the floats that autocast asks for; in an autograd function, that is up to us."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
