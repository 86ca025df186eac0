"""A step of one's own, as ARCHITECTURE.md adds it: one file and one line, and all know it."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from webtext.flows.building.settings import load
from webtext.pipeline.core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
# Plans and runs the flow as it is, but for what would speak to a server.
FLOW = """
import sys
from webtext.flows.prefect import flow
from contextlib import nullcontext
from webtext.flows.building.watched import Watched
watched = Watched([], print, lambda step, *_: [print("task", step.name)] and [])
flow.recorded = lambda *_: nullcontext(watched)
flow.server = lambda: None
flow.build.fn("webtext", sys.argv[1], 1, "pages", sys.argv[2:])
"""
COMMANDS = """
import json, sys
from webtext.flows.commands.command_line import cli
for command in json.loads(sys.argv[1]):
    cli.main(command, standalone_mode=False)
    print(end="\\0", flush=True)
"""
ASKED = ["links.sources = ['links.txt']", "links.shards = 1", "domains.least = 2"]
SET = [word for line in ASKED for word in ("--set", line)]


def example() -> tuple[str, str, list[str]]:
    """Return the path and text of the file that the document adds, and the lines for STEPS."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition("## Adding a step\n")[2].partition("\n## ")[0]
    file, lines = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    name, folder = re.findall(r"`(\S+)`", section)[:2]
    return f"{folder}{name}", file, lines.splitlines()


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A copy of the package, in links, with one file and one line more."""
    folder = tmp_path_factory.mktemp("package")
    name, text, (imported, entry) = example()
    new = folder / "webtext" / name
    linked(ROOT / "webtext", folder / "webtext")
    for whole in ("model", "flows"):
        (folder / "webtext" / whole).symlink_to(ROOT / whole)
    linked(ROOT / "pipeline", folder / "webtext" / "pipeline")
    new.parent.unlink()
    linked(ROOT / "pipeline" / new.parent.name, new.parent)
    new.write_text(text, encoding="utf-8")
    steps = folder / "webtext" / "pipeline" / "steps.py"
    before = steps.read_text(encoding="utf-8")
    steps.unlink()
    after = before.replace("from webtext", f"{imported}\nfrom webtext", 1)
    steps.write_text(after.replace("    links.STEP,\n", f"    links.STEP,\n{entry}\n"), "utf-8")
    assert len(steps.read_text(encoding="utf-8").splitlines()) == len(before.splitlines()) + 2
    return folder


def linked(source: Path, folder: Path) -> None:
    """Make a folder of links to what is in another."""
    folder.mkdir()
    for path in source.iterdir():  # compiled kernels too
        (folder / path.name).symlink_to(path)


def said(package: Path, folder: Path, *commands: list[str]) -> list[str]:
    """Run commands of the copy in one process; return what each prints."""
    return run(package, folder, COMMANDS, json.dumps(commands)).split("\0")


def run(package: Path, folder: Path, *code: str) -> str:
    known = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", *code],
        cwd=folder, env=known, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def answers(package, tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder with links to two domains, built; and what plan, path, report and trace say."""
    folder = tmp_path_factory.mktemp("built")
    urls = ("http://example.com/a", "http://example.com/b", "http://other.org/")
    (folder / "links.txt").write_text("\n".join(urls) + "\n")
    return folder, said(
        package,
        folder,
        ["build", "webtext", "--until", "domains", "--no-prefect", "--workers", "1", *SET],
        ["plan", "webtext", *SET],
        ["path", "domains"],
        ["report"],
        ["trace", urls[0]],
        ["trace", urls[2]],
    )


def test_a_plan_has_the_new_step_in_its_place(answers):
    planned = [line.split()[:2] for line in answers[1][1].splitlines()]
    assert planned[:3] == [["links", "whole"], ["domains", "whole"], ["pages", "to"]]


def test_it_makes_a_directory_with_a_manifest_as_any_other(answers):
    folder, said = answers
    home = folder / said[2].strip()
    assert json.loads((home / "counts.json").read_text()) == {"example.com": 2}
    manifest = json.loads((home / "manifest.json").read_text())
    assert manifest["stages"]["domains"]["settings"] == {"least": 2}
    assert set(manifest["libraries"]) == {"python", "webtext", "pyarrow"}
    assert [name.rpartition("-")[0] for name in manifest["inputs"]] == ["links"]


def test_the_report_shows_its_figures_and_the_trace_what_it_knows(answers):
    folder, said = answers
    page = (folder / "data" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"<td>domains</td>.*domains linked 1", page)
    assert said[4].endswith("domains   one of 2 links to example.com\n")
    assert "domains " not in said[5]


def test_prefects_flow_makes_a_task_of_it(package, answers):
    tasks = run(package, answers[0], FLOW, "planned", *ASKED)
    assert tasks.split("\n")[:3] == ["task links", "task domains", "task pages"]


@pytest.mark.slow
def test_prefects_page_shows_its_figures(package, answers):
    until = ["--data", "seen", "--until", "domains"]
    said(package, answers[0], ["build", "webtext", *until, *SET])
    with closing(sqlite3.connect(Path(os.environ["PREFECT_HOME"]) / "prefect.db")) as database:
        told = dict(database.execute("SELECT key, data FROM artifact"))
    (text,) = (data for key, data in told.items() if key.endswith("-domains"))
    assert "domains: 3 of 3 (100 %)" in text


def test_it_is_verified_and_listed_where_nothing_needs_it(package, answers):
    folder = answers[0]
    again = ["build", "webtext", "--until", "domains", "--no-prefect", *SET[:-1]]
    more = ["verify", "data"], [*again, "domains.least = 1"], ["gc", "--yes"]
    home = folder / answers[1][2].strip()
    (home / "more.json").write_text("{}")
    found = said(package, folder, *more)
    assert "more.json: is there, though no manifest names it" in found[0]
    assert home.name in found[2]
    assert not home.exists()


def test_without_the_line_there_is_no_such_step():
    with pytest.raises(UserError, match="domains: unknown key"):
        load("webtext", ASKED)
