"""The command line: data on stdout, words for people on stderr, exit 2 for a user's mistake."""

import io
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import click

from webtext.flows.building import homeless
from webtext.flows.building.output import echo
from webtext.flows.commands import (
    band_parts,
    builds,
    corpus_checks,
    crawl,
    demo,
    evaluate,
    models,
    tools,
    transfer,
)
from webtext.model.errors import ElsewhereError
from webtext.model.errors import UserError as ModelError
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.visible import VisibleFormatter

PATIENCE = 10.0  # seconds that a process waits for the one that says why both stop


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="webtext")
def cli() -> None:
    """From the links people vouched for to a corpus, its tokens, and a GPT-2 trained on it."""


for command in (
    demo.demo,
    builds.build,
    builds.plan,
    band_parts.bands,
    builds.path,
    crawl.crawl,
    crawl.refresh,
    builds.report,
    builds.trace,
    corpus_checks.audit,
    corpus_checks.overlap,
    corpus_checks.quality,
    tools.extract,
    tools.judge,
    tools.dedup,
    tools.tokens,
    models.train,
    models.sample,
    evaluate.evaluate,
    evaluate.ablate,
    transfer.export,
    models.batch,
    tools.replay,
    builds.serve,
):
    cli.add_command(command)


def main() -> None:
    """Run a command; turn what a user can mend into one line and exit code 2."""
    signal.signal(signal.SIGTERM, _interrupt)
    homeless.settle()
    stdout = sys.stdout
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter())
    logging.lastResort = handler  # what nobody else has asked to see, from warnings on
    handler.setLevel(logging.WARNING)
    try:
        cli(standalone_mode=False)
        sys.stdout.flush()
    except SystemExit:
        if sys.stdout is not stdout:  # click lays its own over it once a pipe is closed
            _end("", 0)  # the reader of our output has seen enough, as `head` does
        raise
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        if not models.first_here():
            _exit_after_the_other(2)
        said = io.StringIO()
        error.show(said)
        echo(said.getvalue(), err=True, nl=False)
        sys.exit(2)
    except ElsewhereError as error:
        _exit_after_the_other(error.code)
    except (UserError, ModelError) as error:
        _end(str(error), 2)
    except PipelineError as error:
        _end(str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        _end("interrupted; the same command goes on from here", 130)
    except BrokenPipeError:
        _end("", 0)
    except OSError as error:  # a disk, a file or the output that refuses; no fault of ours
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror or error}; what is finished is kept", 2)


def _end(words: str, code: int) -> NoReturn:
    """Exit with a line for people, if there is one to say.

    What could not be written to standard output is given up, or Python would try again at its end
    and complain.
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
    """Exit once torchrun asks for it, which it does when a process has failed, or soon.

    The process that says why shall be the first that torchrun finds gone, for it names that one as
    the cause. The end is at once, for signals would not be answered while Python shuts down.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(code))
    time.sleep(PATIENCE)
    os._exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C: stop, keep what is whole, leave no process behind."""
    raise KeyboardInterrupt
