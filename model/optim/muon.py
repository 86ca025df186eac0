"""Muon: momentum that is orthogonalised, for the hidden matrices of a model.

Source: Jordan et al. (2024), Muon, an optimizer for hidden layers in neural networks; decay and
scale, Liu et al. (2025), Muon is Scalable for LLM Training. It computes the same as
`torch.optim.Muon` with adjust_lr_fn = "match_rms_adamw", but batches the matrices of one shape: a
dozen large kernels replace thousands of small ones, whose launches would keep a GPU waiting.
"""

# Shape suffixes:
#   G = matrices of one shape, R = rows, C = columns, R <= C

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

# Coefficients of the quintic iteration, and its number of iterations. Source: Jordan et al. (2024)
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
EPS = 1e-7
SCALE = 0.2  # the usual root mean square of AdamW's update. Source: Liu et al. (2025), section 2.2
AT_ONCE = 1 << 26  # numbers orthogonalised together: limits the memory to 128 MiB in bf16


class Muon(Optimizer):
    """Updates matrices; a weight's state is its `momentum_buffer`, as in torch's own Muon.

    `parts` of a group is the number of matrices that are stacked by rows in each of its weights;
    each is orthogonalised by itself. The learning rate may be a number or a tensor.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        *,
        dtype: torch.dtype | None = None,
        compiled: bool = False,
    ) -> None:
        """Take the weights; updates are orthogonalised in `dtype`, or a fast one if it is None.

        Raises:
            ValueError: a weight is not a matrix, or its rows do not divide into its parts.
        """
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "parts": 1}
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2 or p.shape[0] % group["parts"]:
                    shape = tuple(p.shape)
                    raise ValueError(f"a weight of {shape} is not {group['parts']} matrices")
        self.dtype = dtype
        self.orthogonal: Callable[[Tensor], Tensor] = orthogonal
        if compiled:
            self.orthogonal = torch.compile(orthogonal, dynamic=False)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights that have a gradient."""
        assert closure is None, "the gradient is there already"
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    alike[min(p.shape, p.shape[::-1])].append(p)
            for weights in alike.values():
                each = max(1, AT_ONCE // weights[0].numel())
                for start in range(0, len(weights), each):
                    self._move(weights[start : start + each], group)

    def _move(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Update weights of one shape; some may be transposed."""
        parts, lr = group["parts"], group["lr"]
        grads = [p.grad for p in weights if p.grad is not None]
        momenta = [self._momentum(p) for p in weights]
        torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
        ahead = torch._foreach_lerp(grads, momenta, group["momentum"])  # noqa: SLF001 -- its only name
        views = [lying(x.view(parts, -1, x.shape[1])) for x in ahead]
        dtype = self.dtype or fast(weights[0])
        made_GRC = self.orthogonal(torch.cat([x.to(dtype) for x in views]))
        rows, columns = made_GRC.shape[1:]
        scaled_GRC = made_GRC.to(weights[0].dtype) * (lr * SCALE * math.sqrt(max(rows, columns)))
        moves = [
            (x if p.shape[0] // parts <= p.shape[1] else x.mT).reshape(p.shape)
            for x, p in zip(scaled_GRC.unflatten(0, (-1, parts)), weights, strict=True)
        ]
        torch._foreach_mul_(weights, 1 - lr * group["weight_decay"])
        torch._foreach_sub_(weights, moves)

    def _momentum(self, p: Tensor) -> Tensor:
        state = self.state[p]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(p)
        found: Tensor = state["momentum_buffer"]
        return found


def lying(x_GXY: Tensor) -> Tensor:
    """Return matrices, transposed if they have more rows than columns."""
    return x_GXY if x_GXY.shape[1] <= x_GXY.shape[2] else x_GXY.mT


def orthogonal(x_GRC: Tensor) -> Tensor:
    """Return matrices with the same singular vectors, and singular values near 1 (.7 to 1.2).

    This is the Newton-Schulz iteration; a more exact one takes longer and learns no better.
    """
    x_GRC = x_GRC / x_GRC.norm(dim=(1, 2), keepdim=True).clamp(min=EPS)
    for _ in range(ITERATIONS):
        gram_GRR = x_GRC @ x_GRC.mT
        gram_GRR = torch.baddbmm(gram_GRR, gram_GRR, gram_GRR, beta=B, alpha=C)
        x_GRC = torch.baddbmm(x_GRC, gram_GRR, x_GRC, beta=A)
    return x_GRC


def fast(like: Tensor) -> torch.dtype:
    """Return bf16 on a GPU, whose tensor cores compute it; elsewhere the dtype of `like`."""
    return torch.bfloat16 if like.is_cuda else like.dtype
