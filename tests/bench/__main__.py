"""Ratios against the tools that one would take instead, each pair in one run: `make bench`.

The peers live in an environment of their own, `.bench-venv`, made here on the first run.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".bench-venv"
PEERS = ("datasketch", "rensa", "text-dedup", "datatrove", "orjson", "spacy")
BENCHES = (
    ("harvest against merely parsing", "tests.bench.harvest", ()),
    ("the frontier at ten thousand and at a million URLs", "tests.bench.frontier", ()),
    ("deduplication against four libraries", "tests.bench.dedup", ("--documents", "20000")),
    ("clustering of millions of signatures", "tests.bench.dedup_scale", ()),
)


def main() -> None:
    """Make the peers' environment where it is missing, then run every benchmark in turn."""
    if not (VENV / "bin" / "python").exists():
        print(f"installing {', '.join(PEERS)} into {VENV.name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--upgrade", "pip"], check=True)
        subprocess.run([*pip, *PEERS], check=True)
    for title, module, options in BENCHES:
        print(f"\n== {title}", flush=True)
        subprocess.run([sys.executable, "-m", module, *options], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
