"""The head and its cross-entropy together, so that memory never holds all logits at once.

At 124M with 8 windows of 1,024 tokens the logits alone take 8,192 * 50,304 * 4 bytes = 1.6 GB, and
their softmax and gradient as much again: more than the rest of the model. Here they are computed in
chunks of rows. The gradient is computed in the same pass, while the logits that it needs are in
memory: nothing is computed twice, and only the gradients are kept between forward and backward.
All of it can be traced, so that compiled training has it in its single graph.
"""

# Shape suffixes:
#   B = windows, T = tokens of a window, N = tokens (B * T), D = width, V = padded vocabulary,
#   C = tokens of a chunk of N

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = -1  # in place of a next token: nothing is predicted there
ROWS = 8192  # of logits that a GPU computes at once: enough to keep it busy, 0.8 GB in 16 bits


def cross_entropy(h_BTD: Tensor, head_VD: Tensor, y_BT: Tensor, vocab: int) -> Tensor:
    """Return the mean loss of predicting `y` from `h`, in nats and float32.

    Rows of the head from `vocab` on are padding; where `y` is `IGNORED`, nothing is predicted.
    """
    # Cast before flattening: in the other order, torch 2.11 to 2.13 compile the preceding norm, if
    # it is wider than 1,024, to a loop that reads values which other threads may not have written
    # yet (pytorch 190517).
    h_ND = h_BTD.to(head_VD.dtype).flatten(0, -2)
    if torch.is_grad_enabled() and (h_ND.requires_grad or head_VD.requires_grad):
        return cast("Tensor", _HeadLoss.apply(h_ND, head_VD, y_BT.flatten(), vocab))  # type: ignore[no-untyped-call]
    losses_BT = token_losses(h_BTD, head_VD, y_BT, vocab)
    return losses_BT.sum() / (y_BT != IGNORED).sum()


def token_losses(h_BTD: Tensor, head_VD: Tensor, y_BT: Tensor, vocab: int) -> Tensor:
    """Return the loss of each token (BT), in nats and float32, without gradients.

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
    """Mean cross-entropy; its forward pass also computes the gradients, backward scales them."""

    @staticmethod
    def forward(ctx: Any, h_ND: Tensor, head_VD: Tensor, y_N: Tensor, vocab: int) -> Tensor:
        """Return the mean loss, and save its gradients for `h` and the head."""
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
        """Scale the gradients that the forward pass computed.

        They are divided by the count only here: a probability divided by a million would underflow
        in fp16, but not after it is multiplied by the scale of the loss.
        """
        gh_ND, ghead_VD, count = ctx.saved_tensors
        scale = grads[0] / count
        return gh_ND * scale, (ghead_VD * scale).to(gh_ND.dtype), None, None


def _visit(h_CD: Tensor, head_VD: Tensor, y_C: Tensor, vocab: int) -> tuple[Tensor, Tensor]:
    """Return the loss of each token, and the gradient of its logits."""
    if torch.compiler.is_compiling() and h_CD.is_cuda:
        from webtext.model.gpt.softmax_kernel import softmax_gradient_

        logits_CV = h_CD @ head_VD.t()
        return softmax_gradient_(logits_CV, y_C, vocab), logits_CV
    logp_CV = _log_probabilities(h_CD, head_VD, vocab)
    return _losses(logp_CV, y_C), _gradient(logp_CV, y_C).to(h_CD.dtype)


def _chunks(h_ND: Tensor, y_N: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield chunks of nearly equal length.

    A chunk reads and writes the head's gradient once (V * D), and its logits (C * V): so C is
    proportional to D on a CPU, where only the cache matters, and large on a GPU.
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
    """Return the gradient of the logits, in place: probability, minus one at the right token."""
    g_CV = logp_CV.exp_()
    g_CV[torch.arange(len(y_C), device=y_C.device), y_C.clamp(min=0)] -= 1
    return g_CV.masked_fill_((y_C == IGNORED)[:, None], 0)
