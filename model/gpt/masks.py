"""Attention masks that keep each token from attending to the documents before its own."""

# Shape suffixes:
#   B = windows, T = tokens; Q = blocks of queries, N = blocks of keys

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from webtext.model.settings import END_OF_TEXT

BLOCK = 128  # tokens that FlexAttention computes or skips together; its own default

Mask = Tensor | BlockMask


def document_mask(x_BT: Tensor, *, blocks: bool = True, end: int = END_OF_TEXT) -> Mask:
    """Return the mask in the form that is fastest for the caller; documents begin at `end`.

    Compiled code on a GPU skips whole blocks with FlexAttention (not if `blocks` is False: it does
    not support dropout); elsewhere a mask of all pairs is as fast.
    """
    fit = x_BT.is_cuda and x_BT.shape[1] % BLOCK == 0
    if blocks and fit and torch.compiler.is_compiling():
        return block_mask(x_BT, end)
    return same_document(x_BT, end)


def block_mask(x_BT: Tensor, end: int = END_OF_TEXT) -> BlockMask:
    """Return the same as `same_document`, by blocks of queries and of keys.

    The start of a query's document decides which keys it sees. So the first and the last query of a
    block decide whether each block of keys is seen in part, completely or not at all, and a mask
    of all pairs is not needed.
    """
    start_BT = document_starts(x_BT, end)
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
    """Return how many key blocks each query block has chosen, and all key blocks: chosen first."""
    chosen_B1QN = chosen_BQN[:, None].int()
    order_B1QN = chosen_B1QN.argsort(dim=-1, descending=True, stable=True)
    return chosen_B1QN.sum(-1, dtype=torch.int32), order_B1QN.int()


def same_document(x_BT: Tensor, end: int = END_OF_TEXT) -> Tensor:
    """Return which tokens a token may attend to (B1TT): itself and earlier ones of its document.

    >>> same_document(torch.tensor([[7, END_OF_TEXT, 8]])).int().tolist()
    [[[[1, 0, 0], [0, 1, 0], [0, 1, 1]]]]
    """
    k_T = torch.arange(x_BT.shape[1], device=x_BT.device)
    seen_BTT = (k_T <= k_T[:, None]) & (k_T >= document_starts(x_BT, end)[:, :, None])
    return seen_BTT[:, None]


def document_starts(x_BT: Tensor, end: int = END_OF_TEXT) -> Tensor:
    """Return the position in the window at which the document of each token starts (BT, int32).

    >>> document_starts(torch.tensor([[7, END_OF_TEXT, 8]])).tolist()
    [[0, 1, 1]]
    """
    place_T = torch.arange(x_BT.shape[1], dtype=torch.int32, device=x_BT.device)
    return place_T.where(x_BT == end, 0).cummax(1).values
