"""What the steps read, each part while the one before it is worked on."""

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
    """Windows that a process takes at once, on the device."""

    step: int
    x_BT: Tensor  # their tokens
    y_BT: Tensor  # and for each the one that follows it
    windows: int  # how many there are; the rest is padding, in which nothing is predicted


class Reader:
    """Cuts the windows of each step into parts that all have the same shape.

    A last part with fewer windows is filled up, since compiled code is made for one shape.
    """

    def __init__(self, batches: Batches, size: int, place: torch.device) -> None:
        """Read from `batches`, `size` windows at a time, for a device."""
        self.batches, self.size, self.place = batches, size, place

    def parts(self, step: int, windows: Ints) -> Iterator[Part]:
        """Yield what these windows hold; `step` is for the reader's own book."""
        for start in range(0, len(windows), self.size):
            yield self.part(step, windows[start : start + self.size])

    def part(self, step: int, windows: Ints) -> Part:
        """Read one part; on CUDA it is under way to the device when this returns."""
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
        """Yield the parts of each step; while they are worked on, those of the next are read.

        `mine` is which of a step's windows are this process's.
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
