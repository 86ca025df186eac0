"""The optimisers, and which weights each moves."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from webtext.model.errors import UserError
from webtext.model.optim.muon import Muon
from webtext.model.settings import Train

FUSED = ("cpu", "cuda", "mps")  # devices with AdamW in one kernel
THREE = "attn.c_attn.weight"  # the matrix that is three


def optimizers(model: nn.Module, settings: Train) -> list[Optimizer]:
    """Return what moves all weights once: AdamW, or Muon with AdamW for what is no hidden matrix.

    Decay is on matrices only, the embeddings among them unless `embedding_decay` is off: norms and
    biases have no length worth shrinking. Source: Brown et al. (2020), appendix B, as nanoGPT and
    llm.c read it. A group's `times` is what its rate is of `lr`.

    Raises:
        UserError: Muon is asked for and the weights are shared out.
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
    """Return AdamW, in one kernel where there is one. Source: Loshchilov and Hutter (2019)."""
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
    """Return Muon with its updates scaled to AdamW's size, so that one rate and decay serve both.

    Queries, keys and values are three matrices in one, and made orthogonal each by itself.
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
    """Yield each weight's name, itself, and what its optimiser remembers of it (a live dict)."""
    for name, parameter in model.named_parameters():
        for optimizer in used:
            if any(parameter is p for group in optimizer.param_groups for p in group["params"]):
                yield name, parameter, optimizer.state[parameter]
