"""Evaluate a model on the sets of a directory: one row a number."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from webtext.model.errors import UserError
from webtext.model.eval import sets, tasks
from webtext.model.eval.score import within
from webtext.model.eval.tasks import Judge, Row, Tokenizer
from webtext.model.gpt.gpt import GPT

Task = Callable[[Judge, Path], list[Row]]
Watch = Callable[[str, int, int], None]

TASKS: dict[str, Task] = {  # in the order of the paper's table 3, then the others
    "lambada": tasks.lambada,
    "cbt_cn": partial(tasks.book, task="cbt_cn"),
    "cbt_ne": partial(tasks.book, task="cbt_ne"),
    "wikitext2": partial(tasks.wikitext, task="wikitext2"),
    "ptb": tasks.ptb,
    "enwik8": partial(tasks.characters, task="enwik8"),
    "text8": partial(tasks.characters, task="text8"),
    "wikitext103": partial(tasks.wikitext, task="wikitext103"),
    "1bw": tasks.billion,
    "winograd": tasks.winograd,
    "hellaswag": partial(tasks.multiple, task="hellaswag"),
    "piqa": partial(tasks.multiple, task="piqa"),
    "arc_easy": partial(tasks.multiple, task="arc_easy"),
    "winogrande": partial(tasks.multiple, task="winogrande"),
    "copa": partial(tasks.multiple, task="copa"),
}


def unwatched(task: str, done: int, total: int) -> None:
    """Ignore the progress."""


def evaluate(
    model: GPT,
    tokenizer: Tokenizer,
    folder: Path,
    names: Sequence[str] = (),
    *,
    limit: int | None = None,
    stride: int | None = None,
    watch: Watch = unwatched,
) -> list[Row]:
    """Return the rows of tasks, all that `folder` has the files of where none is named.

    `stride` is how many tokens of running text are scored at once, half the context where it is not
    given; `watch` is told the task, and how many of how many tokens are done, some times over.

    Raises:
        UserError: no such task; its file is not there, or not as it should be; the stride is not
            within the context.
    """
    context = model.settings.context
    stride = max(1, context // 2) if stride is None else stride
    within(stride, context)  # now, and not after the first sets have been scored
    files = {name: sets.find(name, folder) for name in names or sets.present(folder)}
    if not files:
        raise UserError(f"{folder}: has none of the sets; wanted files such as wikitext2_test.txt")
    found = []
    training = model.training
    model.eval()
    try:
        for name, path in files.items():
            tell = partial(watch, name)
            judge = Judge(model, tokenizer, stride, limit, tell)
            found += TASKS[name](judge, path)
    finally:
        model.train(training)
    return found


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """Return rows as a log's line holds them.

    >>> figures([Row("copa", "lm-eval", "acc", 50.0, None, 2)])
    {'copa/lm-eval/acc': 50.0}
    """
    return {f"{row.task}/{row.protocol}/{row.metric}": row.value for row in rows}
