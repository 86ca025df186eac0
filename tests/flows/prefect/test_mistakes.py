"""What a user can correct is one line and exit code 2, before any server is started."""

import subprocess

import pytest

from tests.flows.building.test_homeless import nobody  # noqa: F401 -- a fixture
from tests.flows.conftest import command
from tests.flows.prefect.test_serve import settings

LINKS = ("--until", "links", "--set", "links.sources = ['links.txt']")
NOWHERE = "http://127.0.0.1:9/api"  # the port of "discard", where nobody listens
WRONG = {
    "cron": (["--cron", "nonsense"], {}, "nonsense: no schedule: Invalid cron string"),
    "at": (["--at", "25:99"], {}, "--at 25:99: no time; wanted 03:00 (each day)"),
    "zone": (["--at", "03:00", "--timezone", "No/Where"], {}, "No/Where: no such time zone"),
    "two": (["--at", "03:00", "--every", "1d"], {}, "--every"),
    "port": (["--port", "80"], {}, "port 80 cannot be had (Permission denied); choose another"),
    "server": ([], {"PREFECT_API_URL": NOWHERE}, f"PREFECT_API_URL={NOWHERE}: does not answer"),
    "address": ([], {"PREFECT_API_URL": "nonsense"}, "nonsense: no address of a Prefect server"),
    "data": (["--data", "closed"], {}, "Prefect's state cannot be written there"),
    "home": ([], {"PREFECT_HOME": "closed/home"}, "Prefect's state cannot be written there"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("options", "variables", "said"), WRONG.values(), ids=WRONG)
def test_it_is_one_line_and_exit_code_2(nobody, tmp_path, options, variables, said):  # noqa: F811
    (tmp_path / "links.txt").write_text("http://example.com/a\n")
    (tmp_path / "closed").mkdir(mode=0o555)
    words = command("serve", "webtext", "--port", "0", *LINKS, *options)
    done = subprocess.run(
        [*nobody, *words], cwd=tmp_path, env=settings(tmp_path) | variables, capture_output=True,
        text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, "where it is, and what is wrong"
    assert said in lines[1]


@pytest.mark.slow
def test_a_home_that_cannot_be_written_stops_no_build(nobody, tmp_path):  # noqa: F811
    (tmp_path / "links.txt").write_text("http://example.com/a\n")
    (tmp_path / "home").mkdir(mode=0o555)
    left_out = ("XDG_STATE_HOME", "XDG_CACHE_HOME")
    env = {name: value for name, value in settings(tmp_path).items() if name not in left_out}
    done = subprocess.run(
        [*nobody, *command("build", "webtext", *LINKS)], cwd=tmp_path,
        env=env | {"HOME": str(tmp_path / "home")}, capture_output=True, text=True, timeout=280,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "home").iterdir())
