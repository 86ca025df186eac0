"""Export a trained model to other tools, and put it or a corpus on the Hugging Face hub."""

from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands.models.training_runs import find_run


@click.command()
@click.argument("run")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--step", type=click.IntRange(1), help="Whose checkpoint; the best by default.")
@click.option("--push", "repo", metavar="OWNER/NAME", help="Put it on the Hugging Face hub too.")
@click.option("--public", is_flag=True, help="With --push: for everybody; else it is private.")
def export(run: str, folder: Path, step: int | None, repo: str | None, public: bool) -> None:
    """Write RUN to FOLDER as transformers, lm-eval and llama.cpp's converter read it.

    Safetensors, config.json and the tokenizer's files: AutoModelForCausalLM and AutoTokenizer take
    the directory as it is.
    """
    if public and repo is None:
        raise click.UsageError("--public is of an upload: give --push OWNER/NAME too.")
    if repo is not None:
        from webtext.flows.models import publishing

        publishing.check(repo)
    from webtext.flows.models import run_tokenizer
    from webtext.model.errors import UserError
    from webtext.model.gpt.weights import export as export_model
    from webtext.model.training.trained import load
    from webtext.pipeline.tokens.encoders import GPT2, OfFile
    from webtext.pipeline.tokens.tokenizer import write_other, write_tokenizer

    place = find_run(run)
    model = load(place, "cpu", step)
    encoder = run_tokenizer.of(place)
    if model.settings.vocab < encoder.vocabulary or not isinstance(encoder, OfFile):
        known = encoder.name == GPT2 and model.settings.vocab == encoder.vocabulary
        if not known:
            raise UserError(
                f"{run}: has {model.settings.vocab} tokens, and its tokenizer {encoder.name} "
                f"{encoder.vocabulary}; only GPT-2's and those of a tokenizer.json can be written"
            )
    export_model(model, folder)
    if isinstance(encoder, OfFile):
        write_other(folder, model.settings.context, encoder)
    else:
        write_tokenizer(folder, model.settings.context)
    echo(folder)
    if repo is not None:
        echo(publishing.push(folder, repo, public))


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="For everybody; else a new repository is private.")
def push(folder: Path, repo: str, public: bool) -> None:
    """Put the corpus or the exported model in DIR on the Hugging Face hub, as OWNER/NAME.

    Of a corpus its shards, card, statistics and Croissant metadata, as a data set that `datasets`
    loads; of a model all that transformers reads, and a card. The token is found as all tools of
    the hub find it (HF_TOKEN, or `hf auth login`). Files that are there already are not sent again.
    """
    from webtext.flows.models import publishing

    echo(publishing.push(folder, repo, public))
