"""The command line: data on stdout, messages on stderr, exit code 2 for a user's mistake."""

import io
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from itertools import chain
from types import FrameType
from typing import NoReturn

import click

from webtext.flows.building import homeless
from webtext.flows.building.output import echo
from webtext.flows.commands.corpus import (
    band_parts,
    builds,
    corpus_checks,
    crawl,
    demo,
    inspecting,
    keep,
    own,
    recipes,
    robots_rules,
    serve,
    tools,
)
from webtext.flows.commands.models import evaluate, tokenizers, training_runs, transfer
from webtext.model.errors import ElsewhereError
from webtext.model.errors import UserError as ModelError
from webtext.pipeline.core.errors import PipelineError, StoppedError, UserError
from webtext.pipeline.core.pool import die_with
from webtext.pipeline.core.visible import VisibleFormatter

PATIENCE = 10.0  # seconds that a process waits for the one that reports why both stop


class Grouped(click.Group):
    """A group whose help lists the commands by purpose, in the order given."""

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each purpose."""
        for purpose, commands in BY_PURPOSE.items():
            with formatter.section(purpose):
                formatter.write_dl([(str(one.name), said) for one, said in commands.items()])


@click.group(
    cls=Grouped, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="webtext")
def cli() -> None:
    """From the links people vouched for to a corpus, its tokens, and a GPT-2 trained on it."""


# A line each, so that the list fits on a screen; a command's docstring is its full help.
BY_PURPOSE: dict[str, dict[click.Command, str]] = {
    "Begin": {
        demo.demo: "the whole way on a small web of this machine's own",
        recipes.init: "write a commented recipe, after three questions",
        recipes.settings: "every setting with its default and meaning",
        serve.doctor: "what of this machine a build needs, and what to do",
    },
    "Build a corpus": {
        builds.plan: "which directories a recipe makes, and what is missing",
        builds.build: "from links to tokens; makes only what is missing",
        serve.serve: "build on a schedule, with Prefect's pages",
        band_parts.bands: "a part of the deduplication, for several machines",
        builds.path: "the newest whole directory of a step",
    },
    "See what is in it, and why": {
        inspecting.inspect_data: "every document, kept or dropped, in the browser",
        builds.report: "the funnel, and a page with plots",
        builds.trace: "the life of one URL",
        corpus_checks.audit: "what each rule drops, and what another bound would",
        corpus_checks.compare: "what came, went and changed between two builds, and why",
        corpus_checks.similar: "near-duplicates of a text of yours in the corpus",
        corpus_checks.overlap: "what evaluation sets share with the corpus",
        keep.verify: "recompute and prove all that is on the disk",
        keep.forget: "leave pages or sites out, for good, because somebody asked",
        keep.snapshots: "the corpus of each month, by name",
        keep.gc: "remove what nothing needs, after asking",
        corpus_checks.quality: "train a model of good documents, to use as a rule",
    },
    "Crawl": {
        crawl.crawl: "fetch a list of URLs into WARC files, politely",
        crawl.refresh: "ask for pages again that have changed since",
        robots_rules.robots: "what a robots.txt allows, and by which rule",
        tools.replay: "serve WARC files as the web that they recorded",
    },
    "Use one step on files of your own": {
        own.filter_texts: "clean texts, and drop bad ones, with reasons",
        tools.extract: "the main text of HTML or WARC files",
        tools.judge: "the language and every rule's measure of texts",
        tools.dedup: "clusters of near-duplicates",
        tools.tokens: "tokens of a corpus, for llm.c or nanoGPT",
    },
    "Train and evaluate": {
        tokenizers.tokenizer: "train a tokenizer of one's own",
        training_runs.train: "train a GPT-2, or go on with it",
        training_runs.sample: "what a trained model writes",
        evaluate.evaluate: "zero-shot scores on GPT-2's sets and later ones",
        evaluate.ablate: "compare two corpora by training on each",
        training_runs.batch: "the documents that a training step read",
        transfer.export: "write a model for transformers and llama.cpp",
    },
}
for command in chain.from_iterable(BY_PURPOSE.values()):
    cli.add_command(command)


def main() -> None:
    """Run a command; report errors that a user can correct in one line, with exit code 2."""
    stdout = sys.stdout
    try:
        _settle()
        cli(standalone_mode=False)
        sys.stdout.flush()
    except SystemExit:
        if sys.stdout is not stdout:  # click replaces it by its own once a pipe is closed
            _end("", 0)  # the reader of our output has closed the pipe, as `head` does
        raise
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _show(error)
        sys.exit(2)
    except ElsewhereError as error:
        _exit_after_the_other(error.code)
    except (UserError, ModelError) as error:
        _end(str(error), 2)
    except PipelineError as error:
        _end(str(error), 1)
    except StoppedError as error:
        _end(f"{error}; the same command goes on from here", 130)
    except (KeyboardInterrupt, click.Abort):
        _end("interrupted; the same command goes on from here", 130)
    except BrokenPipeError:
        _end("", 0)
    except OSError as error:  # an error of a disk, a file or the output; not a bug of ours
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror or error}; what is finished is kept", 2)


def _settle() -> None:
    """Prepare the process: its signals, its home, its log, its parent."""
    signal.signal(signal.SIGTERM, _interrupt)
    homeless.settle()
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter())
    logging.lastResort = handler  # for logs of libraries without a handler
    handler.setLevel(logging.WARNING)
    if parent := os.environ.pop("WEBTEXT_PARENT", None):  # a flow's: end with it
        threading.Thread(target=die_with, args=(int(parent),), daemon=True).start()


def _show(error: click.ClickException) -> None:
    """Show a mistake in a command's arguments, with the usage above it, in one process only."""
    if not training_runs.first_here():
        _exit_after_the_other(2)
    shown = io.StringIO()
    error.show(shown)
    echo(shown.getvalue(), err=True, nl=False)


def _end(words: str, code: int) -> NoReturn:
    """Exit with a message, if there is one.

    Output that could not be written to standard output is discarded; else Python would try again
    at its exit and report an error.
    """
    if words:
        echo(f"webtext: {words}", err=True)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _exit_after_the_other(code: int) -> None:
    """Exit when torchrun asks for it, as it does when a process has failed, or after a short wait.

    The process that reports the error must be the first that ends, because torchrun names the first
    one as the cause. The exit is immediate, because Python handles no signals while it shuts down.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(code))
    time.sleep(PATIENCE)
    os._exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C: stop, keep complete files, leave no process behind."""
    raise KeyboardInterrupt
