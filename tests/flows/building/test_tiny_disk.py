"""A build whose disk is full at any write, and a folder that is not to be written to."""

import json
import subprocess
import sys

from tests.flows.conftest import ROOT


def test_a_build_survives_a_disk_that_is_full_at_one_write_after_the_other(tmp_path, own_disk):
    command = [sys.executable, "-m", "tests.flows.building.tiny_disk", str(tmp_path), "8"]
    done = subprocess.run([*own_disk, *command], cwd=ROOT, capture_output=True, text=True,
                          check=False, timeout=280)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["said"]) > 25
    for line in found["said"]:
        assert "\n" not in line
        assert "no space left on the disk" in line.lower() or "No space left on device" in line
    stopped = {line.rpartition("/data/")[2].partition("-")[0] for line in found["said"]}
    assert {"pages", "documents", "signatures", "duplicates", "corpus"} <= stopped
    assert found["tiny"] == found["roomy"], "the same bytes, however often it was full"
