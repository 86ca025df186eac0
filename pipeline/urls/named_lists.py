"""Lists of names as data files, each entry or group under its reason, so that a diff can be judged.

A line is a name in lower case; `#` opens a comment that says why. `# version: N` is raised when a
list changes, and so is the version of the stage that it decides for.
"""

from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def read_names(file: str) -> frozenset[str]:
    """Read a list that ships with the package."""
    lines = (DATA / file).read_text(encoding="utf-8").splitlines()
    return frozenset(name for line in lines if (name := line.partition("#")[0].strip()))
