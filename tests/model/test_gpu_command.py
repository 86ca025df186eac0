"""`make gpu` runs whole on the CPU, with tiny sizes."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_command_for_a_gpu_writes_its_receipt(tmp_path):
    receipt = tmp_path / "receipt.json"
    command = [sys.executable, "-m", "tests.gpu", "--device", "cpu", "--quick", "--only", "correct"]
    done = subprocess.run(
        [*command, "--receipt", str(receipt)],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    found = json.loads(receipt.read_text())
    assert {"device", "torch", "triton", "python", "seconds", "correct"} == set(found)
    assert len(found["correct"]) == 5
    assert all(one["passed"] for one in found["correct"])
    assert "at fault: block 0" in found["correct"][3]["found"]["told"]
