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
from textwrap import fill
from types import FrameType
from typing import Any, Final, NoReturn

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
from webtext.flows.commands.models.training_runs import TORCHRUN, first_here
from webtext.model.errors import ElsewhereError
from webtext.model.errors import UserError as ModelError
from webtext.pipeline.core.errors import PipelineError, StoppedError, UserError
from webtext.pipeline.core.pool import PARENT, die_with
from webtext.pipeline.core.visible import VisibleFormatter

PATIENCE = 10.0  # seconds that a process waits for the one that reports why both stop


class Grouped(click.Group):
    """A group whose help lists the commands by purpose, on one screen of 24 lines of 80 letters."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a paragraph for each purpose, with a few words on each command."""
        formatter.write(f"Usage: {ctx.command_path} COMMAND ...   (-h: this help; --version)\n\n")
        about = f"{self.help} `{ctx.command_path} COMMAND -h` explains one command."
        formatter.write(f"{fill(about, 80)}\n\n")
        for purpose, commands in BY_PURPOSE.items():
            words = ", ".join(f"{one.name} ({said})" for one, said in commands.items())
            formatter.write(fill(words, 80, initial_indent=f"{purpose:11}", **HANGING) + "\n")


HANGING: Final[dict[str, Any]] = {"subsequent_indent": 11 * " ", "break_on_hyphens": False}


def _version(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    """Print the version, of whichever distribution has installed this, and exit."""
    if asked:
        from webtext.pipeline.core.directories.distribution import installed

        echo(f"webtext, version {installed().version}")
        context.exit()


@click.group(cls=Grouped, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    *("--version", "asked"), is_flag=True, expose_value=False, is_eager=True, callback=_version
)
def cli() -> None:
    """From the links people vouched for to a corpus, its tokens, and a GPT-2 trained on it."""


# A few words each, so that all fits on a screen; a command's docstring is its full help.
BY_PURPOSE: dict[str, dict[click.Command, str]] = {
    "Begin": {
        demo.demo: "the whole way on a small web",
        recipes.init: "writes a recipe",
        recipes.settings: "what each means",
        serve.doctor: "what this machine lacks",
    },
    "Build": {
        builds.build: "from links to tokens",
        builds.plan: "what is missing",
        serve.serve: "on a schedule",
        builds.path: "where a step is",
        band_parts.bands: "dedup by several machines",
    },
    "Look": {
        inspecting.inspect_data: "documents, in the browser",
        builds.report: "funnel and plots",
        builds.trace: "history of a URL",
        corpus_checks.audit: "what each rule drops",
        corpus_checks.compare: "two builds",
        corpus_checks.similar: "texts like yours",
        corpus_checks.overlap: "with test sets",
    },
    "Keep": {
        keep.verify: "is all on the disk right?",
        keep.forget: "leaves out pages or sites, for good",
        keep.snapshots: "each month's corpus",
        keep.gc: "removes what nothing needs, after asking",
    },
    "Crawl": {
        crawl.crawl: "URLs to WARC files, politely",
        crawl.refresh: "pages that changed",
        robots_rules.robots: "what a robots.txt allows",
        tools.replay: "WARC files as a web",
    },
    "Own files": {
        own.filter_texts: "cleans texts, drops bad ones",
        tools.extract: "main text of HTML or WARC",
        tools.judge: "every rule's measure",
        tools.dedup: "near-duplicates",
        tools.tokens: "for llm.c or nanoGPT",
        corpus_checks.quality: "a model of good texts, as a rule",
    },
    "Train": {
        tokenizers.tokenizer: "one of your own",
        training_runs.train: "a GPT-2",
        training_runs.sample: "what it writes",
        evaluate.evaluate: "zero-shot scores",
        evaluate.ablate: "compares two corpora",
        training_runs.batch: "the documents of a step",
        transfer.export: "for transformers and llama.cpp",
        transfer.push: "to the Hugging Face hub",
    },
}
for command in chain.from_iterable(BY_PURPOSE.values()):
    cli.add_command(command)


def main() -> None:
    """Run a command; report errors that a user can correct in one line, with exit code 2."""
    stdout = sys.stdout
    try:
        _settle()
        code = cli(standalone_mode=False)  # of a command that asked for one, as `verify` does
        sys.stdout.flush()
        _exit(code or 0)
    except SystemExit as error:
        if sys.stdout is not stdout:  # click replaces it by its own once a pipe is closed
            _end("", 0)  # the reader of our output has closed the pipe, as `head` does
        _exit(error.code)
    except click.ClickException as error:
        _show(error)
        _exit(2)
    except ElsewhereError as error:
        _exit_after_the_other(error.code)
    except (UserError, ModelError) as error:
        _end(str(error), 2)
    except PipelineError as error:
        _end(str(error), 1)
    except StoppedError as error:
        _end(f"{error}; the same command goes on from here", 130)
    except (KeyboardInterrupt, click.Abort) as error:
        _interrupted(error)
    except BrokenPipeError:
        _end("", 0)
    except (OSError, ModuleNotFoundError) as error:  # of a disk, a file, the output, the libraries
        _end(_told(error), 2)


def _told(error: OSError | ModuleNotFoundError) -> str:
    """Return what went wrong on this machine; a module that we never ask for is a bug of ours."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}; what is finished is kept"
    from webtext.pipeline.core.directories.distribution import asked_for, lacking

    name = error.name or ""
    if asked_for(name) is None:
        raise error
    return f"this {lacking(name)}"


def _settle() -> None:
    """Prepare the process: its signals, its home, its log, its parent."""
    signal.signal(signal.SIGTERM, _interrupt)
    homeless.settle()
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter())
    logging.lastResort = handler  # for logs of libraries without a handler
    handler.setLevel(logging.WARNING)
    if parent := os.environ.pop(PARENT, None):  # a flow's: end with it
        threading.Thread(target=die_with, args=(int(parent),), daemon=True).start()


def _show(error: click.ClickException) -> None:
    """Show a mistake in a command's arguments, with the usage above it, in one process only."""
    if not first_here():
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
    _exit(code)


def _exit(code: int | str | None) -> NoReturn:
    """Exit; at once under torchrun, where all has been written and closed by now.

    There the exit code counts: a library that aborts while Python takes it down, as gloo does now
    and then once another process has closed its connections, would hide it.
    """
    if TORCHRUN in os.environ and isinstance(code, int):
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _exit_after_the_other(code: int) -> None:
    """Exit when torchrun asks for it, as it does when a process has failed, or after a short wait.

    The process that reports the error must be the first that ends, because torchrun names the first
    one as the cause. The exit is immediate, because Python handles no signals while it shuts down.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(code))
    time.sleep(PATIENCE)
    os._exit(code)


def _interrupted(error: BaseException) -> NoReturn:
    """Exit after Ctrl-C; say so in one process per machine, and not where another said why."""
    before = error.__context__
    while before is not None and not isinstance(before, ElsewhereError):
        before = before.__context__
    if before is not None:
        _exit(before.code)
    _end("interrupted; the same command goes on from here" if first_here() else "", 130)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C: stop, keep complete files, leave no process behind."""
    raise KeyboardInterrupt
