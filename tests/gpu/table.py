"""The table of a GPU's figures in `docs/train-on-a-gpu.md`, made from a receipt of `make gpu`.

python -m tests.gpu.table [RECEIPT]             print the table
python -m tests.gpu.table [RECEIPT] --write     replace the table in that page

The default RECEIPT is the one next to this module. `tests/gpu/__main__.py` describes the fields of
a receipt; the table needs device, date, torch, fast and ratios, and adds the note.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KEPT = HERE / "receipt-h200.json"
PAGE = HERE.parents[1] / "docs" / "train-on-a-gpu.md"
START, END = "<!-- python -m tests.gpu.table --write -->\n", "<!-- its end -->\n"
PARTS = 8  # microbatches of a step, the same as in tests/gpu/fast.py
HEAD = """\
| | windows at once | webtext, tokens/s | nanoGPT, compiled | ratio | memory, GB |
|---|--:|--:|--:|--:|--:|
"""


def table(receipt: dict[str, Any]) -> str:
    """Return a receipt's figures as a table in Markdown, and a line with device and versions.

    A row is a model and a microbatch; if documents are masked, the ratio is to the unmasked speed.

    Raises:
        KeyError: the receipt lacks a field that the table needs.
    """
    found = {(f["size"], f["windows"], f["who"], f["masked"]): f for f in receipt["fast"]}
    ratios = {(r["size"], r["windows"], r["of"]): r["ratio"] for r in receipt["ratios"]}
    rows = []
    for (size, windows, who, masked), ours in found.items():
        if who != "webtext":
            continue
        theirs = None if masked else found.get((size, windows, "nanoGPT", False))
        ratio = ratios.get((size, windows, "masked by not" if masked else "webtext by nanoGPT"))
        memory = [gigabytes(one["memory"]) for one in (ours, theirs) if one is not None]
        cells = (
            f"{size}, documents masked" if masked else size,
            str(windows),
            f"{ours['tokens_per_s']:,.0f}",
            "" if theirs is None else f"{theirs['tokens_per_s']:,.0f}",
            "" if ratio is None else f"{ratio:.3f}" + " of unmasked" * masked,
            " / ".join(memory) if any(memory) else "",
        )
        rows.append("| " + " | ".join(cells) + " |\n")
    note = f" {receipt['note'][0].upper()}{receipt['note'][1:]}." if receipt.get("note") else ""
    what = f"{receipt['device']}, torch {receipt['torch']}, {receipt['date']}; context 1,024, bf16,"
    return f"{HEAD}{''.join(rows)}\n{what} {PARTS} parts a step.{note}\n"


def gigabytes(count: float | None) -> str:
    """Return bytes in GB; an empty text if they are unknown."""
    return "" if count is None else f"{count / 1e9:.1f}"


def placed(text: str, made: str) -> str:
    """Return a text in which the part between the markers is replaced.

    Raises:
        ValueError: the text lacks a marker.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"wanted the lines {START!r} and {END!r}, in this order")
    return before + start + made + end + after


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("receipt", type=Path, nargs="?", default=KEPT)
    parser.add_argument("--write", action="store_true", help="into the page")
    options = parser.parse_args()
    try:
        made = table(json.loads(options.receipt.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"{options.receipt}: no receipt of `make gpu` with speeds ({error!r})")
    if options.write:
        PAGE.write_text(placed(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
    else:
        print(made, end="")


if __name__ == "__main__":
    main()
