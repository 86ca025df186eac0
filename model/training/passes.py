"""Forward and backward pass of a microbatch, in the fastest way that the device allows.

The weights and the sums of their gradients are always float32. In 16 bits, the passes use a copy of
the matrices that is made once a step, because casting them for each microbatch would cost a
twentieth of a step. On CUDA the copy is compiled, and the kernels of one microbatch, forward and
backward, are captured once as a CUDA graph and then replayed: launching each alone leaves gaps.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from webtext.model.gpt.gpt import GPT
from webtext.model.machine.device import Precision
from webtext.model.machine.parallel import Group, gradients, shard

COMPILED_ON = ("cuda",)  # kinds of device on which compiled code is worth its compilation
BACKEND = "inductor"  # torch's own compiler
# Above this width the compiler turns a norm into a loop, in which torch before 2.14 lacks a barrier
# between writing a value and reading it back (pytorch 190517). The fault does not occur if loops
# keep the order in which they are written.
RACE_ABOVE, RACE_BEFORE = 1024, (2, 14)


@dataclass(frozen=True)
class Recorded:
    """The CUDA graph of one microbatch, and the buffers from which it reads its inputs."""

    graph: torch.cuda.CUDAGraph
    x_BT: Tensor
    y_BT: Tensor
    share: Tensor
    sums: tuple[Tensor, ...]  # of the gradients, to which the kernels add


class Passes:
    """Runs the model in training, or a copy of it in 16 bits, compiled or not."""

    def __init__(
        self,
        model: GPT,
        precision: Precision,
        *,
        compiled: bool = False,
        how: str = "ddp",
        group: Group | None = None,
    ) -> None:
        """Prepare the model to call; `how` is the setting `parallel`, for several processes."""
        self.group = group or Group()
        self.scaler = precision.scaler()
        self.sharded = how == "fsdp" and self.group.size > 1
        self.weights = list(model.parameters())
        self.pairs: list[tuple[nn.Parameter, nn.Parameter]] = []  # each weight and its copy
        self.called, self.compiled = model, False
        if not self.sharded and precision.dtype != torch.float32:
            self.called, self.pairs = in_16_bits(model, precision.dtype)
        self._collect = collect
        if compiled and precision.device.type in COMPILED_ON:
            self._compile()
        if self.sharded:
            shard(self.called, precision.dtype)
            self.weights = list(model.parameters())  # sharding has replaced them
        self.loss = torch.zeros((), device=precision.device)  # the sum since `begin`
        self._recorded: Recorded | None = None

    def _compile(self) -> None:
        how = how_to_compile(self.called.settings.width)
        for part in self.called.h if self.sharded else [self.called]:
            part.compile(**how)
        self._collect = torch.compile(collect, **how)
        self.compiled = True

    def leave_compiling(self) -> None:
        """Use eager code from now on."""
        for part in self.called.modules():
            part._compiled_call_impl = None  # noqa: SLF001 (what nn.Module.compile sets)
        self._collect = collect
        self._recorded, self.compiled = None, False

    @contextmanager
    def eager(self) -> Iterator[None]:
        """Use eager code within this context."""
        recorded, self._recorded = self._recorded, None
        try:
            with torch.compiler.set_stance("force_eager"):
                yield
        finally:
            self._recorded = recorded

    def begin(self) -> None:
        """Set loss and gradients to zero."""
        self.loss.zero_()
        if self._recorded is None:
            for weight in self.weights:
                weight.grad = None
            return
        for weight, total in zip(self.weights, self._recorded.sums, strict=True):
            weight.grad = total
        torch._foreach_zero_(self._recorded.sums)

    def add(self, x_BT: Tensor, y_BT: Tensor, share: float, last: bool = True) -> None:
        """Add a microbatch's loss, times `share`, and its gradient to the sums.

        `last` marks the last microbatch of a step: only then do processes exchange gradients.
        """
        played = self._recorded
        if played is not None and played.x_BT.shape == x_BT.shape:
            played.x_BT.copy_(x_BT)
            played.y_BT.copy_(y_BT)
            played.share.fill_(share)
            played.graph.replay()
        else:
            with gradients(self.called, shared=last):
                self._through(x_BT, y_BT, share)
        if last and not self.sharded:
            self.group.sum([weight.grad for weight in self.weights])

    def _through(self, x_BT: Tensor, y_BT: Tensor, share: float | Tensor) -> None:
        loss = self.called(x_BT, y_BT) * share
        # FSDP takes the mean of gradients over the processes, but `share` is of all windows.
        self.scaler.scale(loss * self.group.size if self.sharded else loss).backward()
        with torch.no_grad():
            self.loss += loss.detach()
            if self.pairs:
                for weight, _ in self.pairs:
                    if weight.grad is None:
                        weight.grad = torch.zeros_like(weight)
                sums, found = zip(*((w.grad, half.grad) for w, half in self.pairs), strict=True)
                self._collect(sums, found)
                for _, half in self.pairs:
                    half.grad = None

    def record(self, x_BT: Tensor, y_BT: Tensor) -> None:
        """Capture a CUDA graph of a microbatch of this shape, and replay it from now on.

        Does nothing if weights are sharded or nothing is compiled, because kernels may then wait
        for the host.

        Raises:
            RuntimeError: a kernel cannot be captured.
        """
        if self.sharded or not self.compiled or not x_BT.is_cuda or self.scaler.is_enabled():
            return
        static = (x_BT.clone(), y_BT.clone(), torch.zeros((), device=x_BT.device))
        sums = tuple(torch.zeros_like(weight) for weight in self.weights)
        for weight, total in zip(self.weights, sums, strict=True):
            weight.grad = total
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):  # compiles, and chooses kernels, before the capture
            for _ in range(2):
                self._through(*static)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._through(*static)
        self._recorded = Recorded(graph, *static, sums)

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the current weights into their copies in 16 bits."""
        if self.pairs:
            weights, copies = zip(*self.pairs, strict=True)
            torch._foreach_copy_(copies, weights)

    def measure(self, x_BT: Tensor, y_BT: Tensor) -> Tensor:
        """Return the mean loss of a microbatch, without gradients or dropout."""
        self.called.eval()
        with torch.no_grad():
            loss: Tensor = self.called(x_BT, y_BT)
        self.called.train()
        return loss


def in_16_bits(
    model: GPT, dtype: torch.dtype
) -> tuple[GPT, list[tuple[nn.Parameter, nn.Parameter]]]:
    """Return a copy of `model` with its matrices in `dtype`, and the pairs of weight and copy.

    Norms and biases, which are small, are not copied: the copy shares those of `model`.
    """
    twins = {
        p: nn.Parameter(p.detach().to(dtype)) if p.dim() > 1 else p for p in model.parameters()
    }
    called = copy.deepcopy(model, {id(p): twin for p, twin in twins.items()})
    return called, [(p, twin) for p, twin in twins.items() if p is not twin]


def collect(sums: tuple[Tensor, ...], found: tuple[Tensor, ...]) -> None:
    """Add gradients in 16 bits to sums in 32."""
    for total, one in zip(sums, found, strict=True):
        total.add_(one)


def how_to_compile(width: int) -> dict[str, Any]:
    """Return the arguments of `torch.compile` for a model of this width."""
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    way_round = {"loop_ordering_after_fusion": False}
    risky = width > RACE_ABOVE and version < RACE_BEFORE and BACKEND == "inductor"
    return {"backend": BACKEND, "dynamic": False, "options": way_round if risky else None}
