"""Print all messages through one function, so that no text can control the terminal."""

from contextlib import suppress
from typing import Any

import click

from webtext.pipeline.core.stores.store_records import in_words
from webtext.pipeline.core.visible import visible


def echo(message: Any = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a message: data to standard output, text for people (`err`) to standard error.

    If standard error is closed or full, the message is lost and the work goes on.

    Raises:
        OSError: standard output is closed or full.
    """
    text = visible(in_words(str(message)))
    if err:
        with suppress(OSError, ValueError):  # ValueError: the stream was closed
            click.echo(text, err=True, nl=nl)
    else:
        click.echo(text, nl=nl)
