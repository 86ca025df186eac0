"""`make gpu` runs whole on the CPU, with tiny sizes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu import fast
from tests.gpu.table import KEPT, PAGE, PARTS, placed, table

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
    assert {"date", "device", "torch", "triton", "python", "seconds", "correct"} == set(found)
    assert len(found["correct"]) == 5
    assert all(one["passed"] for one in found["correct"])
    assert "at fault: block 0" in found["correct"][3]["found"]["told"]


@pytest.fixture
def kept() -> dict:
    return json.loads(KEPT.read_text())


def test_readmes_table_is_what_the_receipt_gives(kept):
    text = PAGE.read_text()
    assert placed(text, table(kept)) == text, "python -m tests.gpu.table --write"


def test_the_receipt_divides_what_it_says(kept, capsys):
    assert kept["ratios"] == fast.ratios(kept["fast"])
    assert capsys.readouterr().out
    assert PARTS == fast.PARTS


def test_a_table_has_what_was_found_and_no_more(kept):
    alone = {**kept, "note": None, "ratios": [], "fast": kept["fast"][:1]}
    rows = table(alone).splitlines()
    assert rows[2] == "| 124M | 16 | 543,975 |  |  | 7.3 |"
    assert rows[-1].endswith("8 parts a step.")
    masked = table(kept).splitlines()[3]
    assert masked == "| 124M, documents masked | 16 | 528,054 |  | 0.971 of unmasked |  |"


def test_a_text_without_a_place_for_the_table_is_refused():
    with pytest.raises(ValueError, match="its end"):
        placed("no markers here", "a table")
