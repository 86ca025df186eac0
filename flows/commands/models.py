"""Train a GPT-2 on token shards, and read what it writes."""

import codecs
import os
from pathlib import Path

import click

from flows.commands import options

RUNS = Path("runs")


def run_directory(name: str) -> Path:
    """Return a run's directory: a path as it stands, a bare name under runs/."""
    path = Path(name)
    return path if len(path.parts) > 1 or path.is_absolute() else RUNS / name


@click.command()
@click.argument("recipe")
@click.option(
    "--tokens",
    "shards",
    type=click.Path(path_type=Path),
    required=True,
    help="Directory of token shards; `webtext path tokens` prints the newest.",
)
@click.option("--run", "name", required=True, help="Name under runs/, or a path.")
@click.option("--device", help="cpu, cuda, cuda:1 or mps; the best one there is by default.")
@options.overrides
def train(
    recipe: str, shards: Path, name: str, device: str | None, overrides: tuple[str, ...]
) -> None:
    """Train the model of RECIPE; run again, it goes on from its last checkpoint."""
    run = run_directory(name)
    run_training(recipe, shards, run, device, overrides)
    if leads():
        click.echo(run)


def leads() -> bool:
    """Whether this process speaks for all: under torchrun only the first does."""
    return os.environ.get("RANK", "0") == "0"


def run_training(
    recipe: str, shards: Path, run: Path, device: str | None, overrides: tuple[str, ...]
) -> None:
    """Train, and show how it goes."""
    from flows.settings import load
    from flows.terminal import training

    # Read when torch is loaded: threads that wait give way to whatever else the machine runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from model.checkpoint import Checkpoints
    from model.train import train as train_model

    loaded = load(recipe, overrides)
    with training(loaded.train.steps) as watch:
        train_model(run, shards, loaded.model, loaded.train, device, watch)
    done = Checkpoints(run / "checkpoints").last() or 0
    if leads() and done < loaded.train.steps:
        click.echo(
            f"stopped after {done:,} of {loaded.train.steps:,} steps; the same command goes on",
            err=True,
        )


@click.command()
@click.argument("run")
@click.option("--prompt", default="", help="Text to go on from; a new document without it.")
@click.option("--tokens", "length", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--temperature", type=click.FloatRange(0), default=1.0, show_default=True)
@click.option("--top-k", type=click.IntRange(0), default=40, show_default=True, help="0: all.")
@click.option("--device", help="As for train.")
def sample(
    run: str,
    prompt: str,
    length: int,
    seed: int,
    temperature: float,
    top_k: int,
    device: str | None,
) -> None:
    """Let a trained RUN write on, a token at a time."""
    run_sample(run_directory(run), prompt, length, seed, temperature, top_k, device)


def run_sample(
    run: Path,
    prompt: str,
    length: int,
    seed: int,
    temperature: float,
    top_k: int,
    device: str | None,
) -> None:
    """Print a sample as it is drawn, each character with the last of its tokens."""
    from model.sample import generate, load
    from pipeline.bpe import encoding

    bpe = encoding()
    model = load(run, device)
    start = [bpe.eot_token, *bpe.encode_ordinary(prompt)]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    click.echo(prompt, nl=False)
    drawn = generate(
        model,
        start,
        length,
        temperature=temperature,
        top_k=top_k,
        seed=seed,
        stop=bpe.eot_token,
    )
    for token in drawn:
        click.echo(decoder.decode(bpe.decode_single_token_bytes(token)), nl=False)
    click.echo(decoder.decode(b"", final=True))
