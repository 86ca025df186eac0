"""The optimisers, and which weights each moves."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from webtext.model.errors import UserError
from webtext.model.settings import Train

FUSED = ("cpu", "cuda", "mps")  # devices with AdamW in one kernel


def optimizers(model: nn.Module, settings: Train) -> list[Optimizer]:
    """Return what moves all weights once: AdamW, or Muon with AdamW for what is no hidden matrix.

    Decay is on matrices only, the two embeddings among them: norms and biases have no length worth
    shrinking. Source: Brown et al. (2020), appendix B, as nanoGPT and llm.c read it.

    Raises:
        UserError: Muon is asked for and torch has none, or the weights are shared out.
    """
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    if settings.optimizer == "muon":
        hidden = [p for name, p in model.named_parameters() if p.dim() >= 2 and ".h." in f".{name}"]
        ids = {id(p) for p in hidden}
        rest = [p for p in matrices if id(p) not in ids]
        return [muon(hidden, settings), adamw(rest, others, settings)]
    return [adamw(matrices, others, settings)]


def adamw(matrices: list[nn.Parameter], others: list[nn.Parameter], settings: Train) -> Optimizer:
    """Return AdamW, in one kernel where there is one. Source: Loshchilov and Hutter (2019)."""
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups,
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        fused=others[0].device.type in FUSED,
    )


def muon(hidden: list[nn.Parameter], settings: Train) -> Optimizer:
    """Return Muon with its updates scaled to AdamW's size, so that one rate and decay serve both.

    Source: Jordan et al. (2024), Muon; the scale 0.2 sqrt(max(rows, columns)), Liu et al. (2025),
    Muon is Scalable for LLM Training.
    """
    if not hasattr(torch.optim, "Muon"):
        raise UserError(
            f"train.optimizer = 'muon': wanted torch 2.9 or later, is {torch.__version__}"
        )
    if settings.parallel == "fsdp":
        raise UserError("train.optimizer = 'muon' needs whole matrices; use train.parallel = 'ddp'")
    return torch.optim.Muon(
        hidden,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )


def moments(
    model: nn.Module, used: list[Optimizer]
) -> Iterator[tuple[str, nn.Parameter, dict[str, Tensor]]]:
    """Yield each weight's name, itself, and what its optimiser remembers of it (a live dict)."""
    for name, parameter in model.named_parameters():
        for optimizer in used:
            if any(parameter is p for group in optimizer.param_groups for p in group["params"]):
                yield name, parameter, optimizer.state[parameter]
