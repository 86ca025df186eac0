"""Damaged files, closed and full outputs, folders that take nothing: one line and an exit code."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.building.tiny_disk import archive, overrides, steps
from tests.flows.conftest import command, environment
from webtext.flows.building.run_build import run_steps

DAMAGES = {
    "empty": b"",
    "cut short": b'{"links": "li',
    "zeros": bytes(100),
    "no UTF-8": b"\xff\xfe{}",
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "an empty object": b"{}",
    "other kinds": b'{"links": 5, "passages": 7, "files": [], "stage": {}, "documents": []}',
    "other kinds within": b'{"links": "\\u0000", "passages": [1], "splits": 3, "documents": "x"}',
    "half of a passage": b'{"passages": [{"stage": "links"}], "splits": {"train": 1}}',
    "nested": b"[" * 100_000,
    "long numbers": b'{"a": ' + b"9" * 10_000 + b"}",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a data directory with everything from the pages to the tokens."""
    folder = tmp_path_factory.mktemp("faults")
    archive(folder / "a.warc")
    run_steps(steps(folder, folder / "data"), folder / "data", 0)
    return folder / "data"


def commands(data):
    return (
        ("report", "--data", data),
        ("path", "tokens", "--data", data),
        ("trace", "http://nowhere.test/", "--data", data),
        ("trace", "http://h3.test/", "--data", data),
    )


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize(
    "file", ["latest.json", "pages-*/manifest.json",
             "documents-*/manifest.json", "about/corpus-*/manifest.json",
             "about/corpus-*/stats.json", "tokens-*/stats.json"])  # fmt: skip
def test_a_damaged_file_is_named_in_a_line(built, told, file, damage):
    (path,) = built.glob(file)
    whole = path.read_bytes()
    path.write_bytes(damage)
    try:
        for words in commands(built):
            code, said = told(*words)
            assert code in (0, 2), (words, said)
            if code:
                assert said.startswith("webtext: ")
                assert said.count("\n") == 1, said
                assert any(
                    words in said for words in (path.name, "no whole", "nowhere.test", "h3.test")
                ), said
            assert "Traceback" not in said
    finally:
        path.write_bytes(whole)


def at(data):
    return "--data", data


def run(arguments, **streams):
    return subprocess.run(
        command(*arguments), env=environment(), text=True, check=False, timeout=280, **streams
    )


def test_an_output_that_is_full_is_told_in_a_line(built):
    for arguments in (
        ("--help",),
        ("report", "--data", built),
        ("path", "corpus", "--data", built),
    ):
        with Path("/dev/full").open("w") as full:
            done = run(arguments, stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "No space left on device" in done.stderr


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word(built):
    for arguments in (
        ("--help",),
        ("report", "--data", built),
        ("path", "corpus", "--data", built),
    ):
        with subprocess.Popen(
            command(*arguments), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            process.stdout.close()  # as `head` does, only sooner
            said = process.stderr.read()
        assert (process.returncode, said) == (0, b"")


def test_words_that_nobody_can_be_told_stop_no_work(built):
    with Path("/dev/full").open("w") as full:
        done = run(("report", "--data", built), stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == 0
    assert "corpus: " in done.stdout
    with Path("/dev/full").open("w") as full:
        done = run(("report", "--data", "nowhere"), stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == 2


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)], ids=str)
def test_streams_that_are_closed_from_the_start_stop_no_work(built, tmp_path, closed):
    """Else the first file that is opened has the number of the output, and gets what is printed."""
    page = tmp_path / "page.html"
    for words in (("report", "--data", built, "--html", page), ("init", "--yes", "-")):
        done = run(words, preexec_fn=lambda: [os.close(number) for number in closed])
        assert done.returncode == 0, done.stderr
    assert page.read_text().startswith("<!doctype html>")


COMMANDS = """--help
--version
settings
settings crawl
doctor --data DATA
init --yes -
plan webtext LINES --data DATA
path corpus --data DATA
build webtext --no-prefect LINES --data DATA
report --data DATA
report --json --data DATA
trace http://h3.test/ --data DATA
audit webtext LINES --data DATA
compare DATA DATA
similar rows.jsonl --data DATA
overlap rows.jsonl --data DATA
verify DATA
forget --data DATA
snapshots --data DATA
gc --data DATA
robots robots.txt /x /y
filter rows.jsonl -o -
extract page.html
extract --json page.html
judge rows.jsonl
dedup rows.jsonl -o -
train tiny --plan"""


@pytest.mark.slow  # starts each command four times
@pytest.mark.parametrize("line", COMMANDS.splitlines())
def test_every_command_ends_well_whatever_its_output_is(built, tmp_path, line):
    text = "the cat of miller had gone and nobody knew that she was there " * 20
    rows = (json.dumps({"id": n, "text": f"{text}{n}"}) for n in range(3))
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    (tmp_path / "page.html").write_text(f"<html><body><h1>Title</h1><p>{text}</p></body></html>")
    (tmp_path / "robots.txt").write_text("User-agent: *\nDisallow: /x\n")
    lines = [part for line in overrides(built.parent) for part in ("--set", line)]
    meant = {"DATA": [str(built)], "LINES": lines}
    words = [part for word in line.split() for part in meant.get(word, [word])]
    plain = run(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert plain.returncode == 0, plain.stderr
    with Path("/dev/full").open("w") as full:
        done = run(words, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 or not plain.stdout, done.stderr
    assert "Traceback" not in done.stderr
    with subprocess.Popen(
        command(*words), env=environment(), cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    done = run(words, cwd=tmp_path, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("data", ["/proc/nowhere", "/dev/null", "/dev/null/data", "/sys/data"])
def test_a_folder_that_takes_nothing_is_named(tmp_path, told, data):
    (tmp_path / "links.txt").write_text("http://a.test/\n")
    source = f"links.sources = ['{tmp_path}/links.txt']"
    code, said = told("build", "webtext", "--no-prefect", "--set", source, "--until", "links",
                      "--data", data)  # fmt: skip
    assert code == 2
    assert data in said
    assert "Traceback" not in said


def test_a_damaged_note_of_the_newest_is_written_anew(built, told, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(built, copy)
    (copy / "latest.json").write_bytes(b"{")
    lines = [part for line in overrides(built.parent) for part in ("--set", line)]
    code, said = told("build", "webtext", "--no-prefect", "--data", copy, *lines)
    assert (code, "nothing to do" in said) == (0, True), said
    assert (copy / "latest.json").read_bytes() == (built / "latest.json").read_bytes()


INTERRUPTED = """
import os, runpy, signal, sys

class Hook:
    def find_spec(self, name, *_):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Hook())
sys.argv = ["webtext", "plan", "demo"]
runpy.run_module("webtext", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("name", "code"), [("click", -signal.SIGINT), ("webtext.flows.building.settings", 130)]
)
def test_ctrl_c_while_a_command_starts_shows_no_traceback(tmp_path, name, code):
    """The first is imported before a command is known, the second by the command itself."""
    program = [sys.executable, "-P", "-c", INTERRUPTED.format(name=name)]
    done = subprocess.run(
        program, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert ("the same command goes on" in done.stderr) == (code == 130)
