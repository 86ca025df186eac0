"""Train a GPT-2 on token shards, and read what it writes."""

import codecs
import json
import os
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from webtext.flows.commands import options
from webtext.pipeline.core.errors import UserError

if TYPE_CHECKING:
    from tiktoken import Encoding

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
    help="Directory of token shards; `webtext path tokens` prints the newest.",
)
@click.option("--run", "name", help="Name under runs/, or a path.")
@click.option("--device", help="cpu, cuda, cuda:1 or mps; the best one there is by default.")
@click.option("--tensorboard/--no-tensorboard", default=True, help="Event files in the run.")
@click.option("--wandb", "project", help="Log to this project of Weights & Biases as well.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what it would take, and do nothing.")
@click.option("--on", "named", help="With --plan: a device that is not here, such as H100.")
@click.option("--processes", type=click.IntRange(1), default=1, help="With --plan: how many.")
@options.as_json
@options.overrides
def train(
    recipe: str,
    shards: Path | None,
    name: str | None,
    device: str | None,
    tensorboard: bool,
    project: str | None,
    only_plan: bool,
    named: str | None,
    processes: int,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Train the model of RECIPE; run again, it goes on from its last checkpoint."""
    if only_plan:
        show_plan(recipe, shards, named or device, processes, as_json, overrides)
        return
    if shards is None or name is None:
        missing = "--tokens" if shards is None else "--run"
        raise click.UsageError(f"{missing} is wanted to train; only --plan goes without")
    run = run_directory(name)
    run_training(recipe, shards, run, device, overrides, tensorboard=tensorboard, project=project)
    if leads():
        click.echo(run)


def show_plan(
    recipe: str,
    shards: Path | None,
    device: str | None,
    processes: int,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Print what a training takes, on this machine's device or a named one."""
    from webtext.flows.building.settings import load
    from webtext.model.training.plan import describe, plan

    loaded = load(recipe, overrides)
    corpus = None
    if shards is not None:
        from webtext.model.training.data import Stream

        corpus = len(Stream(shards, "train"))
    found = plan(loaded.model, loaded.train, device or here(), processes, corpus_tokens=corpus)
    if as_json:
        click.echo(json.dumps(asdict(found) | {"memory": found.memory, "fits": found.fits}))
    else:
        click.echo(describe(loaded.model, loaded.train, found))


def here() -> str | None:
    """Return the name of this machine's CUDA device if its peak is known, else None."""
    import torch

    from webtext.model.training.hardware import look_up

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return name if look_up(name) else None


def leads() -> bool:
    """Whether this process speaks for all: under torchrun only the first does."""
    return os.environ.get("RANK", "0") == "0"


def run_training(
    recipe: str,
    shards: Path,
    run: Path,
    device: str | None,
    overrides: tuple[str, ...],
    *,
    tensorboard: bool = False,
    project: str | None = None,
) -> None:
    """Train, and show how it goes; the run's page is written when it ends, however it ends."""
    from webtext.flows.building.settings import load
    from webtext.flows.building.terminal import say, training
    from webtext.flows.models import provenance, trackers

    # Read when torch is loaded: threads that wait give way to whatever else the machine runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from webtext.flows.models.evaluation import scorer
    from webtext.model.errors import DivergedError
    from webtext.model.training.checkpoint import Checkpoints
    from webtext.model.training.train import train as train_model
    from webtext.pipeline.insight.losses import write_page

    loaded = load(recipe, overrides)
    with ExitStack() as open_:
        watches = [open_.enter_context(training(loaded.train.steps))]
        if tensorboard and leads():
            watches.append(open_.enter_context(trackers.tensorboard(run / "tensorboard")))
        if project and leads():
            config = {"model": asdict(loaded.model), "train": asdict(loaded.train)}
            watches.append(open_.enter_context(trackers.wandb(project, run, config)))

        def watch(line: dict[str, Any]) -> None:
            for look in watches:
                look(line)
            if line["skipped"]:
                say(f"step {line['step']:,} is left out: {line['skipped']}; {whose(line['step'])}")

        def whose(step: int) -> str:
            try:
                return f"it read {provenance.named(provenance.batch(run, step))}"
            except UserError as error:
                return str(error)

        try:
            score = scorer(loaded.train)
            train_model(run, shards, loaded.model, loaded.train, device, watch, score)
        except DivergedError as error:
            every = f"`webtext batch {run} --step {error.step}` names all"
            raise UserError(f"{error}; {whose(error.step)}; {every}") from None
        finally:
            if leads() and (run / "log.jsonl").exists():
                write_page(run)
    done = Checkpoints(run / "checkpoints").last() or 0
    if leads() and done < loaded.train.steps:
        click.echo(
            f"stopped after {done:,} of {loaded.train.steps:,} steps; the same command goes on",
            err=True,
        )


@click.command()
@click.argument("run")
@click.option("--step", type=click.IntRange(0), required=True, help="The first is 0.")
@click.option("--tokens", type=click.Path(path_type=Path), help="Where the shards are now.")
@options.as_json
def batch(run: str, step: int, tokens: Path | None, as_json: bool) -> None:
    """Name the documents and URLs that a step of a training RUN read, or will read."""
    from webtext.flows.models import provenance

    found = provenance.batch(run_directory(run), step, tokens)
    if as_json:
        for window in found:
            click.echo(json.dumps(window, ensure_ascii=False))
    else:
        click.echo(provenance.describe(found))


@click.command()
@click.argument("run")
@click.option("--prompt", default="", help="Text to go on from; a new document without it.")
@click.option("--tokens", "length", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--temperature", type=click.FloatRange(0), default=1.0, show_default=True)
@click.option("--top-k", type=click.IntRange(0), default=40, show_default=True, help="0: all.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True)
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="At once.")
@click.option("--device", help="As for train.")
def sample(
    run: str,
    prompt: str,
    length: int,
    seed: int,
    temperature: float,
    top_k: int,
    top_p: float,
    samples: int,
    device: str | None,
) -> None:
    """Let a trained RUN write on, a token at a time.

    The first sample appears as it is drawn; further ones, drawn beside it, follow below.
    """
    how = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    run_sample(run_directory(run), prompt, length, samples, device, **how)


def run_sample(
    run: Path, prompt: str, length: int, samples: int, device: str | None, **how: Any
) -> None:
    """Print samples; each ends with its `<|endoftext|>`, and the writing when all have.

    `how` they are drawn is as for `webtext.model.gpt.sample.generate_batch`.
    """
    from webtext.model.gpt.sample import generate_batch
    from webtext.model.training.trained import load
    from webtext.pipeline.tokens.bpe import encoding

    bpe = encoding()
    model = load(run, device)
    start = [bpe.eot_token, *bpe.encode_ordinary(prompt)]
    texts = [Written(bpe, show=number == 0) for number in range(samples)]
    click.echo(prompt, nl=False)
    for drawn in generate_batch(model, [start] * samples, length, **how):
        for text, token in zip(texts, drawn, strict=True):
            text.add(token)
        if all(text.ended for text in texts):
            break
    for number, text in enumerate(texts):
        text.end()
        click.echo("" if number == 0 else f"\n== {number + 1}\n{prompt}{text.told}")


class Written:
    """One sample: its text, each character with the last of its tokens."""

    def __init__(self, bpe: "Encoding", show: bool) -> None:
        self.bpe, self.show = bpe, show
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.told, self.ended = "", False

    def add(self, token: int) -> None:
        """Take up a token, unless the document has ended."""
        self.ended = self.ended or token == self.bpe.eot_token
        if not self.ended:
            self._tell(self.decoder.decode(self.bpe.decode_single_token_bytes(token)))

    def end(self) -> None:
        """Tell of a character that was cut off."""
        self._tell(self.decoder.decode(b"", final=True))

    def _tell(self, text: str) -> None:
        self.told += text
        if self.show:
            click.echo(text, nl=False)
