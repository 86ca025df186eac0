"""Show progress while webtext works: bars on a terminal, a line now and then in a log file."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.table import Column, Table
from rich.text import Text

from webtext.flows.building.output import echo
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.stores.store_records import in_words
from webtext.pipeline.core.visible import per_cent, sized, visible

SIZES_SHOWN = 20  # of clusters
FIRST_SECONDS = 2.0  # until the first of them: people want to know that it works
LOG_SECONDS = 30.0  # between the log lines of one step if no terminal shows a bar

console = Console(stderr=True, highlight=False)


def say(words: str) -> None:
    """Print a message for people, above the progress bars if there are any."""
    with suppress(OSError, ValueError):  # if standard error is closed or full, nobody can read it
        console.print(visible(in_words(words)), soft_wrap=True, markup=False)


def rendered(table: Table) -> str:
    """Return a table as text, as wide as the terminal that will show it."""
    plain = Console(highlight=False, color_system=None)
    with plain.capture() as captured:
        plain.print(table)
    return captured.get()


class Meter:
    """Progress of one step, shown as a bar on a terminal and as lines elsewhere."""

    def __init__(self, name: str, bars: Bars | None, unit: str = "") -> None:
        self.name = name
        self.bars = bars
        self.unit = unit  # "B": bytes; "": counted things
        self.row: TaskID | None = None
        self.started = time.monotonic()
        self.due = self.started + FIRST_SECONDS
        self.first: int | None = None  # done before the step was continued here
        self.now = 0  # done, as last reported
        self.last: int | None = None  # as in the last line

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Show that `done` of `total` is done."""
        if self.first is None:
            self.first = done
        elif done < self.now:  # the next task of the step, which counts anew: its rate is its own
            self.first, self.started = done, time.monotonic()
        self.now = done
        if self.bars is not None:
            if self.row is None:
                self.row = self.bars.add_task(self.name, total=total, note=note, amount="")
            said, amount = self.told(done, note), self.amount(done, total)
            self.bars.update(self.row, completed=done, total=total, note=said, amount=amount)
        elif time.monotonic() >= self.due or done == total != self.last:
            self.due = time.monotonic() + LOG_SECONDS
            self.last = done
            echo(self.line(done, total, note), err=True)

    def amount(self, done: int, total: int | None) -> str:
        """Return how much is done of how much.

        >>> Meter("filter", None, "B").amount(1_234_567, 20_000_000)
        '1.2/20.0 MB'
        """
        if self.unit == "B":
            return (
                "/".join(f"{size / 1e6:.1f}" for size in (done, total) if size is not None) + " MB"
            )
        return f"{done}/{'?' if total is None else total}"

    def finish(self) -> None:
        """Stop the bar's clock: the step is done, whatever it reported last."""
        if self.bars is not None and self.row is not None:
            task = self.bars.tasks[self.row]
            self.bars.update(self.row, completed=task.total or task.completed)
            self.bars.stop_task(self.row)

    def rate(self, done: int) -> float:
        """Return units per second since the step began in this process."""
        return (done - (self.first or 0)) / max(time.monotonic() - self.started, 1e-9)

    def told(self, done: int, note: str) -> str:
        """Return the rate, and the step's own live figures."""
        rate, note = self.rate(done), visible(note)
        speed = f"{rate / 1e6:,.1f} MB/s" if self.unit else f"{rate:,.{0 if rate >= 10 else 1}f}/s"
        return "  ".join(part for part in (speed, note) if part)

    def line(self, done: int, total: int | None, note: str) -> str:
        """Return one line for a log.

        >>> Meter("crawl", None).line(1999, 2000, "3 hosts").split(", ")[0]
        'crawl: 1,999 of 2,000 (99 %)'
        """
        count = f"{done / 1e6:,.1f}" if self.unit else f"{done:,}"
        whole = f"{total / 1e6:,.1f} MB" if self.unit and total else f"{total:,}" if total else ""
        share = f" of {whole} ({100 * done // total} %)" if total else ""
        rate = self.rate(done)
        left = f", {(total - done) / rate:,.0f} s left" if total and rate > 0 else ""
        return f"{self.name}: {count}{share}, {self.told(done, note)}{left}"


@contextmanager
def meters() -> Iterator[Any]:
    """Give a function from a step's name to its meter; afterwards the bars are removed."""
    if not console.is_terminal:
        yield lambda name, unit="": Meter(name, None, unit)
        return
    columns = (
        TextColumn("{task.description:<11}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn(
            "{task.fields[note]}",
            table_column=Column(ratio=1),  # on several lines if one is too short
        ),
    )
    with Bars(*columns, console=console, expand=True) as bars:
        yield lambda name, unit="": Meter(name, bars, unit)


@contextmanager
def training(steps: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give a function that shows each step's line of log.jsonl."""
    with meters() as meter:
        show = meter("train")

        def watch(line: dict[str, Any]) -> None:
            show(line["step"] + 1, steps, step_figures(line))

        yield watch


@contextmanager
def passes() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows the progress of each task."""
    with meters() as meter:
        yield anew(meter)


def anew(meter: Callable[[str], Callable[..., None]]) -> Callable[[str, int, int], None]:
    """Return a function that shows tasks; a task that begins again gets a new meter."""
    shown: dict[str, tuple[int, Callable[..., None]]] = {}

    def watch(task: str, done: int, total: int) -> None:
        before, show = shown.get(task) or (done, meter(task))
        show = meter(task) if done < before else show
        shown[task] = done, show
        show(done, total)

    return watch


def step_figures(line: dict[str, Any]) -> str:
    """Return a training step's figures as a short text.

    >>> line = {"loss": 4.25, "val_loss": None, "lr": 6e-4, "norm": 1.0, "tokens_per_s": 5e4}
    >>> step_figures(line | {"mfu": 0.41})
    'loss 4.250  lr 0.0006  norm 1.00  50,000 tokens/s  MFU 41 %'
    """
    parts = [f"loss {line['loss']:.3f}" if line.get("loss") is not None else "loss not finite"]
    if line.get("val_loss") is not None:
        parts.append(f"val {line['val_loss']:.3f}")
    parts.append(f"lr {line['lr']:.2g}")
    if line.get("norm") is not None:
        parts.append(f"norm {line['norm']:.2f}")
    if line.get("tokens_per_s"):
        parts.append(f"{line['tokens_per_s']:,.0f} tokens/s")
    if line.get("mfu") is not None:
        parts.append(f"MFU {line['mfu']:.0%}".replace("%", " %"))
    parts += [f"{name} {value:.4g}" for name, value in line.get("scores", {}).items()]
    return "  ".join(parts)


def funnel_table(funnel: dict[str, Any]) -> Table:
    """Lay out the funnel: a line for each stage, and below it how many rows it dropped and why."""
    table = Table(title="What became of every row", title_justify="left", pad_edge=False)
    for name, justify in (("stage", "left"), ("read", "right"), ("kept", "right"), ("%", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("dropped, by reason", justify="left")
    for stage in funnel["stages"]:
        share = per_cent(stage["kept"] / stage["read"]) if stage["read"] else ""
        reasons = ", ".join(
            f"{count:,} {reason.partition('.')[2]}" for reason, count in stage["dropped"].items()
        )
        table.add_row(
            stage["stage"],
            f"{stage['read']:,}",
            f"{stage['kept']:,}",
            share,
            Text(visible(reasons)),  # which is not markup
        )
    return table


def passages_table(passages: Sequence[Passage]) -> str:
    """Return the lines of a funnel as a table."""
    return rendered(funnel_table({"stages": [asdict(passage) for passage in passages]}))


def passage_line(passage: Passage) -> str:
    """Return one line: how many of a step's rows were kept and dropped.

    >>> passage_line(Passage("crawl", 3, 1, {"crawl.http_4xx": 2}))
    'crawl: 1 of 3 kept; 2 http_4xx'
    """
    reasons = [f"{count:,} {reason.partition('.')[2]}" for reason, count in passage.dropped.items()]
    kept = f"{passage.stage}: {passage.kept:,} of {passage.read:,} kept"
    return "; ".join([kept, ", ".join(reasons)]) if reasons else kept


def corpus_line(funnel: dict[str, Any]) -> str:
    """Return one line: how large the corpus is.

    >>> corpus_line({"corpus": {"documents": 1200, "bytes": 5_300_000, "tokens": None}})
    'corpus: 1,200 documents, 5.3 MB of text'
    """
    corpus = funnel.get("corpus") or {}
    parts = []
    if corpus.get("documents") is not None:
        parts.append(f"{corpus['documents']:,} documents")
    if corpus.get("bytes") is not None:
        parts.append(f"{sized(corpus['bytes'])} of text")
    if corpus.get("tokens") is not None:
        parts.append(f"{corpus['tokens']:,} tokens")
    return "corpus: " + ", ".join(parts)


def judgement(found: dict[str, Any]) -> str:
    """Lay out the language and the rules' measures of one text, a line for each rule."""
    confidence = "" if found["confidence"] is None else f" ({found['confidence']:.2f})"
    language = f"language {found['language'] or 'unknown'}{confidence}"
    lines = [f"{found['id']}: {found['dropped_by'] or 'kept'}; {language}"]
    for rule, asked in found["measures"].items():
        bounds = [
            f"{word} {asked[key]:g}"
            for key, word in (("at_least", "at least"), ("at_most", "at most"))
            if asked[key] is not None
        ]
        mark = " " if asked["kept"] else "x" if asked["enabled"] else "-"
        off = [] if asked["enabled"] else ["off"]
        lines.append(f"  {mark} {rule:<47} {asked['measure']:>8.4g}   {', '.join(bounds + off)}")
    return "\n".join(lines)


def cluster_lines(passage: Passage, sizes: dict[str, Any]) -> Iterator[str]:
    r"""Yield lines: how large the clusters are, and last how many rows were kept and dropped.

    >>> sizes = {"clusters": 3, "sizes": {"2": 2, "12": 1}, "large_clusters": 1}
    >>> print(*cluster_lines(Passage("dedup", 20, 7, {"dedup.near": 13}), sizes), sep="\n")
    3 clusters by size: 2 of 2, 1 of 12
    1 was above the limit: each of its rows was measured against the keeper
    7 of 20 rows kept; dropped: 13 near
    """
    groups = list(sizes["sizes"].items())
    told = ", ".join(f"{count:,} of {size}" for size, count in groups[:SIZES_SHOWN])
    more = f", and {len(groups) - SIZES_SHOWN} more sizes" if len(groups) > SIZES_SHOWN else ""
    if groups:
        yield f"{sizes['clusters']:,} clusters by size: {told}{more}"
    if large := sizes["large_clusters"]:
        were = "was" if large == 1 else "were"
        yield f"{large:,} {were} above the limit: each of its rows was measured against the keeper"
    reasons = ", ".join(f"{n:,} {why.partition('.')[2]}" for why, n in passage.dropped.items())
    yield f"{passage.kept:,} of {passage.read:,} rows kept" + f"; dropped: {reasons}" * bool(
        reasons
    )
