"""Weights from and to the layout of transformers' GPT2LMHeadModel, which many programs read.

There a linear layer is a Conv1D, whose matrix is transposed, and every name except the head's
begins with "transformer.". The head is the embedding and is not stored.
"""

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from webtext.model.errors import UserError
from webtext.model.files import replace, write_json
from webtext.model.gpt.gpt import EPS, GPT, empty
from webtext.model.settings import GPT2

TURNED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
PREFIX = "transformer."
# Older files also contain the constant attention masks, and a copy of the head.
HEAD = "lm_head.weight"
NOT_WEIGHTS = (".attn.bias", ".attn.masked_bias", HEAD)

# Keys of transformers' config.json that change what the same weights compute: the default value in
# transformers, and the values for which the model is ours. Source: transformers,
# models/gpt2/configuration_gpt2.py and modeling_gpt2.py
OURS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "model_type": (None, ("gpt2",)),
    "activation_function": ("gelu_new", ("gelu_new", "gelu_pytorch_tanh")),
    "layer_norm_epsilon": (EPS, (EPS,)),
    "scale_attn_weights": (True, (True,)),
    "scale_attn_by_inverse_layer_idx": (False, (False,)),
    "reorder_and_upcast_attn": (False, (False,)),
    "add_cross_attention": (False, (False,)),
    "is_encoder_decoder": (False, (False,)),
    "pruned_heads": (None, (None, {})),
    "quantization_config": (None, (None,)),
    "auto_map": (None, (None,)),  # the model is defined by code in its own directory
}
# The shape: our names, transformers' names, and transformers' defaults.
SHAPE = {
    "layers": ("n_layer", 12),
    "heads": ("n_head", 12),
    "width": ("n_embd", 768),
    "context": ("n_positions", 1024),
    "vocab": ("vocab_size", 50_257),
}
# The files of the weights, the preferred first; a model in several files has an index instead.
FILES = ("model.safetensors", "pytorch_model.bin")
WANTED = "wanted a folder of config.json and weights, as transformers writes it"


def to_transformers(model: GPT) -> dict[str, Tensor]:
    """Return the weights under transformers' names, in its layout, without padding.

    Raises:
        UserError: it is not a GPT-2, so that layout cannot hold it.
    """
    if departures := model.settings.departures:
        raise UserError(
            f"{', '.join(departures)}: is no GPT-2, and transformers has no layout for it; "
            "its checkpoints are read by webtext alone"
        )
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
    """Return a model with these weights, whose names may begin with "transformer." or not.

    Raises:
        UserError: a weight is missing, unexpected, of another shape, or holds a number that is not
            finite; the head is not the embedding.
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
    if HEAD in state and not torch.equal(state[HEAD], found["wte.weight"]):
        raise UserError(f"{HEAD} is not the embedding; wanted a model whose head is, as GPT-2's")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            tensor = found[name].t() if name.endswith(TURNED) else found[name]
            rows = gpt.vocab if name == "wte.weight" else len(parameter)
            if tensor.shape != (rows, *parameter.shape[1:]):
                raise UserError(
                    f"{name} is of shape {tuple(tensor.shape)}; "
                    f"wanted {(rows, *parameter.shape[1:])}"
                )
            if not (tensor.is_floating_point() and tensor.isfinite().all()):
                raise UserError(f"{name} holds what is no finite number; the file is spoilt")
            parameter.zero_()
            parameter[:rows] = tensor
    return model


def config(gpt: GPT2) -> dict[str, Any]:
    """Return transformers' config.json for this shape."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",  # transformers' name for the tanh form
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
        "bos_token_id": gpt.end,
        "eos_token_id": gpt.end,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }


def export(model: GPT, folder: Path) -> Path:
    """Write model.safetensors and its two JSON files, which `from_pretrained(folder)` reads."""
    from safetensors.torch import save

    state = to_transformers(model)
    replace(
        folder / "model.safetensors",
        lambda file: file.write(save(state, metadata={"format": "pt"})),
    )
    found = config(model.settings)
    write_json(folder / "config.json", found)
    tokens = {name: found[name] for name in ("bos_token_id", "eos_token_id")}
    write_json(folder / "generation_config.json", {"_from_model_config": True, **tokens})
    return folder


def is_model(folder: Path) -> bool:
    """Whether this is a model in transformers' layout, complete or not."""
    try:
        return "model_type" in _config(folder) or weights_file(folder) is not None
    except UserError:
        return weights_file(folder) is not None


def weights_file(folder: Path) -> Path | None:
    """Return the file of the weights, or the index of their files; None if there is neither."""
    for name in FILES:
        for path in (folder / name, folder / f"{name}.index.json"):
            if path.exists():
                return path
    return None


def fingerprint(folder: Path) -> str:
    """Return a sha256 that identifies a model: of its config.json and all files of its weights.

    Raises:
        UserError: one of these files is missing.
    """
    path = weights_file(folder)
    if path is None:
        raise UserError(f"{folder / FILES[0]}: no such file, and no {FILES[1]}; {WANTED}")
    names = ["config.json", path.name, *_parts(path)]
    whole = hashlib.sha256()
    for name in names:
        try:
            with (folder / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise UserError(f"{folder / name}: no such file; {WANTED}") from None
        whole.update(f"{name} {digest}\n".encode())
    return whole.hexdigest()


def load(folder: Path) -> GPT:
    """Return a model from a directory that `export` or transformers' `save_pretrained` wrote.

    Raises:
        UserError: the files are missing, are not a GPT-2, or are one that computes something
            different from ours.
    """
    gpt, state = shape(folder), _state(folder)
    if _config(folder).get("tie_word_embeddings", True) is not True and HEAD not in state:
        raise UserError(f"{folder}: tie_word_embeddings is false, and the weights hold no {HEAD}")
    try:
        return from_transformers(state, gpt)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None


def shape(folder: Path) -> GPT2:
    """Return the shape of the model in a directory, without reading its weights.

    Raises:
        UserError: there is no model, or a key of its config.json makes it differ from ours.
    """
    path, found = folder / "config.json", _config(folder)
    if "train" in found and "model_type" not in found:
        raise UserError(
            f"{folder}: a training run; `webtext export {folder} FOLDER` makes a model of it"
        )
    for key, (absent, wanted) in OURS.items():
        if found.get(key, absent) not in wanted:
            raise UserError(f"{path}: {key} is {found.get(key, absent)!r}, wanted {wanted[0]!r}")
    gpt = GPT2(
        **{name: found.get(key, default) for name, (key, default) in SHAPE.items()},
        dropout=found.get("resid_pdrop", 0.1),  # transformers' default
    )
    end = found.get("eos_token_id")
    if isinstance(end, int) and end != gpt.end and 0 <= end < gpt.vocab:
        gpt = dataclasses.replace(gpt, end_of_text=end)
    if found.get("n_inner") not in (None, 4 * gpt.width):
        raise UserError(f"{path}: n_inner is {found['n_inner']!r}, wanted {4 * gpt.width}")
    return gpt


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {WANTED}") from None
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); get it anew") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds no table; wanted transformers' config.json of a GPT-2")
    return found


def _state(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a directory, from one file or several; memory-mapped, not copied.

    Raises:
        UserError: a file is missing or damaged.
    """
    path = weights_file(folder)
    if path is None:
        raise UserError(f"{folder / FILES[0]}: no such file, and no {FILES[1]}; {WANTED}")
    try:
        if path.suffix != ".json":
            return _read(path)
        return {k: t for name in _parts(path) for k, t in _read(folder / name).items()}
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file, though {path.name} names it") from None
    except (OSError, ValueError, LookupError, AttributeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{path}: damaged ({type(error).__name__}: {reason}); get it anew"
        ) from None


def _parts(path: Path) -> list[str]:
    """Return the names of the files that an index lists; none if `path` is not an index."""
    if path.suffix != ".json":
        return []
    return sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))


def _read(path: Path) -> dict[str, Tensor]:
    """Read a file of weights; from a pickle only tensors, so that it cannot run code."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: dict[str, Tensor] = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except (SafetensorError, EOFError, UnpicklingError) as error:
        raise ValueError(str(error)) from None
    return found
