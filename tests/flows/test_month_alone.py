"""The commands of docs/a-month-alone.md, on a small web."""

import re
import shlex
import signal
import subprocess
import tomllib
from datetime import UTC, datetime

import pytest

from tests.flows.conftest import ROOT, command
from tests.flows.prefect.test_serve import settings, wait_until
from webtext.flows.building.settings import SHIPPED, load

MOST_SECONDS = 600.0  # s for a command; the build takes 40 on two free cores
TEXT = (ROOT / "docs" / "a-month-alone.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def run(words, folder):
    """Run a command to its end, `serve` until it serves; return its exit code and its output."""
    said = folder / "said.txt"
    with said.open("w") as output:
        process = subprocess.Popen(
            command(*words), cwd=folder, env=settings(folder), stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        if words[0] == "serve":
            wait_until(lambda: "stop with Ctrl-C" in said.read_text() or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
        return process.wait(MOST_SECONDS), said.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_command_does_what_the_page_says(small_web, tmp_path):
    (recipe,) = blocks("toml")
    wanted = tomllib.loads(recipe)
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps" / "RS_2015-01.zst").write_bytes(small_web.dump.read_bytes())
    # The page's recipe, with what lets it crawl a small web on this machine quickly.
    own = (SHIPPED / "demo.toml").read_text()
    connect = small_web.options[3]
    text = own.replace("[links]", f"[links]\nsources = {wanted['links']['sources']}")
    text = text.replace("[crawl]", f"[crawl]\n{connect.removeprefix('crawl.')}")
    text = f"{text}\n[snapshots]\nkeep = {wanted['snapshots']['keep']}\n"
    (tmp_path / "growing.toml").write_text(text)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 7
    for line in lines:
        program, *words = shlex.split(line.replace("2026-10", f"{datetime.now(UTC):%Y-%m}"))
        assert program == "webtext"
        if words[0] == "serve":
            words += ["--port", "0"]  # another test's server may have the usual one
        code, said = run(words, tmp_path)
        assert code == 0, f"{line}: {said}"
        assert "Traceback" not in said
        if words[0] == "plan":
            assert "tokens      to make" in said
        if words[0] == "serve":
            assert "next: " in said
    assert "everything there is needed" in said, "the last asks what is not"
    assert not (tmp_path / "failures.jsonl").exists()


def test_its_recipe_is_one(tmp_path):
    (recipe,) = blocks("toml")
    (tmp_path / "growing.toml").write_text(recipe)
    assert load(str(tmp_path / "growing.toml"), []).snapshots.keep == 12
