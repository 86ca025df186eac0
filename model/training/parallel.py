"""One process or several: who reads what, and how they agree.

Under torchrun every process trains a part of each batch. The windows of a step are dealt out in
order, so that together the processes read what one alone would have read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from webtext.model.errors import UserError


@dataclass(frozen=True)
class Group:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1
    local: int = 0  # its rank on its own machine, and its device's number
    device: str = "cpu"  # where what is exchanged must lie

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return which of a step's windows are this process's.

        Raises:
            UserError: they cannot be dealt out evenly, so the mean gradient would be wrong.
        """
        if count % self.size:
            raise UserError(
                f"{count} windows a step do not deal out to {self.size} processes; change "
                f"train.batch_tokens, or start a number of processes that divides {count}"
            )
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, asked: bool) -> bool:
        """Whether it holds in one process or more."""
        return bool(self.total(torch.tensor(int(asked), device=self.device)))

    def wait(self) -> None:
        """Let no process go on before all are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def group(kind: str) -> Iterator[Group]:
    """Join the processes that torchrun started; alone where it started none."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield Group()
        return
    local = dist.get_node_local_rank()
    if kind == "cuda":
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        device = f"cuda:{local}" if kind == "cuda" else "cpu"
        yield Group(dist.get_rank(), dist.get_world_size(), local, device)
    finally:
        dist.destroy_process_group()


def spread(model: nn.Module, how: str, group: Group) -> nn.Module:
    """Return what to call in place of `model`, so that gradients are the mean of all processes'."""
    if group.size == 1:
        return model
    if how == "fsdp":
        return _shard(model)
    return DistributedDataParallel(model, gradient_as_bucket_view=True)  # else a copy of them all


def _shard(model: nn.Module) -> nn.Module:
    """Let each process hold its part of every layer's weights, and of what AdamW remembers."""
    from torch.distributed.fsdp import fully_shard

    for block in model.h:  # type: ignore[union-attr]
        fully_shard(block)
    fully_shard(model)
    return model


@contextmanager
def gradients(model: nn.Module, shared: bool) -> Iterator[None]:
    """Hold back the exchange of gradients until the last part of a batch."""
    if isinstance(model, DistributedDataParallel) and not shared:
        with model.no_sync():
            yield
        return
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
