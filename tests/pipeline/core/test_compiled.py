"""Machine code follows its source, and is kept where only its user can write."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from webtext.pipeline.core import compiled

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("pipeline", "flows", "model")


def test_every_kernel_is_kept_by_what_it_is_made_of():
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    texts = {path: path.read_text() for path in paths}
    assert sum("import njit" in text for text in texts.values()) >= 5
    bare = [str(path) for path, text in texts.items() if re.search(r"njit\(cache|numba\.jit", text)]
    assert bare == []


TWO = """
from webtext.pipeline.core import compiled
import numpy as np, sys
import {inner}
TABLE = {inner}.TABLE
@compiled.njit
def outer(x):
    return {inner}.inner(x) + TABLE[0]
print(outer(3), sum(outer.stats.cache_hits.values()))
"""
INNER = """
from webtext.pipeline.core.compiled import njit
import numpy as np
TABLE = np.array([{table}])
@njit
def inner(x):
    return x * {factor}
"""


def run(tmp_path, factor, table=0, place="here"):
    """Run a kernel that calls one of another file; return its value and whether it was kept."""
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    (folder / "webtext_inner.py").write_text(INNER.format(factor=factor, table=table))
    outer = folder / "webtext_outer.py"
    if not outer.exists():
        outer.write_text(TWO.format(inner="webtext_inner"))
    code = "from webtext.pipeline.core import compiled; compiled.ROOT = 'webtext_'; "
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code + "import webtext_outer"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(map(int, done.stdout.split()))


def test_a_change_in_another_file_is_never_answered_with_stale_machine_code(tmp_path):
    assert run(tmp_path, factor=2) == (6, 0)
    assert run(tmp_path, factor=2, place="another installation") == (6, 1)
    assert run(tmp_path, factor=5) == (15, 0)
    assert run(tmp_path, factor=5, table=1) == (16, 0)


@pytest.fixture
def places(monkeypatch, tmp_path):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    compiled.place.cache_clear()
    yield tmp_path
    compiled.place.cache_clear()


def test_a_home_that_is_not_there_or_not_writable_is_done_without(places, monkeypatch):
    def nobody():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nobody)
    expected = places / "tmp" / f"webtext-kernels-{os.getuid()}"
    assert compiled.place() == expected
    assert expected.stat().st_mode & 0o777 == 0o700
    compiled.place.cache_clear()
    (places / "file").write_text("")
    monkeypatch.setattr(Path, "home", lambda: places / "file")
    assert compiled.place() == expected


def test_a_folder_that_others_may_write_to_is_not_trusted(places, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: places / "home")
    mine = places / "home" / ".cache" / "webtext" / "kernels"
    mine.mkdir(parents=True)
    mine.chmod(0o777)
    theirs = places / "tmp" / f"webtext-kernels-{os.getuid()}"
    theirs.mkdir()
    theirs.chmod(0o770)
    assert compiled.place() is None
    kernel = compiled.njit(lambda x: x + 1)
    assert kernel(1) == 2
