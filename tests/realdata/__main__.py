"""The whole way on real sites: `python -m tests.realdata [DIR]`.

The sites are served from their WARC files over HTTP and HTTPS on loopback, crawled through real
submissions that link to them, and everything after that is as users run it: the commands
themselves, one after the other, timed from outside.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tests.realdata.pace import pace_of
from webtext.pipeline.steps import STEPS

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
RECIPE = Path(__file__).with_name("miniweb.toml")
PORT = 18_080
WEBTEXT = [sys.executable, "-m", "webtext"]


def main() -> None:
    """Run it all and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where to work; else a temporary one")
    chosen = parser.parse_args().folder
    if not SHARED.is_dir():
        sys.exit(f"needs the real data in {SHARED}, which is not part of the project")
    work = chosen or Path(tempfile.mkdtemp(prefix="miniweb-"))
    work.mkdir(parents=True, exist_ok=True)
    data = work / "data"
    print(f"working in {work}", flush=True)
    with replaying(work):
        for step in dict.fromkeys(step.name for step in STEPS):
            timed(
                step, "build", str(RECIPE), "--data", str(data), "--until", step, *overrides(work)
            )
        timed("again", "build", str(RECIPE), "--data", str(data), *overrides(work))
    print(pace_of(work / "access.jsonl", tomllib.loads(RECIPE.read_text())["crawl"]["delay"]))
    tokens = said("path", "tokens", "--data", str(data))
    timed("train", "train", "tiny", "--tokens", tokens, "--run", str(work / "tiny"))
    print(said("report", "--data", str(data), "--run", str(work / "tiny")))
    print(said("sample", str(work / "tiny"), "--prompt", "The town", "--tokens", "60"))
    show_documents(Path(said("path", "corpus", "--data", str(data))))


def overrides(work: Path) -> list[str]:
    """Return where the sources lie and where hosts are looked up, as the command line takes it."""
    dump = SHARED / "links" / "miniweb_submissions_PAIRED.jsonl.zst"
    here = [f"*:80:127.0.0.1:{PORT}", f"*:443:127.0.0.1:{PORT + 1}"]
    lines = [
        f"links.sources = {json.dumps([str(dump)])}",
        f"crawl.connect_to = {json.dumps(here)}",
        f"crawl.ca_file = {json.dumps(str(work / 'ca.pem'))}",
    ]
    return [part for line in lines for part in ("--set", line)]


@contextmanager
def replaying(work: Path) -> Iterator[None]:
    """Serve the recorded sites until the block ends."""
    archives = [str(SHARED / "miniweb" / name) for name in ("sites.warc.zst", "news.warc.zst")]
    command = [*WEBTEXT, "replay", *archives, "--port", str(PORT), "--ca", str(work / "ca.pem")]
    with subprocess.Popen([*command, "--log", str(work / "access.jsonl")], cwd=ROOT) as server:
        try:
            while not (work / "ca.pem").exists() or not listening():
                if server.poll() is not None:
                    sys.exit("the replay server did not start")
                time.sleep(0.2)
            yield
        finally:
            server.terminate()


def listening() -> bool:
    """Whether somebody answers on the replay's port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT + 1)) == 0


def timed(name: str, *arguments: str) -> None:
    """Run a command; print its time and the peak memory of its largest process."""
    started = time.monotonic()
    result = subprocess.run(
        [*WEBTEXT, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=False
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{name:<11} {time.monotonic() - started:7.1f} s, peak so far {peak:6.0f} MB", flush=True)
    if result.returncode:
        sys.exit(f"{' '.join(arguments)}: exit code {result.returncode}")


def said(*arguments: str) -> str:
    """Return what a command prints on stdout."""
    environment = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(
        [*WEBTEXT, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env=environment,
    ).stdout.strip()


def show_documents(corpus: Path) -> None:
    """Print the first lines of ten documents, the same ten on every run."""
    for row in pl.read_parquet(corpus / "0*.parquet").sort("id").head(10).to_dicts():
        print(f"\n{row['url']}\n  {row['text'][:300]!r}")


if __name__ == "__main__":
    main()
