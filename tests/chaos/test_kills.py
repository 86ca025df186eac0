"""A few of the kills of `make chaos`, on a directory whose pages are whole: no network."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.chaos import victims
from tests.chaos.kills import Trial, Undisturbed, begun, differences, missed
from tests.chaos.victims import started
from tests.chaos.whole import build

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("kills")
    made = build(folder)
    made.run(workers=0)

    def arguments(data: Path) -> list[str]:
        recipe = folder / "recipe.toml"
        return ["build", str(recipe), "--data", str(data), "--workers", "2"]

    return Undisturbed(made.data, arguments)


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("lock", "documents"),
        ("server", "tokens"),
        pytest.param("main", "documents", marks=pytest.mark.slow),  # test_whole_way kills it too
    ],
)
def test_the_same_command_ends_in_the_same_bytes_whoever_is_killed(whole, tmp_path, kind, step):
    assert missed(whole, Trial(kind, step, 0), tmp_path) is None


def test_a_command_that_hangs_is_told_and_killed_with_all_that_it_has_started(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(victims, "STILL_SECONDS", 1.0)
    code = (
        "import subprocess as s, sys; s.run([sys.executable, '-c', 'import time; time.sleep(99)'])"
    )
    running = started([sys.executable, "-c", code], tmp_path / "said", os.environ, tmp_path)
    with pytest.raises(TimeoutError, match="it hangs"):
        running.end()
    assert not running.orphans()


def test_what_differs_is_found(whole, tmp_path):
    trial = Trial("main", "tokens", 0)
    assert "other bytes in ['tokens-" in differences(whole, trial, begun(whole, "tokens", tmp_path))
    shutil.copytree(whole.data, tmp_path / "whole")
    assert differences(whole, trial, tmp_path / "whole") is None
    (tmp_path / "whole" / "left.partial").touch()
    assert "left over" in differences(whole, trial, tmp_path / "whole")
