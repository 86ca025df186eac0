"""The documents say what is true, and all of it."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.picture import MARKS, picture
from webtext.flows.commands.command_line import cli

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_is_in_the_readme(command):
    assert f"webtext {command}" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_says_what_it_does(command):
    assert cli.commands[command].help


def test_the_list_of_commands_fits_on_a_screen():
    lines = CliRunner().invoke(cli, ["--help"], terminal_width=80).stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines).split())
    assert all(f" {name} (" in said for name in cli.commands)


def test_every_path_that_the_documents_name_is_there():
    for name in ("README.md", "ARCHITECTURE.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for path in re.findall(r"`((?:pipeline|model|flows|webtext|tests)/[\w./*-]*)`", text):
            assert list(ROOT.glob(path.rstrip("/"))), f"{name} names {path}"


def test_the_picture_of_the_rooms_is_that_of_the_code():
    drawn = MARKS.search((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert drawn is not None
    assert picture() in drawn[0], "run `make picture`"


def test_what_contributors_are_sent_to_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:pipeline|model|flows|webtext|tests|\.github)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path


def test_make_help_lists_every_target_that_the_readme_names():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named <= targets


def test_no_module_is_longer_than_400_lines():
    for package in ("pipeline", "model", "flows", "webtext", "tests"):
        for path in (ROOT / package).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
