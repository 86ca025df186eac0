"""The head and its cross-entropy together, so that all logits are never in memory at once.

At 124M with 8 windows of 1,024 tokens the logits alone are 8,192 * 50,304 * 4 bytes = 1.6 GB, and
their softmax and gradient as much again: more than the rest of the model. Here they are made some
rows at a time. The gradient is worked out in the same visit, for what it needs (the logits) is then
at hand: nothing is computed twice, and between forward and backward stay only the gradients
themselves. All of it can be traced, so that compiled training has it in its one graph.
"""

# Shape suffixes:
#   B = windows, T = tokens of a window, N = tokens (B * T), D = width, V = vocabulary, padded;
#   a chunk of N is C

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = -1  # in place of a next token: there is none to predict
ROWS = 8192  # of logits that a GPU makes at once: enough to feed it, 0.8 GB in 16 bits


def cross_entropy(h_BTD: Tensor, head_VD: Tensor, y_BT: Tensor, vocab: int) -> Tensor:
    """Return the mean loss of predicting `y` from `h`, in nats and float32.

    From `vocab` on, the rows of the head are padding; where `y` is `IGNORED`, nothing is predicted.
    """
    # Cast first, flatten then: the other way round, torch 2.11 to 2.13 compile the norm before
    # this, where it is wider than 1,024, to a loop that reads what other threads may not have
    # written yet (pytorch 190517).
    h_ND = h_BTD.to(head_VD.dtype).flatten(0, -2)
    if torch.is_grad_enabled() and (h_ND.requires_grad or head_VD.requires_grad):
        return cast("Tensor", _HeadLoss.apply(h_ND, head_VD, y_BT.flatten(), vocab))  # type: ignore[no-untyped-call]
    losses_BT = token_losses(h_BTD, head_VD, y_BT, vocab)
    return losses_BT.sum() / (y_BT != IGNORED).sum()


def token_losses(h_BTD: Tensor, head_VD: Tensor, y_BT: Tensor, vocab: int) -> Tensor:
    """Return each token's loss (BT), in nats and float32, for which no gradient can be had.

    It is 0 where `y` is `IGNORED`.
    """
    with torch.no_grad():
        h_ND = h_BTD.to(head_VD.dtype).flatten(0, -2)
        losses = [
            _losses(_log_probabilities(h_CD, head_VD, vocab), y_C)
            for h_CD, y_C in _chunks(h_ND, y_BT.flatten())
        ]
    return torch.cat(losses).view_as(y_BT)


class _HeadLoss(torch.autograd.Function):
    """Mean cross-entropy whose gradients are made in the forward, scaled in the backward pass."""

    @staticmethod
    def forward(ctx: Any, h_ND: Tensor, head_VD: Tensor, y_N: Tensor, vocab: int) -> Tensor:
        """Return the mean loss, and keep its gradients for `h` and the head."""
        total = torch.zeros((), device=h_ND.device)
        parts = []
        ghead_VD = None
        for h_CD, y_C in _chunks(h_ND, y_N):
            losses_C, g_CV = _visit(h_CD, head_VD, y_C, vocab)
            total = total + losses_C.sum()
            parts.append(g_CV @ head_VD)
            if ghead_VD is None:
                ghead_VD = g_CV.t() @ h_CD
            elif ghead_VD.dtype == h_CD.dtype:
                ghead_VD.addmm_(g_CV.t(), h_CD)  # spares a copy as large as the head
            else:
                ghead_VD += g_CV.t() @ h_CD
            if ghead_VD.dtype != torch.float32 and len(y_C) < len(y_N):
                ghead_VD = ghead_VD.float()  # more will be added
        count = (y_N != IGNORED).sum()
        ctx.save_for_backward(torch.cat(parts), ghead_VD, count)
        return total / count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale what the forward pass made.

        Divided by the count only here: a probability over a million would be below what fp16 can
        say, but not once the scale of the loss is in it.
        """
        gh_ND, ghead_VD, count = ctx.saved_tensors
        scale = grads[0] / count
        return gh_ND * scale, (ghead_VD * scale).to(gh_ND.dtype), None, None


def _visit(h_CD: Tensor, head_VD: Tensor, y_C: Tensor, vocab: int) -> tuple[Tensor, Tensor]:
    """Return each token's loss, and the gradient for its logits."""
    if torch.compiler.is_compiling() and h_CD.is_cuda:
        from webtext.model.gpt.softmax_kernel import softmax_gradient_

        logits_CV = h_CD @ head_VD.t()
        return softmax_gradient_(logits_CV, y_C, vocab), logits_CV
    logp_CV = _log_probabilities(h_CD, head_VD, vocab)
    return _losses(logp_CV, y_C), _gradient(logp_CV, y_C).to(h_CD.dtype)


def _chunks(h_ND: Tensor, y_N: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield parts of nearly equal length.

    A part costs one visit to the head's gradient (V * D) beside its logits (C * V): so C is in
    proportion to D on a CPU, where a cache is all that helps, and large on a GPU.
    """
    most = max(1, h_ND.shape[1] // 2 if h_ND.device.type == "cpu" else ROWS)
    size = -(-len(y_N) // -(-len(y_N) // most))
    yield from zip(torch.split(h_ND, size), torch.split(y_N, size), strict=True)


def _log_probabilities(h_CD: Tensor, head_VD: Tensor, vocab: int) -> Tensor:
    logits_CV = (h_CD @ head_VD.t()).float()
    logits_CV[:, vocab:] = -torch.inf
    return functional.log_softmax(logits_CV, dim=-1)


def _losses(logp_CV: Tensor, y_C: Tensor) -> Tensor:
    losses_C = -logp_CV.gather(1, y_C.clamp(min=0)[:, None])[:, 0]
    return losses_C.masked_fill(y_C == IGNORED, 0)


def _gradient(logp_CV: Tensor, y_C: Tensor) -> Tensor:
    """Return the logits' gradient, in place: probability, less one at the right token."""
    g_CV = logp_CV.exp_()
    g_CV[torch.arange(len(y_C), device=y_C.device), y_C.clamp(min=0)] -= 1
    return g_CV.masked_fill_((y_C == IGNORED)[:, None], 0)
