"""nanoGPT's model and optimiser, and the step of its train.py."""

import importlib.util
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from webtext.model.settings import GPT2


class NanoGPT:
    """nanoGPT's own code, without biases as in its train.py; on CUDA compiled, and in bf16."""

    def __init__(
        self, gpt: GPT2, windows: int, tokens: Path, source: Path, device: str, parts: int = 1
    ) -> None:
        """Load model.py from `source`; a step has `parts` microbatches of `windows` windows."""
        spec = importlib.util.spec_from_file_location("nanogpt_model", source)
        assert spec is not None
        assert spec.loader is not None
        code = importlib.util.module_from_spec(spec)
        sys.modules["nanogpt_model"] = code
        spec.loader.exec_module(code)
        self.cuda = device == "cuda"
        if self.cuda:
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        shape = {"n_layer": gpt.layers, "n_head": gpt.heads, "n_embd": gpt.width}
        shape |= {"block_size": gpt.context, "vocab_size": gpt.padded_vocab}
        model = code.GPT(code.GPTConfig(**shape, dropout=0.0, bias=False)).to(device)
        self.mover = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), device)
        self.weights = list(model.parameters())
        self.called = torch.compile(model) if self.cuda else model
        self.scaler = torch.amp.GradScaler(device, enabled=False)
        self.context, self.windows, self.parts = gpt.context, windows, parts
        self.tokens, self.device = tokens, device
        self.next = self.batch()

    def batch(self) -> tuple[Tensor, Tensor]:
        """Draw windows as nanoGPT's get_batch does."""
        data = np.memmap(self.tokens, dtype=np.uint16, mode="r", offset=1024)
        places = torch.randint(len(data) - self.context - 1, (self.windows,))
        x, y = (
            torch.stack(
                [
                    torch.from_numpy(data[i + after : i + after + self.context].astype(np.int64))
                    for i in places
                ]
            )
            for after in (0, 1)
        )
        if not self.cuda:
            return x, y
        return tuple(t.pin_memory().to(self.device, non_blocking=True) for t in (x, y))  # type: ignore[return-value]

    def step(self) -> float:
        """Run a step; return the loss of its last microbatch."""
        floats = torch.autocast("cuda", torch.bfloat16) if self.cuda else nullcontext()
        for _ in range(self.parts):
            with floats:
                _, loss = self.called(*self.next)
                loss = loss / self.parts
            self.next = self.batch()
            self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.mover)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.scaler.step(self.mover)
        self.scaler.update()
        self.mover.zero_grad(set_to_none=True)
        return float(loss.item()) * self.parts
