"""Is training right and fast on this machine's GPU? One command, and one receipt.

    make gpu    (PYTHONPATH=.types python3 -m tests.gpu [--device cuda] [--quick] [--receipt FILE])

Wanted are a CUDA device, Python 3.11 and torch 2.11 or newer, and nothing else: no package of the
crawl, no network. First what must hold (`tests/gpu/correct.py`), then tokens a second against
compiled nanoGPT (`tests/gpu/fast.py`), which is left out where no clone of it lies in
`.bench-venv/nanoGPT`. It takes less than nine minutes. `--device cpu --quick` runs the same code
with tiny sizes, to see that it works; its figures mean nothing.

The receipt is one JSON object; `python -m tests.gpu.table RECEIPT` makes README's table of it:

    date                            when, as 2026-11-27
    device, torch, triton, python   what it ran on (triton null where there is none)
    seconds                         how long it took
    correct    a list: name, passed, seconds, and found (figures, or what went wrong)
    fast       a list: size ("124M"), windows (of a microbatch), who ("webtext", "nanoGPT"),
               masked (whether documents are), tokens_per_s, mfu (null where the device's peak is
               unknown), memory (bytes taken at most, null on the CPU), start_s (until the first
               step was done)
    ratios     a list: size, windows, of (what is divided by what), ratio
    note       what else a reader should know; only where somebody wrote it

`correct`, or `fast` and `ratios`, is absent where it was left out by `--only`. Of the receipt that
is kept here, tests/gpu/receipt-h200.json, only what was known is there.

Exit code 1 where something does not hold; speed alone never fails.
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
    """Run both, and write down what was found."""
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
    """Return Triton's version, None where there is none."""
    try:
        import triton
    except ImportError:
        return None
    return str(triton.__version__)


if __name__ == "__main__":
    main()
