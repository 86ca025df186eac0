"""One process or several: who reads what, and how they agree.

Under torchrun every process trains a part of each batch. The windows of a step are dealt out in
order, so that together the processes read what one alone would have read.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from webtext.model.errors import ElsewhereError, UserError
from webtext.model.settings import each

PAUSE = 0.02  # seconds between two looks at the board


@dataclass(frozen=True)
class Board:
    """Where processes leave word for each other, in the store by which they found together.

    Unlike a collective it needs nobody to listen: a process that stops leaves word and goes, and
    those that wait for it find that out by the word, not by a connection that breaks.
    """

    store: Any  # a torch.distributed.Store
    size: int

    def meet(self) -> None:
        """Return when all processes have come here as often as this one.

        Raises:
            ElsewhereError: one of them will not come.
        """
        number = self.store.add("arrivals", 1)
        wanted = -(-number // self.size) * self.size
        while self.store.add("arrivals", 0) < wanted:
            if self.store.add("stops", 0):
                raise ElsewhereError(self.code())
            time.sleep(PAUSE)

    def stop(self, code: int) -> bool:
        """Say that this process stops, and with which exit code; return whether it is the first."""
        first: bool = self.store.add("stops", 1) == 1
        if first:
            self.store.set("code", str(code))
        return first

    def code(self) -> int:
        """Return the exit code of the first that stopped."""
        return int(self.store.get("code"))


@dataclass(frozen=True)
class Group:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1
    local: int = 0  # its rank on its own machine, and its device's number
    device: str = "cpu"  # where what is exchanged must lie
    board: Board | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return which of a step's windows are this process's.

        Raises:
            UserError: they cannot be dealt out evenly, so the mean gradient would be wrong.
        """
        share = each(count, self.size)
        return slice(self.rank * share, (self.rank + 1) * share)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def sum(self, gradients: Sequence[Tensor | None]) -> None:
        """Put the sum of all processes' gradients in place of this process's."""
        if self.size > 1:
            pending = [dist.all_reduce(g, async_op=True) for g in gradients if g is not None]
            for one in pending:
                one.wait()

    def any(self, asked: bool) -> bool:
        """Whether it holds in one process or more."""
        if self.size == 1:
            return asked
        return bool(self.total(torch.tensor(int(asked), device=self.device)))

    def wait(self) -> None:
        """Let no process go on before all are here.

        Raises:
            ElsewhereError: one has stopped.
        """
        if self.board is not None:
            self.board.meet()


@contextmanager
def group(kind: str) -> Iterator[Group]:
    """Join the processes that torchrun started; alone where it started none.

    What one process cannot go on for is told once: the first that stops raises its own error, the
    others, whatever that does to them, raise one that says nothing. At the end all wait for all, so
    that none leaves while the first still writes.

    Raises:
        ElsewhereError: another process has stopped first.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield Group()
        return
    local = dist.get_node_local_rank()
    if kind == "cuda":
        torch.cuda.set_device(local)
    distributed: Any = dist  # whose stub lacks the next two
    store, rank, size = next(distributed.rendezvous("env://"))
    dist.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        store=distributed.PrefixStore("collectives", store),
        rank=rank,
        world_size=size,
    )
    board = Board(distributed.PrefixStore("board", store), size)
    try:
        yield Group(rank, size, local, f"cuda:{local}" if kind == "cuda" else "cpu", board)
        board.meet()
    except BaseException as error:
        _leave(board, error)
        raise
    finally:
        dist.destroy_process_group()


def _leave(board: Board, error: BaseException) -> None:
    """Leave word that this process stops, or learn that another did and that this is why.

    Raises:
        ElsewhereError: so it is.
    """
    if isinstance(error, ElsewhereError):
        return
    code = 2 if isinstance(error, UserError) else 130 if isinstance(error, KeyboardInterrupt) else 1
    try:
        first = board.stop(code)
        code = board.code()
    except RuntimeError:  # the store is gone too, so there is nobody to tell
        return
    if not first:
        raise ElsewhereError(code) from None


def shard(model: nn.Module, dtype: torch.dtype) -> None:
    """Let each process hold its part of every layer's weights, and of what the optimiser remembers.

    What is gathered to be computed with is in `dtype`; gradients are summed in float32.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for block in model.h:  # type: ignore[union-attr]
        fully_shard(block, mp_policy=policy)
    fully_shard(model, mp_policy=policy)


@contextmanager
def gradients(model: nn.Module, shared: bool) -> Iterator[None]:
    """Hold back the exchange of gradients of sharded weights until the last part of a batch."""
    exchange = getattr(model, "set_requires_gradient_sync", None)  # FSDP2 adds it to the model
    if exchange is not None:
        exchange(shared)
    yield


def clip(parameters: Sequence[nn.Parameter], most: float) -> Tensor:
    """Shrink the gradient to a norm of `most` (0: leave it); return the norm that it had."""
    norm = nn.utils.clip_grad_norm_(parameters, most or torch.inf)
    return whole(norm)


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor of which each process may hold a part."""
    if dist.is_available() and dist.is_initialized():
        from torch.distributed.tensor import DTensor

        if isinstance(tensor, DTensor):
            return tensor.full_tensor()
    return tensor


def like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a whole tensor as this process is to hold it, if it has the shape of `parameter`."""
    tensor = tensor.to(parameter.device)
    if hasattr(parameter, "full_tensor") and tensor.shape == parameter.shape:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)  # type: ignore[attr-defined]
    return tensor


def shared(model: nn.Module) -> bool:
    """Whether processes share the weights out among them."""
    return any(hasattr(parameter, "full_tensor") for parameter in model.parameters())


def fitted(tensor: Tensor, shape: torch.Size) -> Tensor:
    """Return a matrix with as many rows as wanted, those that are new zero.

    Which is what the vocabulary's padding is, always: its gradient is, and decay leaves zero.
    """
    if tensor.dim() != 2 or tensor.shape == shape:
        return tensor
    rows = min(len(tensor), shape[0])
    padded = tensor.new_zeros(shape)
    padded[:rows] = tensor[:rows]
    return padded
