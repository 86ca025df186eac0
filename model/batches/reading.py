"""The microbatches of each step, read in the background while the step before is computed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from webtext.model.batches.data import Batches, Ints
from webtext.model.gpt.loss import IGNORED


@dataclass(frozen=True)
class Part:
    """A microbatch: the windows that a process computes at once, on the device."""

    step: int
    x_BT: Tensor  # the tokens
    y_BT: Tensor  # the next token of each
    windows: int  # their number; further rows are padding, in which nothing is predicted


class Reader:
    """Divides the windows of each step into microbatches of the same shape.

    A last microbatch with fewer windows is padded, because code is compiled for one shape.
    """

    def __init__(self, batches: Batches, size: int, place: torch.device) -> None:
        """Read `size` windows at a time from `batches`, for the device `place`."""
        self.batches, self.size, self.place = batches, size, place

    def parts(self, step: int, windows: Ints) -> Iterator[Part]:
        """Yield the microbatches of these windows; `step` is only noted in each."""
        for start in range(0, len(windows), self.size):
            yield self.part(step, windows[start : start + self.size])

    def part(self, step: int, windows: Ints) -> Part:
        """Read one microbatch; on CUDA the copy to the device may still run after the return."""
        found = self.batches.tokens(windows)
        rows = np.full((self.size, found.shape[1]), 0, dtype=np.int64)
        rows[: len(found)] = found
        x_BT = torch.from_numpy(rows)
        y_BT = x_BT[:, 1:].clone()
        y_BT[len(found) :] = IGNORED
        return Part(step, self._sent(x_BT[:, :-1]), self._sent(y_BT), len(found))

    def _sent(self, tokens: Tensor) -> Tensor:
        tokens = tokens.contiguous()
        if self.place.type == "cuda":
            return tokens.pin_memory().to(self.place, non_blocking=True)
        return tokens.to(self.place)

    def ahead(self, first: int, steps: int, mine: slice) -> Iterator[list[Part]]:
        """Yield the microbatches of each step; meanwhile those of the next step are read.

        `mine` selects this process's windows of a step.
        """

        def read(step: int) -> list[Part]:
            return list(self.parts(step, self.batches.windows(step)[mine]))

        with ThreadPoolExecutor(1, thread_name_prefix="reading") as beside:
            pending = beside.submit(read, first) if first < steps else None
            for step in range(first, steps):
                assert pending is not None
                parts = pending.result()
                pending = beside.submit(read, step + 1) if step + 1 < steps else None
                yield parts
