"""`webtext forget`, as it is called."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from webtext.flows.commands.corpus.keep import forget
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.urls import forgotten

HOW_TO = Path(__file__).parents[4] / "docs" / "remove-a-site.md"


def run(*arguments):
    return CliRunner().invoke(forget, [*map(str, arguments)], catch_exceptions=False)


def test_names_are_taken_from_the_command_line_and_from_files_and_listed_without_them(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("# asked by mail\nexample.org\n\nhttps://other.test/page  # the second\n")
    data = tmp_path / "data"
    done = run("example.com", names, "--reason", "asked  by mail", "--data", data)
    assert "3 more to forget" in done.output
    assert (
        "0 more to forget; 1 was known"
        in run("example.com", "--reason", "b", "--data", data).output
    )
    found = forgotten.read(data)
    for url in ("http://a.example.com/", "http://example.org/", "http://other.test/page"):
        assert found(url)
    said = run("--data", data).output
    assert said.count("asked by mail") == 3
    assert "example" not in said


def test_the_commands_of_the_how_to_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = HOW_TO.read_text()
    commands = [
        line for part in said.split("```sh\n")[1:] for line in part.partition("```")[0].splitlines()
    ]
    assert len(commands) == 3
    for line in commands:
        program, name, *arguments = shlex.split(line)
        assert (program, name) == ("webtext", "forget")
        assert run(*arguments, *["--yes"] * ("--purge" in arguments)).exit_code == 0
    assert len(forgotten.read(tmp_path / "data").entries) == 2


def test_a_list_of_names_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfexample.com\r\nexample.org\r\n")
    run(tmp_path / "names.txt", "--reason", "asked by mail", "--data", tmp_path / "data")
    found = forgotten.read(tmp_path / "data")
    assert found("http://www.example.com/a")
    assert found("http://example.org/")


@pytest.mark.parametrize("reason", [(), ("--reason", " ")])
def test_a_request_without_a_reason_or_a_name_is_refused(tmp_path, reason):
    with pytest.raises(UserError, match="--reason: found none"):
        run("example.com", *reason, "--data", tmp_path / "data")
    (tmp_path / "empty").write_text("# nobody\n")
    with pytest.raises(UserError, match="names nothing"):
        run(tmp_path / "empty", "--reason", "asked", "--data", tmp_path / "data")
    assert not (tmp_path / "data").exists()
