"""Crawl onto a disk of our own that is too small, and make it larger whenever it is full.

    unshare --user --map-root-user --mount python -m tests.pipeline.crawl.small_disk DIR PORT KB KB

The disk is a tmpfs, which nobody else sees and which goes with the process; what the crawl left on
it is copied to DIR/whole. Prints how many times it was full.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.pipeline.crawl.survival import start


def main(directory: Path, port: int, size: int, step: int) -> int:
    """Crawl until done, with `size` kB of disk first and `step` more at a time."""
    disk, full = directory / "pages", 0
    mount = ["mount", "-t", "tmpfs", "none", str(disk), "-o"]
    subprocess.run([*mount, f"size={size}k"], check=True)
    while True:
        process = start(directory, port)
        process.join(250)
        if process.exitcode == 0:
            break
        if process.exitcode != 2:
            return 1
        full += 1
        subprocess.run([*mount, f"remount,size={size + full * step}k"], check=True)
    shutil.copytree(disk, directory / "whole")
    print(full)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
