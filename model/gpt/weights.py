"""Weights from and to the layout of transformers' GPT2LMHeadModel, which half the world reads.

There a linear layer is a Conv1D, whose matrix lies the other way round, and every name but the
head's begins with "transformer.". The head is the embedding and is not stored.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from webtext.model.errors import UserError
from webtext.model.files import replace, write_json
from webtext.model.gpt.gpt import END_OF_TEXT, EPS, GPT, empty
from webtext.model.settings import GPT2

TURNED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
PREFIX = "transformer."
# What older files carry beside the weights: masks that are constants, and the head again.
NOT_WEIGHTS = (".attn.bias", ".attn.masked_bias", "lm_head.weight")


def to_transformers(model: GPT) -> dict[str, Tensor]:
    """Return the weights under transformers' names, in its layout, without padding."""
    state = {}
    for name, parameter in model.named_parameters():
        tensor = parameter.detach().cpu()
        if name == "wte.weight":
            tensor = tensor[: model.settings.vocab]
        if name.endswith(TURNED):
            tensor = tensor.t()
        state[PREFIX + name] = tensor.contiguous()
    return state


def from_transformers(state: dict[str, Tensor], gpt: GPT2) -> GPT:
    """Return a model with these weights, be they named with or without "transformer.".

    Raises:
        UserError: a weight is missing, is one too many, or has another shape.
    """
    found = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in state.items()
        if not name.endswith(NOT_WEIGHTS)
    }
    model = empty(gpt)
    wanted = {name: p.shape for name, p in model.named_parameters()}
    if missing := sorted(wanted.keys() ^ found.keys()):
        raise UserError(
            f"the weights are not those of a GPT-2 of {gpt.layers} layers: "
            f"missing or one too many: {', '.join(missing[:5])}"
        )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            tensor = found[name].t() if name.endswith(TURNED) else found[name]
            rows = gpt.vocab if name == "wte.weight" else len(parameter)
            if tensor.shape != (rows, *parameter.shape[1:]):
                raise UserError(
                    f"{name} is of shape {tuple(tensor.shape)}; "
                    f"wanted {(rows, *parameter.shape[1:])}"
                )
            parameter.zero_()
            parameter[:rows] = tensor
    return model


def config(gpt: GPT2) -> dict[str, Any]:
    """Return transformers' config.json for this shape."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",  # its name for the tanh form
        "vocab_size": gpt.vocab,
        "n_positions": gpt.context,
        "n_ctx": gpt.context,
        "n_embd": gpt.width,
        "n_layer": gpt.layers,
        "n_head": gpt.heads,
        "attn_pdrop": gpt.dropout,
        "embd_pdrop": gpt.dropout,
        "resid_pdrop": gpt.dropout,
        "layer_norm_epsilon": EPS,
        "initializer_range": 0.02,
        "bos_token_id": min(END_OF_TEXT, gpt.vocab - 1),
        "eos_token_id": min(END_OF_TEXT, gpt.vocab - 1),
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }


def export(model: GPT, folder: Path) -> Path:
    """Write model.safetensors and its two configurations, which `from_pretrained(folder)` reads."""
    from safetensors.torch import save

    replace(
        folder / "model.safetensors",
        lambda file: file.write(save(to_transformers(model), metadata={"format": "pt"})),
    )
    found = config(model.settings)
    write_json(folder / "config.json", found)
    tokens = {name: found[name] for name in ("bos_token_id", "eos_token_id")}
    write_json(folder / "generation_config.json", {"_from_model_config": True, **tokens})
    return folder


def load(folder: Path) -> GPT:
    """Return a model from a directory as `export` or transformers' `save_pretrained` writes it.

    Raises:
        UserError: the files are not there, or not those of a GPT-2.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        state = load_file(weights)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename or weights}: no such file") from None
    except (ValueError, SafetensorError) as error:
        raise UserError(
            f"{folder}: config.json or model.safetensors is damaged ({error})"
        ) from None
    if found.get("model_type") != "gpt2":
        raise UserError(f"{folder}: model_type is {found.get('model_type')!r}, wanted 'gpt2'")
    if found.get("activation_function", "gelu_new") not in ("gelu_new", "gelu_pytorch_tanh"):
        raise UserError(
            f"{folder}: activation_function is {found['activation_function']!r}, "
            "wanted 'gelu_new', as GPT-2 was published"
        )
    gpt = GPT2(
        layers=found["n_layer"],
        heads=found["n_head"],
        width=found["n_embd"],
        context=found["n_positions"],
        vocab=found["vocab_size"],
        dropout=found.get("resid_pdrop", 0.0),
    )
    return from_transformers(state, gpt)
