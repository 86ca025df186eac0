"""`webtext filter` against datatrove, on texts of one's own, by FineWeb's rules, in one run.

    python -m tests.bench.own_texts [--documents 20000]

The documents are JSON Lines: texts of the small web in tests/samples, each repeated with another
first line. Both ask Gopher's, C4's and FineWeb's rules as datatrove's FineWeb example does, and
write what is kept, and what is dropped by which rule. Ours tells the language of each text as well;
datatrove's filter for that downloads a model, so it is left out there. Wall time, the best of two
runs in turn, with two processes each.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from tests.bench.peers import ROOT, python

PAGES = ROOT / "tests" / "samples" / "miniweb" / "sites.warc.zst"
RECIPE = """\
include = ["gopher-quality", "gopher-repetition-datatrove", "c4-datatrove", "fineweb-code"]
"""
SCRIPT = """\
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

if __name__ == "__main__":
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader("in", glob_pattern="*.jsonl"),
            GopherRepetitionFilter(exclusion_writer=JsonlWriter("out/dropped/repetition")),
            GopherQualityFilter(exclusion_writer=JsonlWriter("out/dropped/gopher")),
            C4QualityFilter(
                filter_no_terminal_punct=False, exclusion_writer=JsonlWriter("out/dropped/c4")
            ),
            FineWebQualityFilter(exclusion_writer=JsonlWriter("out/dropped/fineweb")),
            JsonlWriter("out/kept"),
        ],
        tasks=2,
        workers=2,
        logging_dir="out/logs",
    ).run()
"""


def documents(folder: Path, count: int) -> Path:
    """Write so many rows to `own.jsonl`, and the same to two files in `in/`."""
    pages = folder / "pages.jsonl"
    command = [sys.executable, "-m", "webtext", "extract", str(PAGES), "-o", str(pages)]
    subprocess.run(command, check=True)
    texts = [row["text"] for line in pages.open("rb") if (row := orjson.loads(line))["text"]]
    rows = [
        orjson.dumps({"id": f"d{n}", "text": f"Edition {n}.\n{texts[n % len(texts)]}"}) + b"\n"
        for n in range(count)
    ]
    (folder / "own.jsonl").write_bytes(b"".join(rows))
    (folder / "in").mkdir()
    for part in (0, 1):
        (folder / "in" / f"{part}.jsonl").write_bytes(b"".join(rows[part::2]))
    return folder / "own.jsonl"


def seconds(command: list[str], folder: Path) -> float:
    """Run a command; return its wall time."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return time.monotonic() - began


def main() -> None:
    """Run both in turn, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    chosen = parser.parse_args()
    theirs, ours = str(python("datatrove")), sys.executable
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = documents(folder, chosen.documents).stat().st_size / 1e6
        (folder / "fineweb.py").write_text(SCRIPT, encoding="utf-8")
        (folder / "fineweb.toml").write_text(RECIPE, encoding="utf-8")
        words = ["filter", "own.jsonl", "-o", "kept.jsonl", "--recipe", "fineweb.toml"]
        filtering = [ours, "-m", "webtext", *words, "--workers", "2"]
        found = [
            (seconds([theirs, "fineweb.py"], folder), seconds(filtering, folder)) for _ in range(2)
        ]
    slow, fast = (min(times) for times in zip(*found, strict=True))
    lines = sum(bool(line.strip()) for line in SCRIPT.splitlines())
    print(
        f"{chosen.documents:,} documents, {size:.0f} MB, {os.cpu_count()} cores: datatrove "
        f"{slow:.1f} s, {lines} lines written; webtext filter {fast:.1f} s, "
        f"{len(RECIPE.splitlines())} line: {slow / fast:.1f} times as fast"
    )


if __name__ == "__main__":
    main()
