"""What `webtext forget` says and asks: what goes, which runs have read it, and what is left."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webtext.flows.building.output import echo
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.visible import sized

if TYPE_CHECKING:
    from webtext.pipeline.insight.purging.purge import Plan


def purge_all(data: Path, runs: Path, yes: bool) -> None:
    """Remove what is forgotten from all files, after asking, and look for what is left."""
    from webtext.flows.building.prefect_database import prefect_home, without_samples
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.build import Build
    from webtext.pipeline.insight.purging import purge as purging
    from webtext.pipeline.insight.purging.searching import left

    purging.check(data)
    with meters() as meter:
        found = purging.unfinished(data)
        going_on = found is not None
        if found is None:
            found = purging.plan(data, Build(None, data).names, meter("plan"))
            foretold(data, found)
            tell_runs(data, runs, found)
            if found and not yes:
                click.confirm("Remove it, for good?", abort=True, err=True)
            purging.begin(data, found)
        else:
            echo(f"{data}: going on with the purge that was interrupted", err=True)
        without_samples(prefect_home(data))
        hits = purging.purge(data, found, meter("purge"))
        if going_on and left(hits, data):  # of this machine, while another one had begun it
            purging.begin(data, more := purging.plan(data, Build(None, data).names).and_(found))
            hits = purging.purge(data, more, meter("purge"))
    for page in dict.fromkeys((hit.kept, hit.kind) for hit in hits if hit.kept):
        echo(f"stays: {page[0]} has the same {page[1]}", err=True)
    if rest := left(hits, data):
        for line in rest:
            echo(line)
        raise UserError(
            f"{data}: something is left in {len(rest)} files that are not webtext's to change; "
            "move them elsewhere, then run: webtext forget --purge --data " + str(data)
        )
    purging.end(data)
    echo(f"{data}: nothing of it is left in any file there", err=True)


def foretold(data: Path, found: "Plan") -> None:
    """Say what will be changed and removed, with counts and sizes."""
    from webtext.pipeline.insight.purging.purge import size_of

    for name in found.pages:
        ranges = [one for file, there in found.warc.items() if f"{name}/" in file for one in there]
        size = sum(last - first for first, last in ranges)
        echo(f"{sized(size):>15}  {data / name}: {len(ranges):,} visits in its WARC files")
    for name, rows in found.removed.items():
        said = f"{rows:,} rows of it" if rows else "made of what changes"
        echo(f"{sized(size_of(data, name)):>15}  {data / name}: goes ({said})")
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
    from webtext.flows.models.provenance import runs_in, steps, trained_on

    for run, config in runs_in(runs, data):
        rows = found.documents.get(str(trained_on(config)))
        if not rows:
            continue
        taken = [step for row in rows for step in steps(run, row["id"])["steps"]]
        said = f"from step {min(taken):,} on, so do its later checkpoints" if taken else "never"
        echo(f"{run}: {len(rows):,} of its documents go; it read them {said}")


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
            lines = path.read_text(encoding="utf-8-sig").splitlines()
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
