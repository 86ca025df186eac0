"""A user without an entry, a home or a name, as `docker run --user` makes one."""

import shutil
import subprocess
import sys

import pytest

from tests.flows.conftest import ROOT

NOBODY = ["unshare", "--user", "--map-user=54321"]  # no entry has this number
PROGRAM = """
import getpass, os, sys, tempfile
from pathlib import Path
if sys.argv[1] == "settle":
    from webtext.flows.building import homeless
    homeless.settle()
home = Path.home()
assert home.is_dir() and os.access(home, os.W_OK), home
print(home, getpass.getuser())
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(dir=sys.argv[2])
from prefect.server.api.server import create_app  # asks for a home when it is imported
import torch._inductor.runtime.cache_dir_utils as cache_dirs
print(cache_dirs.default_cache_dir())
"""


@pytest.fixture
def nobody():
    """The command before one that runs as a user without an entry."""
    if (
        not shutil.which("unshare")
        or subprocess.run([*NOBODY, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("this system lets nobody have another number")
    return NOBODY


def run(nobody, tmp_path, *more):
    command = [*nobody, "env", "-i", "PATH=/usr/bin:/bin", f"TMPDIR={tmp_path}"]
    return subprocess.run(
        [*command, f"PYTHONPATH={ROOT}", sys.executable, "-c", PROGRAM, *more, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip


def test_libraries_that_ask_for_a_home_and_a_name_get_them_and_leave_nothing(nobody, tmp_path):
    (tmp_path / "kept").mkdir()
    done = run(nobody, tmp_path, "settle")
    assert done.returncode == 0, done.stderr
    home, name, *_ = done.stdout.split()
    assert name == "uid-54321"
    assert home.startswith(f"{tmp_path}/webtext-home-")
    assert not list(tmp_path.glob("webtext-home-*")), "it is gone with the process"


def test_without_that_they_have_none(nobody, tmp_path):
    done = run(nobody, tmp_path, "leave")
    assert done.returncode != 0
    assert "home directory" in done.stderr
