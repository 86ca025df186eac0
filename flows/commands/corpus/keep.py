"""Verify the files on the disk, and remove those that nothing needs."""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options
from webtext.pipeline.core.directories.checked import about
from webtext.pipeline.core.errors import UserError

if TYPE_CHECKING:
    from webtext.pipeline.insight.purging.purge import Plan
    from webtext.pipeline.insight.verification import Difference


@click.command()
@click.argument("data", default="data", type=options.DataDirectory(path_type=Path, file_okay=False))
@click.option("--remake", "recipe", metavar="RECIPE", help="Then make again what differs.")
@options.workers
@options.overrides
@options.as_json
@click.pass_context
def verify(
    context: click.Context,
    data: Path,
    recipe: str | None,
    workers: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Recompute all that the manifests in DATA say; exit 1 if something differs.

    Checks the sha256 of every file, that every file is in a manifest, that no step lost or made up
    a row, that ids match their URLs, that WARC records match their digests, and that the tokens
    decode to the corpus. Changes nothing, unless --remake names the recipe: directories that differ
    are then moved aside and made again. Crawled files stay where they are; only damaged records are
    fetched again.
    """
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.build import Build
    from webtext.pipeline.insight.verification import directories

    found = []
    build = Build(None, data)
    with meters() as meter:
        for difference in build.verify(meter("verify")):
            found.append(difference)
            if not as_json:
                echo(difference)
    if as_json:
        told = [{"path": str(one.path), "said": one.said} for one in found]
        echo(json.dumps({"data": str(data), "differences": told}))
    if not found:
        count = len(directories(data, build.names))
        echo(f"{data}: {count} directories are what their manifests say", err=True)
        return
    for home, said in remedies(found, data):
        echo(f"{home}: {said}", err=True)
    if recipe is None:
        context.exit(1)
    remake(found, data, recipe, workers, overrides)


def remedies(found: "Iterable[Difference]", data: Path) -> "list[tuple[Path, str]]":
    """Return what to do with each directory that differs."""
    homes = dict.fromkeys(one.home for one in found if one.home != data)
    return [(home, _remedy(home, data)) for home in homes]


def _remedy(home: Path, data: Path) -> str:
    command = f"`webtext verify {data} --remake RECIPE`"
    if home.name.startswith("pages-"):
        return (
            f"put the right files back from a copy; or {command} takes up all records that are "
            "whole and fetches the damaged ones again; or build on, and each damaged record costs "
            "its page"
        )
    if home.name.startswith("links-"):
        return f"made again from its dumps, if they are still there, by {command}"
    return f"made again from what it was made of by {command}"


def remake(
    found: "Sequence[Difference]",
    data: Path,
    recipe: str,
    workers: int,
    overrides: tuple[str, ...],
) -> None:
    """Move the directories that differ aside, and build; nothing is removed.

    Raises:
        UserError: the recipe does not make these directories.
    """
    from webtext.flows.building.run_build import run_steps
    from webtext.flows.building.settings import load
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.directories.data_directory import locked
    from webtext.pipeline.core.directories.keeping import DAMAGED, noted_references, set_aside
    from webtext.pipeline.core.shards import sync_directory
    from webtext.pipeline.core.stores.working_copy import refuse

    refuse(data, "--remake")
    planned = Build(load(recipe, overrides), data).plan()
    archives = {step.home.path: step for step in planned if step.step.archive}
    made = {step.home.path.resolve() for step in planned}
    homes = list(dict.fromkeys(one.home for one in found if one.home != data))
    # What other crawls fetched stays as it is; whoever uses a damaged record fetches it again.
    used = {data / name for path in archives for name in noted_references(path)}
    homes = [home for home in homes if home in archives or home not in used]
    if strangers := [home for home in homes if home.resolve() not in made]:
        raise UserError(
            f"{strangers[0]}: not made by {recipe}, so that cannot make it again; name the recipe "
            "that does, with the same --set, or move that directory elsewhere"
        )
    with locked(data):
        for home in homes:
            added = [one.path for one in found if one.home == home and "no manifest" in one.said]
            if home in archives or home.name.startswith("pages-"):
                # Without its outcomes the crawl looks into each record before it believes it.
                made_by_it = ("manifest.json", "started.json", "outcomes", "index.cdxj")
                set_aside(home, DAMAGED, [*(home / name for name in made_by_it), *added])
            else:
                _moved(home)
        sync_directory(data)
    run_steps(planned, data, workers)


def _moved(home: Path) -> None:
    """Move a directory aside, and what lies beside it."""
    free, beside = _free(home), about(home)
    if beside != home:
        beside.rename(beside.with_name(free.name))
    if home.exists():  # not if an earlier run was stopped in between
        home.rename(free)


def _free(home: Path) -> Path:
    """Return a free path beside a directory, with a name that says which directory it was."""
    number = 1
    while (path := home.with_name(f"{home.name}.damaged-{number}")).exists():
        number += 1
    return path


@click.command()
@click.argument("recipes", nargs=-1, metavar="[RECIPE]...")
@options.data
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Whose corpora are kept.",
)
@click.option("--crawled", is_flag=True, help="Remove crawled directories as well.")
@click.option("--yes", is_flag=True, help="Remove them without asking.")
def gc(recipes: tuple[str, ...], data: Path, runs: Path, crawled: bool, yes: bool) -> None:
    """List the directories in DATA that nothing needs, with sizes; ask; then remove them.

    Needed are all inputs of the newest build, of each RECIPE and of each training run. Crawled
    directories are listed, and stay unless --crawled is given: only a new crawl could replace
    them, and a crawl that is not finished is no part of the newest build yet. A snapshot that
    another data directory is deduplicated against is its own newest build, and so stays.
    """
    from webtext.flows.building.settings import load
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.directories.data_directory import locked
    from webtext.pipeline.core.stores.working_copy import refuse

    refuse(data, "gc")
    with locked(data):
        names = [step.home.name for name in recipes for step in Build(load(name), data).plan()]
        found = Build(None, data).unreached(names, trained_on(runs))
        if not found:
            echo(f"{data}: everything there is needed", err=True)
            return
        stays = "" if crawled else "; stays, --crawled removes it too"
        for one in found:
            what = f"  cannot be had again without the network{stays}" if one.fetched else ""
            echo(f"{one.bytes / 1e6:>12,.1f} MB  {one.path}{what}")
        removed = [one for one in found if crawled or not one.fetched]
        if not removed:
            return
        size = sum(one.bytes for one in removed) / 1e6
        if not yes:
            click.confirm(f"Remove {len(removed)} ({size:,.1f} MB)?", abort=True, err=True)
        for one in removed:
            for path in {one.path, about(one.path)}:
                shutil.rmtree(path)
            (data / ".checked" / f"{one.path.name}.json").unlink(missing_ok=True)
        echo(f"removed {size:,.1f} MB", err=True)


def trained_on(runs: Path) -> list[str]:
    """Return the sha256 of the tokens of every training run.

    Raises:
        UserError: a run's own record cannot be read.
    """
    found = []
    for path in sorted(runs.glob("**/config.json")):
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"{path}: not JSON ({error}); put it right, so that gc sees what the "
                "run was trained on"
            ) from None
        tokens = config.get("tokens") if isinstance(config, dict) else None
        if isinstance(tokens, dict):
            found.append(str(tokens.get("sha256")))
    return found


@click.command()
@click.argument("what", nargs=-1, metavar="[DOMAIN|URL|FILE]...")
@click.option("--reason", help="Why: recorded, and shown by trace.")
@options.data
@click.option("--purge", is_flag=True, help="Remove it from all files in DATA too, after asking.")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Those among them that read what is purged are named.",
)
@click.option("--yes", is_flag=True, help="Purge without asking.")
def forget(
    what: tuple[str, ...], reason: str | None, data: Path, purge: bool, runs: Path, yes: bool
) -> None:
    """Leave pages or whole sites out of all later harvests, crawls and builds in DATA.

    A DOMAIN means all names under it; a FILE has a domain or a URL a line, with # before comments.
    Without any of them, lists what is forgotten. --purge removes all that is to be forgotten from
    what is in DATA already, and then looks for it in every file there; exit 1 if something is left.
    A build before it saves work: it takes from the present directories what it made of other pages.
    """
    from webtext.pipeline.core.directories.data_directory import locked
    from webtext.pipeline.urls import forgotten

    if not what and not purge:
        listed(data)
        return
    if what and not (reason and reason.strip()):
        raise UserError("--reason: found none; say why, as in --reason 'asked by mail, 2026-11-20'")
    requests = [forgotten.request(one) for one in said_in(what)]
    data.mkdir(parents=True, exist_ok=True)
    with locked(data):
        if requests:
            new = forgotten.record(data, requests, " ".join((reason or "").split()))
            known = len(requests) - len(new)
            tail = f"; {known} was known before" if known else ""
            said = "the next build leaves them out"
            echo(f"{data}: {len(new)} more to forget{tail}; {said}", err=True)
        if purge:
            purge_all(data, runs, yes)


def purge_all(data: Path, runs: Path, yes: bool) -> None:
    """Remove what is forgotten from all files, after asking, and look for what is left."""
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.build import Build
    from webtext.pipeline.insight.purging import purge as purging
    from webtext.pipeline.insight.purging.searching import left

    purging.check(data)
    with meters() as meter:
        found = purging.unfinished(data)
        if found is None:
            found = purging.plan(data, Build(None, data).names, meter("plan"))
            foretold(data, found)
            tell_runs(data, runs, found)
            if found and not yes:
                click.confirm("Remove it, for good?", abort=True, err=True)
            purging.begin(data, found)
        else:
            echo(f"{data}: going on with the purge that was interrupted", err=True)
        hits = purging.purge(data, found, meter("purge"))
    for page in dict.fromkeys((hit.kept, hit.kind) for hit in hits if hit.kept):
        echo(f"stays: {page[0]} has the same {page[1]}", err=True)
    if rest := left(hits, data):
        for line in rest:
            echo(line)
        raise UserError(
            f"{data}: something is left in {len(rest)} files that are not webtext's to change; "
            "remove them, then run: webtext forget --purge --data " + str(data)
        )
    purging.end(data)
    echo(f"{data}: nothing of it is left in any file there", err=True)


def foretold(data: Path, found: "Plan") -> None:
    """Say what will be changed and removed, with counts and sizes."""
    from webtext.pipeline.insight.purging.purge import size_of

    for name in found.pages:
        ranges = [one for file, there in found.warc.items() if f"{name}/" in file for one in there]
        size = sum(last - first for first, last in ranges) / 1e6
        echo(f"{size:>12,.1f} MB  {data / name}: {len(ranges):,} visits in its WARC files")
    for name, rows in found.removed.items():
        said = f"{rows:,} rows of it" if rows else "made of what changes"
        echo(f"{size_of(data, name) / 1e6:>12,.1f} MB  {data / name}: goes ({said})")
    for name, rows in found.harvested.items():
        echo(f"{'':>15}  {data}/.harvested/{name}: {rows:,} rows are made nameless")
    if found.labels:
        echo(f"{'':>15}  {data}/labels.jsonl: {found.labels:,} labels")
    if not found:
        echo(f"{data}: no directory there holds anything of it", err=True)
    else:
        echo("Dumps and WARC files of your own stay as they are.", err=True)


def tell_runs(data: Path, runs: Path, found: "Plan") -> None:
    """Say which training runs have read documents that go, and from which step on."""
    from webtext.flows.models.provenance import steps

    for path in sorted({*runs.glob("**/config.json"), *data.glob("runs/**/config.json")}):
        config = json.loads(path.read_text(encoding="utf-8"))
        tokens = config.get("tokens") if isinstance(config, dict) else None
        rows = found.documents.get(str(tokens.get("sha256"))) if isinstance(tokens, dict) else None
        if not rows:
            continue
        taken = [step for row in rows for step in steps(path.parent, row["id"])["steps"]]
        said = f"from step {min(taken):,} on, so do its later checkpoints" if taken else "never"
        echo(f"{path.parent}: {len(rows):,} of its documents go; it read them {said}")


def said_in(what: "Iterable[str]") -> list[str]:
    """Return the domains and URLs that are named, those in files too.

    Raises:
        UserError: a file that is not text, or in which nothing is named.
    """
    found = []
    for one in what:
        path = Path(one)
        if not path.is_file():
            found.append(one)
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not text in UTF-8 ({error}); wanted a name a line") from None
        named = [words[0] for line in lines if (words := line.split()) and words[0][0] != "#"]
        if not named:
            raise UserError(f"{path}: names nothing; wanted a domain or a URL a line")
        found += named
    return found


def listed(data: Path) -> None:
    """Print what is forgotten in a data directory: no names, which nothing there holds."""
    from webtext.pipeline.urls import forgotten

    entries = forgotten.recorded(data).entries
    for entry in entries:
        echo(f"{entry.asked[:10]}  {entry.kind} {entry.key[:16]}  {entry.reason}")
    if not entries:
        echo(f"{data}: nothing is forgotten there; name a domain, a URL or a file", err=True)
