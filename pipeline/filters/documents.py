"""From pages to judged documents: a chain of stages over every shard, in one pass.

The text is not written between the stages; a shard of pages gives a shard of documents of the same
number, and beside it the rows that a stage dropped, with their text as far as they got.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa

from webtext.pipeline.archive.warc_import import page_batches, page_count
from webtext.pipeline.core.pool import each, tick
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory, row_count
from webtext.pipeline.core.stage import Passage, Stage, fates, run_chain


def documents(
    chain: Sequence[Stage], pages: Directory, out: Directory, workers: int, progress: Progress
) -> list[Passage]:
    """Take every shard of `pages` through `chain`; return each stage's line of the funnel.

    Raises:
        UserError: a shard of pages, or a WARC file that it points to, is missing or damaged.
        PipelineError: a stage lost rows, or a shard killed its worker twice.
    """
    numbers = pages.numbers("outcomes")
    waiting = [number for number in numbers if not out.shard(number).exists()]
    kept = {number: page_count(pages, number) for number in numbers}
    # The largest shards first, so that no worker starts one when the others have finished.
    waiting.sort(key=lambda number: -kept[number])
    total = sum(kept[number] for number in waiting)
    each(partial(run_shard, tuple(chain), pages, out), waiting, workers, progress, total)
    return passages(chain, out, sum(kept.values()))


def run_shard(chain: Sequence[Stage], pages: Directory, out: Directory, number: int) -> None:
    """Take one shard of pages through the chain."""
    run_chain(
        chain,
        _ticking(page_batches(pages, number)),
        out.shard(number),
        out.shard(number, under="dropped"),
    )


def _ticking(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Report each batch when the next is asked for, that is when it is done."""
    for batch in batches:
        yield batch
        tick(batch.num_rows)


def passages(chain: Sequence[Stage], out: Directory, read: int) -> list[Passage]:
    """Count, from the files, what went into each stage and what it dropped.

    Raises:
        PipelineError: what the files hold does not add up to `read`.
    """
    reasons = fates(out.shards("dropped"))
    found = []
    for stage in chain:
        dropped = {why: n for why, n in reasons.items() if why.startswith(f"{stage.name}.")}
        kept = read - sum(dropped.values())
        found.append(Passage(stage.name, read, kept, dropped))
        read = kept
    rows = sum(map(row_count, out.shards()))
    found.append(Passage("documents", read, rows, {}))
    return found[:-1]
