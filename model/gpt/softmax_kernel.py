"""The only handwritten kernel: softmax, its loss and its gradient in one pass over the logits.

It is written in Triton, which is part of torch's builds for CUDA. The kernel that torch's compiler
generates reads the logits three times. Here a row (100 kB) stays in the cache of the multiprocessor
that works on it, so the logits are read once, and the gradient overwrites them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

COLUMNS = 4096  # of a row that are processed at once: the fastest of 2,048 to 65,536 on an H200
WARPS = 4  # as fast as 8, and faster than 16 or 32


@triton.jit
def _visit(logits, y, losses, width, vocab, columns: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    logits += row * width
    right = tl.load(y + row)
    most = float("-inf")
    total = 0.0
    for start in range(0, vocab, columns):
        column = start + tl.arange(0, columns)
        x = tl.load(logits + column, mask=column < vocab, other=float("-inf")).to(tl.float32)
        higher = tl.maximum(most, tl.max(x, 0))
        total = total * tl.exp(most - higher) + tl.sum(tl.exp(x - higher), 0)
        most = higher
    log_total = most + tl.log(total)
    counts = right >= 0
    at_right = tl.load(logits + tl.where(counts, right, 0)).to(tl.float32)
    tl.store(losses + row, tl.where(counts, log_total - at_right, 0.0))
    tl.debug_barrier()  # the right token's logit must be read before the gradient overwrites it
    for start in range(0, width, columns):
        column = start + tl.arange(0, columns)
        x = tl.load(logits + column, mask=column < vocab, other=float("-inf")).to(tl.float32)
        gradient = tl.exp(x - log_total) - tl.where(column == right, 1.0, 0.0)
        gradient = tl.where(counts, gradient, 0.0)
        tl.store(logits + column, gradient.to(logits.dtype.element_ty), mask=column < width)


def softmax_gradient_(logits_CV: Tensor, y_C: Tensor, vocab: int) -> Tensor:
    """Return the cross-entropy of each row (C, float32); replace the logits by their gradient.

    Columns from `vocab` on are padding and their gradient is 0; where `y` is negative, loss and
    gradient are 0.
    """
    losses_C = torch.empty(len(y_C), dtype=torch.float32, device=y_C.device)
    _visit[(len(y_C),)](
        logits_CV, y_C, losses_C, logits_CV.shape[1], vocab, columns=COLUMNS, num_warps=WARPS
    )
    return losses_C
