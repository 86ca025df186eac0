"""A wheel installed where nobody may write, and a user without a home, or without a usable one.

The user is somebody else than who installed it, as under `docker run --user`, and works in a folder
with files that are called like modules of ours.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.flows.building.test_homeless import nobody  # noqa: F401 -- a fixture
from tests.flows.building.tiny_disk import archive, overrides
from tests.test_packaging import FOLDERS, HOSTILE, ROOT

HOMES = {"none": None, "not writable": "home", "not there": "nowhere/home"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the Python of an environment with the wheel in it, all of it read-only."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    for name in (*FOLDERS, "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *alone, "-w", folder, "."], cwd=source, check=True)
    place = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    # All that webtext needs, as it lies here; a path in such a file runs no editable install.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(["chmod", "-R", "a-w", place], check=True)
    yield python
    subprocess.run(["chmod", "-R", "u+w", place], check=True)


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """A folder for temporary files that the tests share: kernels are compiled once."""
    return tmp_path_factory.mktemp("temporary")


@pytest.mark.timeout(5400)
@pytest.mark.slow  # it compiles all kernels anew, which takes a minute
@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
def test_a_user_without_a_home_builds_with_a_read_only_installation(
    nobody,  # noqa: F811 -- the fixture
    installed,
    temporary,
    tmp_path,
    home,
):
    work = tmp_path / "work"
    work.mkdir()
    for name in HOSTILE:
        (work / f"{name}.py").write_text(f"raise SystemExit('{name}.py was imported')\n")
    (tmp_path / "home").mkdir(mode=0o555)
    archive(work / "a.warc")
    given = [] if home is None else [f"HOME={tmp_path / home}"]
    before = ["env", "-i", "PATH=/usr/bin:/bin", f"TMPDIR={temporary}", *given]

    def run(*arguments):
        return subprocess.run(
            [*nobody, *before, *arguments], cwd=work, capture_output=True, text=True, check=False,
            timeout=1800,
        )  # fmt: skip

    def right(done, words):
        assert done.returncode == 0, done.stderr
        assert words in done.stderr + done.stdout
        for bad in ("Traceback", "was imported", "Permission denied"):
            assert bad not in done.stderr, done.stderr

    where = run(installed, "-P", "-c", "import webtext; print(webtext.__file__)")
    assert where.stdout.startswith(str(installed.parents[1])), where.stderr
    denied = run("touch", Path(where.stdout.strip()).parent / "pipeline" / "new.py")
    assert denied.returncode != 0, "it is read-only for this user"

    script = installed.with_name("webtext")
    sets = [part for line in overrides(work) for part in ("--set", line)]
    right(
        run(script, "build", "webtext", "--data", "data", "--workers", "2", *sets),
        "corpus: 2 documents",
    )
    right(run(script, "report", "--data", "data"), "corpus: 2 documents")
    right(run(script, "verify", "data"), "")
    tiny = [
        "--set",
        "train.steps = 2",
        "--set",
        "train.compile = false",
        "--set",
        "train.eval_tokens = 128",
    ]
    tokens = run(script, "path", "tokens", "--data", "data").stdout.strip()
    words = ["train", "tiny", "--tokens", tokens, "--run", "run", *tiny]
    right(run(script, *words), "")
    shutil.rmtree(work)
