"""The light distribution: the same files, fewer libraries, and what to install for the rest."""

import json
import os
import subprocess
import tomllib
import venv
import zipfile
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.pipeline.filters.own.test_own_sources import SENTENCES
from tests.wheels import FOLDERS, ROOT, light, wheel

TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
FULL = tomllib.loads(TEXT)
LIGHT = tomllib.loads(light(TEXT))
EXTRAS = FULL["tool"]["webtext"]["light"]


def test_nothing_but_the_name_and_what_is_asked_for_differs():
    changed = {"name": "webtext", "dependencies": FULL["project"]["dependencies"]}
    extras = {"optional-dependencies": FULL["project"]["optional-dependencies"]}
    assert LIGHT | {"project": LIGHT["project"] | changed | extras} == FULL
    assert LIGHT["project"]["name"] == "webtext-light"
    left = LIGHT["project"]["optional-dependencies"]
    assert {**left, **extras["optional-dependencies"]} == left


def test_what_is_light_and_its_extras_are_together_what_webtext_asks_for():
    found = LIGHT["project"]["optional-dependencies"]
    named = {line for extra in EXTRAS for line in found[extra]}
    asked = LIGHT["project"]["dependencies"]
    assert not named & set(asked)
    assert sorted([*named, *asked]) == sorted(FULL["project"]["dependencies"])
    assert found["all"] == [f"webtext-light[{','.join(EXTRAS)}]"]
    with pytest.raises(KeyError, match="turch"):
        light(TEXT.replace('"torch"]', '"turch"]'))


def brought(lines):
    """Return the installed distributions that some requirements bring, also indirectly."""
    found = {}
    waiting = [*map(Requirement, lines)]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name not in found:
            found[name] = distribution(name)
            for asked in map(Requirement, found[name].requires or []):
                extras = [{"extra": extra} for extra in ("", *one.extras)]
                if asked.marker is None or any(map(asked.marker.evaluate, extras)):
                    waiting.append(asked)
    return found.values()


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that has nothing but the light wheel and the libraries that it asks for."""
    home = tmp_path_factory.mktemp("light")
    venv.create(home / "env", symlinks=True)
    [site] = home.glob("env/lib/python*/site-packages")
    made = wheel(home, light(TEXT), "--no-build-isolation")
    zipfile.ZipFile(made).extractall(site)
    for one in brought(LIGHT["project"]["dependencies"]):
        tops = {file.parts[0] for file in one.files or [] if file.parts[0] not in NOT_OURS}
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(one.locate_file(top))
    return home / "env" / "bin" / "python"


NOT_OURS = {"..", "__pycache__"}  # scripts; and what a module in one file is compiled to

# Calls the command again and again in one process, for each takes a second to import its libraries.
CALLS = """
import contextlib, io, json, sys
from webtext.flows.commands.command_line import main

for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    code, said, out = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as error:
            code = error.code or 0
    print(json.dumps([code, out.getvalue(), said.getvalue()]))
"""


def calls(python, folder, *commands):
    """Return the exit code of each command, and what it wrote to both streams."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    lines = json.dumps([[*map(str, words)] for words in commands])
    done = subprocess.run(
        [python, "-P", "-c", CALLS, lines],
        cwd=folder,
        env=known,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path):
    """Some own texts, a page and a list of links."""
    texts = (SENTENCES.replace("lake", f"{chr(97 + n)}{n}lake") for n in range(12))
    rows = [{"url": f"http://h{n}.example/", "text": text} for n, text in enumerate(texts)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "page.html").write_text(f"<title>One</title><article><p>{SENTENCES}</p></article>")
    (tmp_path / "links.txt").write_text("http://a.example/\n")
    (tmp_path / "own.toml").write_text(
        '[documents]\nsources = ["own.jsonl"]\n[tokens]\nval_fraction = 0.3\n'
    )
    return tmp_path


def test_the_light_wheel_has_the_same_files(python):
    [made] = python.parents[2].glob("*.whl")
    assert made.name.startswith("webtext_light-")
    shipped = {name for name in zipfile.ZipFile(made).namelist() if ".dist-info/" not in name}
    assert shipped == {
        ("" if part == "webtext" else "webtext/") + str(path.relative_to(ROOT))
        for part in FOLDERS
        for path in (ROOT / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


WORK = """
--version
extract page.html
judge own.jsonl
filter own.jsonl -o kept.parquet --workers 1
dedup kept.parquet --id url -o clusters.parquet --keep unique.parquet --workers 1
build own.toml --workers 1
report
"""


def test_texts_are_worked_on_by_the_light_libraries_alone(python, folder):
    found = calls(python, folder, *map(str.split, WORK.strip().splitlines()))
    assert [code for code, _, _ in found] == [0] * 7, found[-1]
    version, page, judged, filtered, deduped, built, report = found
    assert version[1] == "webtext, version 0.1.0\n"
    assert SENTENCES.split()[0] in page[1]
    assert "gopher_quality.word_count" in judged[1]
    assert "kept.parquet" in filtered[1]
    assert "of 12 rows kept; dropped: " in deduped[2]
    assert "needs prefect, which is not installed: pip install 'webtext-light[flows]'" in built[2]
    assert " tokens" in report[1]
    assert "the page with plots needs duckdb" in report[2]


LACKING = {
    "crawl": "crawl links.txt --contact mailto:a@a.example",
    "flows": "serve own.toml",
    "inspect": "inspect",
    "train": "train tiny --tokens . --run first",
    "crawl,inspect,train": "demo",
}


def test_a_command_whose_extra_is_missing_says_which(python, folder):
    commands = [*LACKING.values(), "doctor --offline"]
    found = calls(python, folder, *map(str.split, commands))
    *told, (well, checks, _) = found
    for extra, (code, out, said) in zip(LACKING, told, strict=True):
        assert (code, out) == (2, ""), said
        assert said.endswith(f"not installed: pip install 'webtext-light[{extra}]'\n"), said
        assert said.count("\n") <= 2  # `serve` says first what it is
    assert well == 0, checks
    assert "training needs torch" in checks
    assert not list(folder.glob("data/*-*")), "no step was begun"


def test_a_library_that_nobody_brings_is_a_bug_of_ours(python, folder):
    code = (
        "from webtext.flows.commands import command_line\n"
        "def gone(): import nowhere_to_be_found\n"
        "command_line._settle = gone\n"
        "command_line.main()"
    )
    done = subprocess.run(
        [python, "-P", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
