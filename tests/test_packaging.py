"""What is installed is one package, whole, and no file of the user's is taken for a part of it."""

import ast
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import webtext

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = ("webtext", "pipeline", "model", "flows")
SAME_EVERYWHERE = {"__init__", "__main__", "settings", "step", "errors"}
# Of the user's, in the working directory: names of ours, of libraries and of Python's own modules
# that a process of ours imports.
HOSTILE = ("pipeline", "model", "flows", "click", "numpy", "pyarrow", "random", "signal", "socket")


def modules():
    """Yield each module's file."""
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_every_folder_of_the_package_is_listed_and_ships():
    prefixes = {folder: "" if folder == "webtext" else "webtext." for folder in FOLDERS}
    files = [
        path.relative_to(ROOT)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    folders = {prefixes[file.parts[0]] + ".".join(file.parent.parts) for file in files}
    setuptools = PROJECT["tool"]["setuptools"]
    assert folders == set(setuptools["packages"])
    data = {prefixes[f.parts[0]] + ".".join(f.parent.parts) for f in files if f.suffix != ".py"}
    assert data == set(setuptools["package-data"])


def test_every_folder_of_modules_says_what_it_is_for():
    for path in modules():
        init = path.parent / "__init__.py"
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), init


def test_no_two_modules_have_one_name():
    seen = {}
    for path in modules():
        if path.stem not in SAME_EVERYWHERE:
            assert path.stem not in seen, f"{path} and {seen[path.stem]}"
            seen[path.stem] = path


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in modules()}), ids=lambda p: p.name
)
def test_no_room_is_a_corridor(folder):
    assert len([path for path in folder.glob("*.py") if path.stem != "__init__"]) <= 12


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package as it would be published."""
    made = tmp_path_factory.mktemp("wheel")
    source = made / "source"
    source.mkdir()
    for name in (*FOLDERS, "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*build, "-w", made, "."], cwd=source, check=True, capture_output=True)
    [path] = made.glob("*.whl")
    return path


def test_a_wheel_holds_one_package_with_all_its_files(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"webtext"}
    shipped = {name for name in names if ".dist-info/" not in name}
    here = {
        ("" if folder == "webtext" else "webtext/") + str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == here


def test_the_public_face_is_what_it_says(tmp_path):
    for name in webtext.__all__:
        assert getattr(webtext, name).__name__ == name
    assert set(webtext.__all__) <= set(dir(webtext))
    with pytest.raises(AttributeError, match=r"module 'webtext' has no attribute 'nonsense'"):
        _ = webtext.nonsense


def test_importing_webtext_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import webtext; print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "{'webtext'}"


def test_the_list_of_commands_imports_no_library_but_clicks(tmp_path):
    """So it is there in a third of a second; what a command needs it imports itself."""
    code = (
        "import sys; from webtext.flows.commands.command_line import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "print(*{name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:]))"
    )
    heavy = ("torch", "prefect", "aiohttp", "pyarrow", "numpy", "pydantic", "trafilatura",
             "sklearn", "numba", "duckdb", "tiktoken", "huggingface_hub", "rich")  # fmt: skip
    done = run(tmp_path, sys.executable, "-P", "-c", code, *heavy)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


@pytest.fixture
def hostile(tmp_path):
    """A working directory of somebody who has files called like modules.

    Each leaves a mark, for a process that fails may be started again by another one.
    """
    for name in HOSTILE:
        mark = f"open({str(tmp_path / name)!r} + '.imported', 'w').close()"
        (tmp_path / f"{name}.py").write_text(f"{mark}\nraise SystemExit('was imported')\n")
    return tmp_path


@pytest.fixture
def installed(wheel, tmp_path_factory):
    """A Python where the wheel is installed; its libraries are those of the tests' own."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    [site] = home.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    (site / "libraries.pth").write_text(
        sysconfig.get_path("purelib")
    )  # not their .pth: no checkout
    return home / "bin" / "python"


def run(folder, *arguments):
    """Run a command with nothing on its path but what is installed."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [*arguments], cwd=folder, env=known, capture_output=True, text=True, check=False
    )


SCRIPT = Path(sys.executable).with_name("webtext")
WAYS = [[sys.executable, "-m", "webtext"], [str(SCRIPT)]]


@pytest.mark.parametrize("way", WAYS, ids=["module", "script"])
def test_a_users_files_are_not_taken_for_ours(hostile, way):
    said = run(hostile, *way, "--help")
    assert said.returncode == 0, said.stderr
    planned = run(hostile, *way, "plan", "demo", "--set", "links.sources = []")
    assert planned.returncode == 2
    assert "nothing to begin with" in planned.stderr


@pytest.mark.parametrize("way", WAYS, ids=["module", "script"])
def test_nor_in_the_processes_that_are_started(hostile, way):
    text = "It is the custom of the page to have some words on it, and to say them twice. " * 20
    page = f"<html><head><title>A page</title></head><article><p>{text}</article></html>"
    (hostile / "page.html").write_text(page)
    done = run(hostile, *way, "extract", "page.html")  # in the sandbox's process
    assert "It is the custom" in done.stdout, done.stderr
    rows = "".join(f'{{"id": "{name}", "text": "one and two and three"}}\n' for name in "abc")
    (hostile / "rows.jsonl").write_text(rows)
    words = ["dedup", "rows.jsonl", "-o", "out.parquet", "--workers", "2"]
    done = run(hostile, *way, *words)  # in those that multiprocessing starts
    assert done.returncode == 0, done.stderr
    assert not list(hostile.glob("*.imported"))


def test_what_is_installed_builds_beside_a_users_files(hostile, installed):
    archive = ROOT / "tests" / "samples" / "miniweb" / "sites.warc.zst"
    sets = ["--set", f"pages.warc = [{str(archive)!r}]", "--set", "links.shards = 2"]
    made = [*sets, "--no-prefect", "--until", "documents", "--workers", "2"]
    done = run(hostile, installed, "-m", "webtext", "build", "webtext", *made)
    assert done.returncode == 0, done.stderr
    assert list(hostile.glob("data/documents-*/*.parquet"))
    assert not list(hostile.glob("*.imported"))
    code = "import webtext; print(webtext.__file__)"
    where = run(hostile, installed, "-P", "-c", code).stdout.strip()
    assert Path(where).is_relative_to(installed.parents[1])


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_what_is_installed_runs_the_demo_beside_a_users_files(hostile, installed):
    done = run(hostile, installed, "-m", "webtext", "demo")
    assert done.returncode == 0, done.stderr
    assert list(hostile.glob("demo/runs/tiny/checkpoints/*"))
    assert not list(hostile.glob("*.imported"))


def test_what_is_installed_is_found_from_anywhere(tmp_path):
    code = "import webtext.pipeline.words.document as found; print(found.__file__)"
    done = run(tmp_path, sys.executable, "-P", "-c", code)
    assert done.returncode == 0, done.stderr
    assert find_spec("webtext.pipeline.words.document").origin == done.stdout.strip()
