"""What a training starts from: random weights, or an existing model.

The architecture is that of the existing model. What the recipe says in [model] must agree with it,
and the rest is taken from it, so that one recipe works for models of any size. Only dropout always
comes from the recipe, because no weight depends on it, and `zero_start` means nothing here.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from webtext.flows.building.settings import Recipe, build, find, said
from webtext.flows.models import run_tokenizer
from webtext.model.errors import UserError
from webtext.model.gpt import weights
from webtext.model.settings import GPT2
from webtext.model.training import run as runs


def load_for(
    name: str,
    overrides: Iterable[str],
    source: Path | None,
    run: Path | None = None,
    tokens: Path | None = None,
) -> Recipe:
    """Read a recipe for a run that begins with the model of `source`, or has begun with one.

    The vocabulary of a new model is that of `tokens`, if the recipe does not say it.

    Raises:
        UserError: as `webtext.flows.building.settings.load`; the directory holds no model of ours,
            or another than the recipe says.
    """
    tree = said(name, overrides)
    found, place = begun(run) or (None, None)
    if found is None and source is not None:
        found, place = weights.shape(source), source
    stated = tree.setdefault("model", {})
    if found is not None and isinstance(stated, dict):
        shape = asdict(found)
        dropout = stated.pop("dropout", GPT2.dropout)
        stated.pop("zero_start", None)
        differing = [
            f"model.{name} is {shape[name]!r} there, {value!r} here"
            for name, value in stated.items()
            if name in shape and value != shape[name]
        ]
        if differing:
            raise UserError(
                f"{place}: not the model of the recipe {name}: {'; '.join(differing)}; "
                "leave these out of the recipe, and they are taken from there"
            )
        stated |= shape | {"dropout": dropout}
    elif tokens is not None and isinstance(stated, dict):
        tree["model"] = run_tokenizer.shape(tokens) | stated
    return build(tree, str(find(name)))


def begun(run: Path | None) -> tuple[GPT2, Path] | None:
    """Return the shape of a run that has begun with a model; None for any other run."""
    if run is None or not (run / "config.json").exists():
        return None
    config = runs.read(run)
    return (config.gpt, run) if config.source else None
