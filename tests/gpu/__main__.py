"""Is training correct and fast on this machine's GPU? One command writes one receipt.

    make gpu    (PYTHONPATH=.types python3 -m tests.gpu [--device cuda] [--quick] [--receipt FILE])

It needs only a CUDA device, Python 3.11 and torch 2.11 or newer: no package of the crawl, no
network. First it checks correctness (`tests/gpu/correct.py`), then it measures tokens a second
against compiled nanoGPT (`tests/gpu/fast.py`), which is left out if there is no clone of it in
`.bench-venv/nanoGPT`. It takes less than nine minutes. `--device cpu --quick` runs the same code
with tiny sizes, to test that it works; its figures mean nothing.

The receipt is one JSON object; `python -m tests.gpu.table RECEIPT` makes the table of
`docs/train-on-a-gpu.md` from it:

    date                            of the run, as 2026-11-27
    device, torch, triton, python   the GPU and the versions (triton null if not installed)
    seconds                         the duration
    correct    a list: name, passed, seconds, and found (figures, or the error)
    fast       a list: size ("124M"), windows (of a microbatch), who ("webtext", "nanoGPT"),
               masked (whether documents are masked), tokens_per_s, mfu (null if the device's peak
               is unknown), memory (peak, in bytes, null on the CPU), start_s (until the end of the
               first step)
    ratios     a list: size, windows, of (the names of dividend and divisor), ratio
    note       a remark for readers; only if somebody wrote one

`correct`, or `fast` and `ratios`, are absent if `--only` left them out. The repository's receipt,
tests/gpu/receipt-h200.json, has only the fields whose values were known.

Exit code 1 if a check of correctness fails; a low speed never fails.
"""

import argparse
import json
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from tests.gpu import correct, fast
from webtext.model.machine.device import device_name


def main() -> None:
    """Run the checks and the measurements, and write the receipt."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--only", choices=("correct", "fast"))
    parser.add_argument("--receipt", type=Path, default=Path("gpu-receipt.json"))
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device here; `--device cpu --quick` shows only that the code runs")
    started = time.monotonic()
    place = torch.device(options.device)
    receipt: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": device_name(place),
        "torch": torch.__version__,
        "triton": triton_version(),
        "python": platform.python_version(),
    }
    print(f"{receipt['device']}, torch {receipt['torch']}, triton {receipt['triton']}", flush=True)
    if options.only != "fast":
        receipt["correct"] = correct.check(place, quick=options.quick)
    if options.only != "correct":
        receipt["fast"] = fast.measure(options.device, quick=options.quick)
        receipt["ratios"] = fast.ratios(receipt["fast"])
    receipt["seconds"] = round(time.monotonic() - started, 1)
    options.receipt.write_text(json.dumps(receipt, indent=1) + "\n", encoding="utf-8")
    print(f"{receipt['seconds']:.0f} s; the receipt is {options.receipt}")
    if not all(one["passed"] for one in receipt.get("correct", ())):
        sys.exit(1)


def triton_version() -> str | None:
    """Return Triton's version, None if it is not installed."""
    try:
        import triton
    except ImportError:
        return None
    return str(triton.__version__)


if __name__ == "__main__":
    main()
