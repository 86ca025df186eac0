"""The command line: data on stdout, words for people on stderr, exit 2 for a user's mistake."""

import os
import signal
import sys
import time
from types import FrameType

import click

from webtext.flows.commands import (
    band_parts,
    builds,
    corpus_checks,
    crawl,
    demo,
    evaluate,
    models,
    rules,
    tools,
    transfer,
)
from webtext.model.errors import ElsewhereError
from webtext.model.errors import UserError as ModelError
from webtext.pipeline.core.errors import PipelineError, UserError

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
    rules.robots,
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
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        if not models.first_here():
            _exit_after_the_other(2)
        error.show()
        sys.exit(2)
    except ElsewhereError as error:
        _exit_after_the_other(error.code)
    except (UserError, ModelError) as error:
        click.echo(f"webtext: {error}", err=True)
        sys.exit(2)
    except PipelineError as error:
        click.echo(f"webtext: {error}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        click.echo("webtext: interrupted; the same command goes on from here", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


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
