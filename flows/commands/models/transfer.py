"""Export a trained model to other tools."""

from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands.models.training_runs import find_run


@click.command()
@click.argument("run")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--step", type=click.IntRange(1), help="Whose checkpoint; the best by default.")
def export(run: str, folder: Path, step: int | None) -> None:
    """Write RUN to FOLDER as transformers, lm-eval and llama.cpp's converter read it.

    Safetensors, config.json and the tokenizer's files: AutoModelForCausalLM and AutoTokenizer take
    the directory as it is.
    """
    from webtext.model.errors import UserError
    from webtext.model.gpt.weights import export as export_model
    from webtext.model.training.trained import load
    from webtext.pipeline.tokens.bpe import VOCABULARY
    from webtext.pipeline.tokens.tokenizer import write_tokenizer

    model = load(find_run(run), "cpu", step)
    if model.settings.vocab != VOCABULARY:
        raise UserError(
            f"{run}: has {model.settings.vocab} tokens, wanted GPT-2's {VOCABULARY}; "
            "its tokenizer is not ours to write"
        )
    export_model(model, folder)
    write_tokenizer(folder, model.settings.context)
    echo(folder)
