"""The step `documents`: from pages to filtered documents, by a chain of stages over every shard.

One pass: the text is not written between the stages. A shard of pages gives a shard of documents
with the same number, and beside it the rows that a stage dropped, with their text at that stage,
and a table of what was measured on both (`measures`).
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow as pa

from webtext.pipeline.archive.replaying.page_bodies import page_batches, page_count
from webtext.pipeline.core.directories.former import Former
from webtext.pipeline.core.directories.lookup import Row, first_row, lookup
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers, each, tick
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory, row_count
from webtext.pipeline.core.stage import Passage, Stage, fates, run_chain
from webtext.pipeline.core.step import Fact, Outside, Planned, Sought, Step
from webtext.pipeline.filters.decontaminate import Decontaminate
from webtext.pipeline.filters.measuring.measures import UNDER, Table
from webtext.pipeline.filters.measuring.reused import former_documents, reused
from webtext.pipeline.filters.own.own_rules import recorded_rules
from webtext.pipeline.filters.rules import Rules, reasons
from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.extraction import extract
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.text.language import REASONS as LANGUAGE_REASONS
from webtext.pipeline.text.language import Language
from webtext.pipeline.text.pii import Pii
from webtext.pipeline.urls.urls import shard_of
from webtext.pipeline.words.tongues import ENGLISH

log = logging.getLogger(__name__)

NAME = "documents"

FATES = {
    **extract.REASONS,
    "clean.no_text": "nothing was left of the text",
    **LANGUAGE_REASONS,
    **reasons(),
    "decontaminate.overlap": "holds word n-grams of an evaluation set; value: how many",
}


def chain_of(recipe: Any) -> tuple[Stage, ...]:
    """Return the stages from a page to a document, without those that are off."""
    chain: list[Stage] = [recipe.extract, recipe.clean, recipe.language, recipe.rules]
    if recipe.decontaminate.against:
        chain.append(recipe.decontaminate)
    if recipe.pii.enabled:
        chain.append(recipe.pii)
    return tuple(chain)


def check(recipe: Any) -> None:
    """Refuse a recipe whose extraction would drop pages in a language that is kept.

    Raises:
        UserError: it would; names the languages.
    """
    looked_for, kept = set(recipe.extract.languages), set(recipe.language.keep)
    if looked_for and not (kept and kept <= looked_for):
        missing = ", ".join(sorted(kept - looked_for)) or "every other language"
        raise UserError(
            f"extract.languages = {sorted(looked_for)} leaves out {missing}, which language.keep = "
            f"{sorted(kept)} keeps; name these in extract.languages too, or leave it empty"
        )


def outside(recipe: Any, _data: Path) -> Outside:
    """Return the identity of the files that rules and decontamination read.

    Raises:
        UserError: one does not exist.
    """
    return Outside(recipe.rules.fingerprints() | recipe.decontaminate.fingerprints() or None)


def foretell(planned: Planned) -> str:
    """Return which bounds are idle or were made for English, and which limits are lacking."""
    rules = next(stage for stage in planned.settings if isinstance(stage, Rules))
    kept = next(stage.keep for stage in planned.settings if isinstance(stage, Language))
    said = [f"{bound} cannot drop anything" for bound in rules.idle()]
    if kept != (ENGLISH,) and (groups := rules.for_english()):
        others = ", ".join(name for name in kept if name != ENGLISH) or "all languages"
        said.append(
            f"{', '.join(groups)}: the bounds were chosen for English, and {others} is judged by "
            "them as they are; look at what is dropped first"
        )
    if sys.platform != "linux":
        said.append(
            "extract.memory_mb: this system does not limit a process's memory as Linux does, so a "
            "page may take more"
        )
    return "; ".join(said)


# --- making documents ----------------------------------------------------------------------------


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Run the pages through the chain, but for those whose fate an earlier build knows."""
    found = former_documents(planned)
    pages = planned.read["pages"]
    return documents(planned.settings, pages, planned.home, workers, progress, found)


def documents(
    chain: Sequence[Stage],
    pages: Directory,
    out: Directory,
    workers: Workers,
    progress: Progress,
    found: Former | None = None,
) -> list[Passage]:
    """Run every shard of `pages` through `chain`; return each stage's line of the funnel.

    Raises:
        UserError: a shard of pages, or a WARC file that it points to, is missing or damaged.
        PipelineError: a stage lost rows, or a shard killed its worker twice.
    """
    numbers = pages.numbers("outcomes")
    waiting = [number for number in numbers if not out.shard(number).exists()]
    kept = {number: page_count(pages, number) for number in numbers}
    # The largest shards first, so that no worker starts one when the others are nearly done.
    waiting.sort(key=lambda number: -kept[number])
    total = sum(kept[number] for number in waiting)
    work = partial(run_shard, tuple(chain), pages, out, found)
    known = sum(each(work, waiting, workers, progress, total))
    if found and known:
        log.warning(
            "%s: %d of %d pages are not read again: %s has what became of them",
            out, known, total, found.home,
        )  # fmt: skip
    return passages(chain, out, sum(kept.values()))


def run_shard(
    chain: Sequence[Stage], pages: Directory, out: Directory, found: Former | None, number: int
) -> int:
    """Run one shard of pages through the chain; return how many were known from before."""
    with ExitStack() as stack:
        known = reused(found, pages, number)
        if known is not None:
            stack.enter_context(known)
        table = Table(chain, pages, out, number, known)
        run_chain(
            table.chain,
            _ticking(page_batches(pages, number, without=known.ids if known else None)),
            out.shard(number),
            out.shard(number, under="dropped"),
            table,
            known.passed if known else None,
        )
        return len(known.ids) if known else 0


def _ticking(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Report each batch when the next is requested, because then it is done."""
    for batch in batches:
        yield batch
        tick(batch.num_rows)


def passages(chain: Sequence[Stage], out: Directory, read: int) -> list[Passage]:
    """Count, from the files, the rows that each stage read and dropped.

    Raises:
        PipelineError: the rows in the files do not add up to `read`.
    """
    counted = fates(out.shards("dropped"))
    found = []
    for stage in chain:
        dropped = {why: n for why, n in counted.items() if why.startswith(f"{stage.name}.")}
        kept = read - sum(dropped.values())
        found.append(Passage(stage.name, read, kept, dropped))
        read = kept
    rows = sum(map(row_count, out.shards()))
    found.append(Passage(NAME, read, rows, {}))
    return found[:-1]


# --- following a document ------------------------------------------------------------------------


def follow(sought: Sought) -> Iterator[Fact]:
    """Return what was extracted, its language, and the rules' measures."""
    if sought.id is None:
        return
    directory, pages = sought.made[NAME], sought.made.get("pages")
    hint = shard_of(pages, sought.domain, "outcomes") if pages else None
    kept = first_row(directory, sought.id, hint=hint)
    if not (document := kept or first_row(directory, sought.id, "dropped", hint)):
        return
    shard, _, row = document
    fate = row.get("dropped_by")
    noted: Row = {}
    if shard in directory.numbers(UNDER):
        noted = dict(next(lookup(directory.shard(shard, under=UNDER), sought.id), (0, {}))[1])
    for fact in facts_of(directory.manifest().get("stages", {}), row, shard, noted):
        if fate and fact.stage == fate.partition(".")[0]:
            value = row["dropped_value"]
            why = {"dropped_by": fate, "dropped_value": value}
            yield Fact(fact.stage, {**fact.told, **why}, fact.lines, fate, value)
            return
        if fact.told:
            yield fact


def facts_of(stages: Row, row: Row, shard: int, noted: Row | None = None) -> Iterator[Fact]:
    """Yield the record of each stage for a document; empty if the stage records only drops.

    `stages` are the settings that the build recorded, `noted` its row of the table of measures.
    """
    text = row["text"] or ""
    about = {name: row[name] for name in ("title", "author", "date", "sitename")}
    size = {"characters": len(text), "words": len(text.split())}
    lines = [f"{size['characters']:,} characters, {size['words']:,} words"]
    lines += [f"{name}: {about[name]}" for name in ("title", "author", "date") if about[name]]
    yield Fact(Extract.name, {**size, **about, "shard": shard}, tuple(lines))
    yield Fact(Clean.name, {})
    yield language(stages, row)
    url = row["final_url"] or row["url"] or ""
    found = measures(stages, text, url, row["language"], noted)
    yield Fact(Rules.name, found, tuple(judgements(found)))
    yield Fact(Decontaminate.name, {})


def language(stages: Row, row: Row) -> Fact:
    """Return the language of a document, and the wanted ones."""
    asked = stages.get(Language.name, {}).get("settings", {})
    wanted = {name: asked[name] for name in ("keep", "min_probability") if name in asked}
    told = {"language": row["language"], "probability": row["language_probability"]}
    line = "none was recognised"
    if row["language"] is not None:
        bounds = ", ".join(f"{name} {value}" for name, value in wanted.items())
        line = f"{row['language']} at {row['language_probability']:.4f}"
        line += f" (wanted: {bounds})" * bool(bounds)
    return Fact(Language.name, {**told, "wanted": wanted}, (line,))


def measures(
    stages: Row,
    text: str,
    url: str = "",
    language: str | None = None,
    noted: Row | None = None,
) -> Row:
    """Return every rule's measure and threshold, by the settings that the build recorded.

    What the build noted is told as it was; the rest is measured on the stored text, which is the
    edited one if a rule edits kept texts.
    """
    if Rules.name not in stages:
        return {}
    recorded = stages[Rules.name]
    if recorded["version"] != Rules.version:
        return {
            "note": f"made by version {recorded['version']} of the rules, and this is version "
            f"{Rules.version}: what they measured is not known any more"
        }
    try:
        rules = recorded_rules(recorded["settings"])
    except (TypeError, ValueError) as error:
        return {"note": f"the recorded settings fit no rules of this version ({error})"}
    known = noted or {}
    found = [
        asked if known.get(asked.rule) is None else asked._replace(measure=known[asked.rule])
        for asked in rules.measures(text, url, language)
    ]
    # A rule of a user's own whose measure nobody noted is not run again, and says nothing.
    return {"measures": {asked.rule: asked.told for asked in found if not isnan(asked.measure)}}


def judgements(found: Row) -> Iterator[str]:
    """Yield lines with the measure of each enabled rule."""
    if "note" in found:
        yield found["note"]
        return
    enabled = {name: asked for name, asked in found.get("measures", {}).items() if asked["enabled"]}
    for name, asked in enabled.items():
        bounds = [
            f"{word} {asked[bound]:g}"
            for word, bound in (("at least", "at_least"), ("at most", "at_most"))
            if asked[bound] is not None
        ]
        mark = "" if asked["kept"] else "  <- objects"
        yield f"{name} {asked['measure']:.4g} ({', '.join(bounds)}){mark}"
    if not enabled:
        yield "no rule had a say"


STEP = Step(
    name=NAME,
    tables={
        "extract": Extract,
        "clean": Clean,
        "language": Language,
        "rules": Rules,
        "decontaminate": Decontaminate,
        "pii": Pii,
    },
    work=work,
    inputs=("pages",),
    bytes_depend_on=(
        "ada-url",
        "brotli",
        "ftfy",
        "langdetect",
        "llvmlite",
        "lxml",
        "msgspec",
        "numba",
        "numpy",
        "pyarrow",
        "regex",
        "Resiliparse",
        "safetensors",
        "tiktoken",
        "tldextract",
        "trafilatura",
        "webencodings",
        "zstandard",
    ),
    fates=FATES,
    wanted=lambda recipe: not recipe.documents.sources,
    stages=chain_of,
    outside=outside,
    check=check,
    foretell=foretell,
    follow=follow,
)
