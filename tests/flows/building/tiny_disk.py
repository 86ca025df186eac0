"""Build on a disk of our own that is too small, and make it larger whenever it is full.

    unshare --user --map-root-user --mount python -m tests.flows.building.tiny_disk DIR KB

The disk is a tmpfs, which nobody else sees. Prints what was said each time, and the sha256 of every
file that the build has made, there and on a disk that has room.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.pipeline.warcfile import http, record
from webtext.flows.building.run_build import run_steps
from webtext.flows.building.settings import load
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError

STEP = 4  # kB, a page of tmpfs's
WORDS = ["miller", "sons", "donkey", "cat", "boots", "bag", "door", "bread", "thorns", "coins"]


def archive(path: Path, pages: int = 24) -> None:
    """Write a WARC file of pages in English, no two alike."""
    with path.open("wb") as file:
        for n in range(pages):
            text = "".join(
                f"<p>When the {WORDS[(n + i) % 10]} had gone, nobody of them knew that the "
                f"{WORDS[(n * i) % 10]} was with the other {n * 7 + i} and would not come back.</p>"
                for i in range(14)
            )
            body = f"<html><body><h1>A page</h1>{text}</body></html>".encode()
            file.write(record(f"http://h{n}.test/", http(body), number=n))


def steps(directory: Path, data: Path):
    return Build(load("webtext", overrides(directory)), data).plan()


def overrides(directory: Path) -> list[str]:
    return [f"pages.warc = ['{directory}/a.warc']", "tokens.shard_tokens = 5000"]


def files(planned):
    return {step.name: step.home.manifest()["files"] for step in planned}


def main(directory: Path, size: int) -> None:
    """Build until all is made."""
    archive(directory / "a.warc")
    disk = directory / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "none", str(disk), "-o"]
    subprocess.run([*mount, f"size={size}k"], check=True)
    said = []
    while True:
        try:
            planned = steps(directory, disk / "data")
            run_steps(planned, disk / "data", 0)
            break
        except (UserError, OSError) as error:
            said.append(str(error))
        size += STEP
        subprocess.run([*mount, f"remount,size={size}k"], check=True)
    roomy = steps(directory, directory / "roomy")
    run_steps(roomy, directory / "roomy", 0)
    print(json.dumps({"said": said, "tiny": files(planned), "roomy": files(roomy)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
