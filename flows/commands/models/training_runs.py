"""Train a GPT-2 on token shards, and sample from it."""

import codecs
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options
from webtext.model.errors import ElsewhereError
from webtext.model.errors import UserError as ModelError
from webtext.pipeline.core.errors import UserError

if TYPE_CHECKING:
    from webtext.pipeline.tokens.encoders import Encoder

RUNS = Path("runs")
TORCHRUN = "TORCHELASTIC_RUN_ID"  # the variable that torchrun sets in each process it starts
SEEDS = -(1 << 63), (1 << 63) - 1  # that torch's generators take


def run_directory(name: str) -> Path:
    """Return a new run's folder: a path as it is, a bare name under runs/."""
    path = Path(name)
    return path if len(path.parts) > 1 or path.is_absolute() else RUNS / name


def find_run(name: str) -> Path:
    """Return the folder that a RUN argument names: under runs/ if that has the name, else the path.

    Raises:
        UserError: neither exists.
    """
    path = run_directory(name)
    if not path.exists():
        path = Path(name)
    if not path.exists():
        also = "" if run_directory(name) == path else f", nor is {run_directory(name)}"
        raise UserError(f"{name}: not there{also}; wanted the directory of a run or of a model")
    return path


@click.command()
@click.argument("recipe")
@click.option(
    "--tokens",
    "shards",
    type=options.StepDirectory(path_type=Path),
    help="Directory of token shards, or its address in a store; `webtext path tokens` prints it.",
)
@click.option("--run", "name", help="Name under runs/, or a path.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, file_okay=False),
    help="Begin with the weights of this model, in transformers' layout.",
)
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
    source: Path | None,
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
        show_plan(recipe, shards, source, named, device, processes, as_json, overrides)
        return
    if shards is None or name is None:
        missing = "--tokens" if shards is None else "--run"
        raise click.UsageError(f"{missing} is wanted to train; only --plan goes without")
    run = run_directory(name)
    run_training(
        recipe, shards, run, device, overrides, source, tensorboard=tensorboard, project=project
    )
    if leads():
        echo(run)


def show_plan(
    recipe: str,
    shards: Path | None,
    source: Path | None,
    named: str | None,
    device: str | None,
    processes: int,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Print the cost of a training, on a device of this machine or on one that is `named`."""
    from webtext.flows.models.origin import load_for
    from webtext.model.machine.plan import describe, plan

    loaded = load_for(recipe, overrides, source, tokens=shards)
    corpus = None
    if shards is not None:
        from webtext.model.batches.data import Stream

        corpus = len(Stream(shards, "train"))
    name, memory = (named, None) if named else here(device)
    found = plan(loaded.model, loaded.train, name, processes, corpus_tokens=corpus, memory=memory)
    if as_json:
        echo(json.dumps(asdict(found) | {"memory": found.memory, "fits": found.fits}))
    else:
        echo(describe(loaded.model, loaded.train, found))


def here(device: str | None) -> tuple[str | None, int | None]:
    """Return the driver's name and the memory of a device of this machine, given as in `train`.

    The name is None if it is not in the table: the device's peak speed is unknown.

    Raises:
        UserError: this machine does not have the device.
    """
    import torch

    from webtext.model.machine.device import choose
    from webtext.model.machine.hardware import look_up

    place = choose(device)
    if place.type != "cuda":
        return None, None
    found = torch.cuda.get_device_properties(place)
    return (found.name if look_up(found.name) else None), found.total_memory


def leads() -> bool:
    """Whether this process prints for all: under torchrun only the first does."""
    return os.environ.get("RANK", "0") == "0"


def first_here() -> bool:
    """Whether this process reports errors that all processes of this machine see alike."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def alike() -> Iterator[None]:
    """Let one process per machine report the errors that each of them finds before they join."""
    try:
        yield
    except (UserError, ModelError):
        if not first_here():
            raise ElsewhereError(2) from None
        raise


def run_training(
    recipe: str,
    shards: Path,
    run: Path,
    device: str | None,
    overrides: tuple[str, ...],
    source: Path | None = None,
    *,
    tensorboard: bool = False,
    project: str | None = None,
) -> None:
    """Train, and show the progress; the run's page is written at the end, also after an error."""
    from webtext.flows.building.terminal import say, training
    from webtext.flows.models import provenance, run_tokenizer, trackers

    # Read when torch is loaded: waiting threads yield the CPU to other processes.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from webtext.flows.models.evaluation import scorer
    from webtext.flows.models.origin import load_for
    from webtext.model.batches.data import short_val
    from webtext.model.errors import DivergedError
    from webtext.model.training.checkpoint import step_of
    from webtext.model.training.train import train as train_model
    from webtext.pipeline.insight.losses import write_page

    with alike():
        loaded = load_for(recipe, overrides, source, run, shards)
        without, score = short_val(shards, loaded.model.context), scorer(loaded.train, shards)
    if without and leads():
        say(without)
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
            last = train_model(
                run, shards, loaded.model, loaded.train, device, watch, score, source
            )
        except DivergedError as error:
            every = f"`webtext batch {quote(str(run))} --step {error.step}` names all"
            raise UserError(f"{error}; {whose(error.step)}; {every}") from None
        finally:
            if leads():
                run_tokenizer.keep(shards, run)
            if leads() and (run / "log.jsonl").exists():
                write_page(run)
    stop_short(step_of(last), loaded.train.steps)


def stop_short(done: int, steps: int) -> None:
    """If a training was interrupted, exit like any interrupted command."""
    if done < steps:
        if leads():
            words = f"stopped after {done:,} of {steps:,} steps; the same command goes on"
            echo(words, err=True)
        sys.exit(130)


@click.command()
@click.argument("run")
@click.option("--step", type=click.IntRange(0), required=True, help="The first is 0.")
@click.option("--tokens", type=click.Path(path_type=Path), help="Where the shards are now.")
@options.as_json
def batch(run: str, step: int, tokens: Path | None, as_json: bool) -> None:
    """Name the documents and URLs that a step of a training RUN read, or will read."""
    from webtext.flows.models import provenance

    found = provenance.batch(find_run(run), step, tokens)
    if as_json:
        for window in found:
            echo(json.dumps(window, ensure_ascii=False))
    else:
        echo(provenance.describe(found))


@click.command()
@click.argument("run")
@click.option("--prompt", default="", help="Text to go on from; a new document without it.")
@click.option("--tokens", "length", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seed", type=click.IntRange(*SEEDS), default=0, show_default=True)
@click.option("--temperature", type=options.Number(0), default=1.0, show_default=True)
@click.option("--top-k", type=click.IntRange(0), default=40, show_default=True, help="0: all.")
@click.option("--top-p", type=options.Number(0, 1, min_open=True), default=1.0, show_default=True)
@click.option("--step", type=click.IntRange(1), help="Whose checkpoint; the best by default.")
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
    step: int | None,
    samples: int,
    device: str | None,
) -> None:
    """Let a trained RUN, or a model in transformers' layout, write on, a token at a time.

    The first sample appears as it is drawn; further ones, drawn beside it, follow below.
    """
    how = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    run_sample(find_run(run), prompt, length, samples, device, step, **how)


def run_sample(
    run: Path,
    prompt: str,
    length: int,
    samples: int,
    device: str | None,
    step: int | None = None,
    **how: Any,
) -> None:
    """Print samples; each ends at its `<|endoftext|>`, and sampling ends when all have.

    `how` has the sampling options of `webtext.model.gpt.sample.generate_batch`.
    """
    from webtext.flows.models import run_tokenizer
    from webtext.model.gpt.sample import generate_batch
    from webtext.model.training.trained import load

    encoder = run_tokenizer.of(run)
    model = load(run, device, step)
    if encoder.end >= model.settings.vocab:
        raise UserError(
            f"{run}: its vocabulary has {model.settings.vocab:,} tokens, and the tokenizer at hand "
            f"{encoder.vocabulary:,}; put the tokenizer.json of its tokens into {run}"
        )
    prompt = prompt.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    start = [encoder.end, *encoder.encode([prompt])[0].tolist()]
    texts = [Written(encoder, show=number == 0) for number in range(samples)]
    echo(prompt, nl=False)
    for drawn in generate_batch(model, [start] * samples, length, **how):
        for text, token in zip(texts, drawn, strict=True):
            text.add(token)
        if all(text.ended for text in texts):
            break
    for number, text in enumerate(texts):
        text.end()
        echo("" if number == 0 else f"\n== {number + 1}\n{prompt}{text.told}")


class Written:
    """One sample: its text, where each character appears with the last of its tokens."""

    def __init__(self, encoder: "Encoder", show: bool) -> None:
        self.encoder, self.show = encoder, show
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.told, self.ended = "", False

    def add(self, token: int) -> None:
        """Add a token, unless the document has ended."""
        self.ended = self.ended or token == self.encoder.end
        if not self.ended:
            self._tell(self.decoder.decode(self.encoder.piece(token)))

    def end(self) -> None:
        """Report a character that was cut off."""
        self._tell(self.decoder.decode(b"", final=True))

    def _tell(self, text: str) -> None:
        self.told += text
        if self.show:
            echo(text, nl=False)
