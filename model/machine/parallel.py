"""One process or several: which windows each reads, and how they communicate.

Under torchrun every process trains on a share of each batch. The windows of a step are divided in
order, so that together the processes read the same windows as a single process.
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

PAUSE = 0.02  # seconds between two reads of the board


@dataclass(frozen=True)
class Board:
    """Messages between processes, in the store of their rendezvous.

    Unlike a collective, a message needs no receiver at that time: a process that stops writes it
    and exits, and those that wait for it read the message, instead of seeing a broken connection.
    """

    store: Any  # a torch.distributed.Store
    size: int

    def meet(self) -> None:
        """Wait until all processes have called this as often as this one: a barrier.

        Raises:
            ElsewhereError: one of them has stopped.
        """
        number = self.store.add("arrivals", 1)
        wanted = -(-number // self.size) * self.size
        while self.store.add("arrivals", 0) < wanted:
            if self.store.add("stops", 0):
                raise ElsewhereError(self.code())
            time.sleep(PAUSE)

    def stop(self, code: int) -> bool:
        """Write that this process stops with an exit code; return whether it is the first."""
        first: bool = self.store.add("stops", 1) == 1
        if first:
            self.store.set("code", str(code))
        return first

    def code(self) -> int:
        """Return the exit code of the first process that stopped."""
        return int(self.store.get("code"))


@dataclass(frozen=True)
class Group:
    """This process's place among the processes that train together."""

    rank: int = 0
    size: int = 1
    local: int = 0  # its rank on its own machine, and its device's number
    device: str = "cpu"  # on which exchanged tensors must be
    board: Board | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return this process's slice of a step's windows.

        Raises:
            UserError: they cannot be divided evenly, so the mean gradient would be wrong.
        """
        share = each(count, self.size)
        return slice(self.rank * share, (self.rank + 1) * share)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def sum(self, gradients: Sequence[Tensor | None]) -> None:
        """Replace the gradients by their sums over all processes (all-reduce)."""
        if self.size > 1:
            pending = [dist.all_reduce(g, async_op=True) for g in gradients if g is not None]
            for one in pending:
                one.wait()

    def any(self, asked: bool) -> bool:
        """Whether `asked` is true in at least one process."""
        if self.size == 1:
            return asked
        return bool(self.total(torch.tensor(int(asked), device=self.device)))

    def wait(self) -> None:
        """Wait until all processes are here.

        Raises:
            ElsewhereError: one of them has stopped.
        """
        if self.board is not None:
            self.board.meet()


@contextmanager
def group(kind: str) -> Iterator[Group]:
    """Join the processes that torchrun started; without torchrun, a group of one process.

    An error is reported once: the first process that stops raises its own error, and the others
    raise ElsewhereError, which is not printed. At the end all processes wait for each other, so
    that none exits while the first still writes.

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
    """Write that this process stops, or find out that it stops because another did.

    Raises:
        ElsewhereError: another process has stopped first.
    """
    if isinstance(error, ElsewhereError):
        return
    code = 2 if isinstance(error, UserError) else 130 if isinstance(error, KeyboardInterrupt) else 1
    try:
        first = board.stop(code)
        code = board.code()
    except RuntimeError:  # the store is gone too, so nobody can read a message
        return
    if not first:
        raise ElsewhereError(code) from None


def shard(model: nn.Module, dtype: torch.dtype) -> None:
    """Shard the weights of every layer, and so the optimiser's state, over the processes (FSDP).

    Weights are gathered in `dtype` for the computation; gradients are summed in float32.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for block in model.h:  # type: ignore[union-attr]
        fully_shard(block, mp_policy=policy)
    fully_shard(model, mp_policy=policy)


@contextmanager
def gradients(model: nn.Module, shared: bool) -> Iterator[None]:
    """Delay the exchange of gradients of sharded weights until the last microbatch of a step."""
    exchange = getattr(model, "set_requires_gradient_sync", None)  # FSDP2 adds it to the model
    if exchange is not None:
        exchange(shared)
    yield


def clip(parameters: Sequence[nn.Parameter], most: float) -> Tensor:
    """Clip the gradient to a norm of `most` (0: no clipping); return the norm before."""
    norm = nn.utils.clip_grad_norm_(parameters, most or torch.inf)
    return whole(norm)


def whole(tensor: Tensor) -> Tensor:
    """Return the full tensor, of which each process may hold only a shard."""
    if dist.is_available() and dist.is_initialized():
        from torch.distributed.tensor import DTensor

        if isinstance(tensor, DTensor):
            return tensor.full_tensor()
    return tensor


def like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a full tensor on the device of `parameter`, sharded alike if the shapes are equal."""
    tensor = tensor.to(parameter.device)
    if hasattr(parameter, "full_tensor") and tensor.shape == parameter.shape:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)  # type: ignore[attr-defined]
    return tensor


def shared(model: nn.Module) -> bool:
    """Whether the weights are sharded over the processes."""
    return any(hasattr(parameter, "full_tensor") for parameter in model.parameters())


def fitted(tensor: Tensor, shape: torch.Size) -> Tensor:
    """Return a matrix with as many rows as wanted; new rows are zero.

    The padding of the vocabulary is always zero: its gradient is zero, and decay keeps it so.
    """
    if tensor.dim() != 2 or tensor.shape == shape:
        return tensor
    rows = min(len(tensor), shape[0])
    padded = tensor.new_zeros(shape)
    padded[:rows] = tensor[:rows]
    return padded
