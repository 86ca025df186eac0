"""The loss on the val split of any directory of tokens, the model's own or another."""

from pathlib import Path

import numpy as np
import torch

from webtext.model.batches.data import Batches, Stream
from webtext.model.eval.score import TOKENS, Tell, untold
from webtext.model.gpt.gpt import GPT


@torch.no_grad()
def held_out(model: GPT, tokens: Path, most: int, tell: Tell = untold) -> tuple[float, int]:
    """Return the mean loss in nats on up to `most` tokens, and how many they were.

    The windows are spread evenly over the split, because the pages of a site are side by side.

    Raises:
        UserError: the split is shorter than a window, or of another vocabulary.
    """
    gpt = model.settings
    batches = Batches(Stream(tokens, "val"), gpt.context, 1, 0, gpt.vocab)
    count = min(batches.count, max(1, most // gpt.context))
    windows = np.linspace(0, batches.count - 1, count).astype(np.int64)
    place = model.wte.weight.device
    total, size = 0.0, max(1, TOKENS // gpt.context)
    for start in range(0, count, size):
        rows_BT = torch.from_numpy(batches.tokens(windows[start : start + size])).to(place)
        total += float(model.losses(rows_BT[:, :-1], rows_BT[:, 1:]).double().sum())
        tell(min(start + size, count) * gpt.context, count * gpt.context)
    return total / (count * gpt.context), count * gpt.context
