"""Which tokens may see which, where none is to see a document before its own."""

# Shape suffixes:
#   B = windows, T = tokens; Q = blocks of queries, N = blocks of keys

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from webtext.model.settings import END_OF_TEXT

BLOCK = 128  # tokens that FlexAttention takes or leaves together; its own default

Mask = Tensor | BlockMask


def document_mask(x_BT: Tensor, *, blocks: bool = True) -> Mask:
    """Return which tokens may see which, in the form that is fastest where it is asked for.

    Compiled code on a GPU skips whole blocks by FlexAttention (not if `blocks` is False: it knows
    no dropout); elsewhere a mask of all pairs is as good.
    """
    fit = x_BT.is_cuda and x_BT.shape[1] % BLOCK == 0
    if blocks and fit and torch.compiler.is_compiling():
        return block_mask(x_BT)
    return same_document(x_BT)


def block_mask(x_BT: Tensor) -> BlockMask:
    """Return the same as `same_document`, by blocks of queries and of keys.

    Where a query's document starts says which keys it sees, so the first and the last query of a
    block tell of each block of keys whether it is seen in part, whole or not at all: no mask of all
    pairs is made.
    """
    start_BT = document_starts(x_BT)
    ends_BQ2 = start_BT.view(len(x_BT), -1, BLOCK)[:, :, [0, -1]]
    block_N = torch.arange(ends_BQ2.shape[1], device=x_BT.device)
    before_QN, same_QN = block_N[:, None] > block_N, block_N[:, None] == block_N
    seen_BQN = (before_QN | same_QN) & (ends_BQ2[:, :, :1] < (block_N + 1) * BLOCK)
    whole_BQN = before_QN & (ends_BQ2[:, :, 1:] <= block_N * BLOCK)

    def visible(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:  # noqa: ARG001
        return (k <= q) & (k >= start_BT[b, q])

    return BlockMask.from_kv_blocks(
        *_listed(seen_BQN & ~whole_BQN), *_listed(whole_BQN), BLOCK_SIZE=BLOCK, mask_mod=visible
    )


def _listed(chosen_BQN: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many blocks of keys each block of queries has chosen, and which: those first."""
    chosen_B1QN = chosen_BQN[:, None].int()
    order_B1QN = chosen_B1QN.argsort(dim=-1, descending=True, stable=True)
    return chosen_B1QN.sum(-1, dtype=torch.int32), order_B1QN.int()


def same_document(x_BT: Tensor) -> Tensor:
    """Return which tokens may see which (B1TT): those before them, in the same document.

    >>> same_document(torch.tensor([[7, END_OF_TEXT, 8]])).int().tolist()
    [[[[1, 0, 0], [0, 1, 0], [0, 1, 1]]]]
    """
    k_T = torch.arange(x_BT.shape[1], device=x_BT.device)
    seen_BTT = (k_T <= k_T[:, None]) & (k_T >= document_starts(x_BT)[:, :, None])
    return seen_BTT[:, None]


def document_starts(x_BT: Tensor) -> Tensor:
    """Return where each token's document starts in its window (BT, int32).

    >>> document_starts(torch.tensor([[7, END_OF_TEXT, 8]])).tolist()
    [[0, 1, 1]]
    """
    place_T = torch.arange(x_BT.shape[1], dtype=torch.int32, device=x_BT.device)
    return place_T.where(x_BT == END_OF_TEXT, 0).cummax(1).values
