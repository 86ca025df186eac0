"""The optimisers, and which weights each updates."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from webtext.model.errors import UserError
from webtext.model.optim.muon import Muon
from webtext.model.settings import Train

FUSED = ("cpu", "cuda", "mps")  # devices with a fused AdamW
THREE = "attn.c_attn.weight"  # holds three matrices: of queries, keys and values


def optimizers(model: nn.Module, settings: Train) -> list[Optimizer]:
    """Return AdamW for all weights, or Muon for the hidden matrices and AdamW for the others.

    Weight decay applies to matrices only, including the embeddings unless `embedding_decay` is off,
    but not to norms and biases. Source: Brown et al. (2020), appendix B, as nanoGPT and llm.c
    interpret it. `times` of a group is its factor on `lr`.

    Raises:
        UserError: Muon is asked for and the weights are sharded.
    """
    named = list(model.named_parameters())
    hidden = {name: p for name, p in named if p.dim() >= 2 and ".h." in f".{name}"}
    embeddings = [p for name, p in named if p.dim() >= 2 and name not in hidden]
    others = [p for _, p in named if p.dim() < 2]
    if settings.optimizer == "muon":
        return [muon(hidden, settings), adamw([], embeddings, others, settings)]
    return [adamw(list(hidden.values()), embeddings, others, settings)]


def adamw(
    matrices: list[nn.Parameter],
    embeddings: list[nn.Parameter],
    others: list[nn.Parameter],
    settings: Train,
) -> Optimizer:
    """Return AdamW, fused on the devices in `FUSED`. Source: Loshchilov and Hutter (2019)."""
    decay = settings.weight_decay
    groups = [
        {"params": matrices, "weight_decay": decay, "times": 1.0},
        {
            "params": embeddings,
            "weight_decay": decay if settings.embedding_decay else 0.0,
            "times": settings.embedding_lr,
        },
        {"params": others, "weight_decay": 0.0, "times": 1.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        fused=embeddings[0].device.type in FUSED,
    )


def muon(hidden: dict[str, nn.Parameter], settings: Train) -> Optimizer:
    """Return Muon, with updates scaled to AdamW's size so that both use one rate and decay.

    The matrices of queries, keys and values are stored as one, but orthogonalised separately.
    """
    if settings.parallel == "fsdp":
        raise UserError("train.optimizer = 'muon' needs whole matrices; use train.parallel = 'ddp'")
    three = [p for name, p in hidden.items() if name.endswith(THREE)]
    single = [p for name, p in hidden.items() if not name.endswith(THREE)]
    return Muon(
        [
            {"params": three, "parts": 3, "times": 1.0},
            {"params": single, "parts": 1, "times": 1.0},
        ],
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        compiled=settings.compile and single[0].is_cuda,
    )


def moments(
    model: nn.Module, used: list[Optimizer]
) -> Iterator[tuple[str, nn.Parameter, dict[str, Tensor]]]:
    """Yield the name of each weight, the weight, and its optimiser state (the dict in use)."""
    for name, parameter in model.named_parameters():
        for optimizer in used:
            if any(parameter is p for group in optimizer.param_groups for p in group["params"]):
                yield name, parameter, optimizer.state[parameter]
