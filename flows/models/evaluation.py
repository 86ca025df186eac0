"""Evaluate models on sets: encoding, loading, and tables of the results."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webtext.model.eval.paper import SIZES
from webtext.model.eval.sets import find
from webtext.model.eval.tasks import Row
from webtext.model.eval.zero_shot import evaluate, figures
from webtext.model.gpt.gpt import GPT
from webtext.model.settings import Train
from webtext.model.training.train import Score
from webtext.pipeline.tokens import encoders
from webtext.pipeline.tokens.encoders import Encoder

HEAD = ("task", "protocol", "metric", "here", "+-", "items", *SIZES)


class Spelling:
    """A tokenizer as the tasks ask for it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def encode(self, text: str) -> Sequence[int]:
        """Return a text's tokens, none of them special."""
        tokens: list[int] = self._encoder.encode([text])[0].tolist()
        return tokens

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""
        return self._encoder.piece(token)


class StoppedError(Exception):
    """The evaluation was asked to stop, so there are no scores."""


def scorer(settings: Train, tokens: Path | None = None) -> Score | None:
    """Return what evaluates a model in the training loop; None where no task is asked for.

    The tokenizer is that of the directory `tokens`.

    After each batch of texts it checks whether to stop. Then there are no scores at all, because
    a part of them could be taken for the whole.

    Raises:
        UserError: a task or its file is not there; said now, not at the first evaluation.
    """
    if not settings.eval_tasks:
        return None
    folder = Path(settings.eval_data)
    for name in settings.eval_tasks:
        find(name, folder)

    spelling = Spelling(encoders.beside(tokens) if tokens else encoders.encoder())

    def score(model: GPT, stop: Callable[[], bool]) -> dict[str, float]:
        def watch(task: str, done: int, total: int) -> None:  # noqa: ARG001
            if stop():
                raise StoppedError

        limit = settings.eval_items or None
        try:
            rows = evaluate(model, spelling, folder, settings.eval_tasks, limit=limit, watch=watch)
        except StoppedError:
            return {}
        return figures(rows)

    return score


def row_json(row: Row) -> dict[str, Any]:
    """Return a row as JSON has it."""
    paper = dict(zip(SIZES, row.paper, strict=True)) if row.paper else None
    return {**asdict(row), "paper": paper}


def table(rows: Sequence[Row]) -> str:
    """Return rows beside the figures of the paper, with notes below."""
    lines = [HEAD, *(cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    laid = [
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    laid[0] += "   <- the paper's sizes"
    notes = [f"{row.task} {row.protocol} {row.metric}: {row.note}" for row in rows if row.note]
    return "\n".join([*laid, *([""] if notes else []), *notes])


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as text.

    >>> cells(Row("winograd", "full", "acc", 51.5, 5.02, 100))[3:]
    ('51.50', '5.020', '100', '', '', '', '70.7')
    """
    paper = ("" if value is None else f"{value:g}" for value in row.paper or (None,) * len(SIZES))
    error = "" if row.error is None else short(row.error)
    return row.task, row.protocol, row.metric, short(row.value), error, f"{row.items:,}", *paper


def short(value: float) -> str:
    """Return a number with as many digits as tell.

    >>> short(29.4123), short(1.1612), short(12345.6)
    ('29.41', '1.161', '12,346')
    """
    return f"{value:.3f}" if value < 10 else f"{value:.2f}" if value < 1_000 else f"{value:,.0f}"
