"""A small web on loopback, and the commands as users run them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from webtext.flows.commands import command_line
from webtext.flows.demo.demo_server import serving

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = frozenset({"aiohttp", "click", "jinja2", "pyarrow", "rich"})
PAGES = 240


@dataclass(frozen=True)
class SmallWeb:
    """Where the submissions lie and where their hosts are looked up."""

    dump: Path
    port: int

    @property
    def options(self) -> list[str]:
        """The overrides that let a recipe crawl this web."""
        lines = [
            f"links.sources = [{str(self.dump)!r}]",
            f"crawl.connect_to = ['*:80:127.0.0.1:{self.port}', '*:443:127.0.0.1:{self.port}']",
            "crawl.first_byte_timeout = 3.0",
            "crawl.max_delay = 5.0",
            "links.shards = 4",
            "links.shard_records = 1",
            "tokens.shard_tokens = 20_000",
        ]
        return [part for line in lines for part in ("--set", line)]


@pytest.fixture(scope="session")
def small_web(tmp_path_factory) -> Iterator[SmallWeb]:
    """Serve a reduced demo web for the whole session."""
    dump = tmp_path_factory.mktemp("web") / "submissions.zst"
    with serving(dump, PAGES, PACKAGES) as port:
        yield SmallWeb(dump, port)


def webtext(*arguments: str | Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(),
        timeout=280,
        check=False,
    )


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of a command."""
    return [sys.executable, "-m", "webtext", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return an environment in which a child finds the packages whatever its directory is."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


@pytest.fixture
def told(capsys) -> Callable[..., tuple[int, str]]:
    """Return what runs a command in this process and gives its exit code and what it said."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        before = sys.argv
        sys.argv = ["webtext", *map(str, arguments)]
        try:
            command_line.main()
            code = 0
        except SystemExit as end:
            code = end.code
        finally:
            sys.argv = before
        return code, capsys.readouterr().err

    return run
