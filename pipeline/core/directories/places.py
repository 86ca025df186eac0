"""Where the files of a step's directory are: most in it, some of a corpus' beside it."""

import re
from pathlib import Path

MANIFEST = "manifest.json"
REPORT = "report.html"  # the page that `webtext report` and scheduled builds write
ABOUT = "about"  # folder beside the directories, with what is no shard of a corpus
FORGOTTEN = "forgotten.jsonl"  # beside the directories: what is left out on request
PURGING = ".purging"  # folder beside them while a purge has begun and not ended
PLAN = "plan.json"  # in that folder
SHARD = re.compile(r"\d{5}\.parquet")


def about(home: Path) -> Path:
    """Return the folder of a directory's files that are no shards of kept rows: often itself.

    A corpus has nothing but shards in its directory, so that whatever reads a folder of Parquet
    files reads all of it and nothing else; all other files are in `about/` beside it, in a folder
    of the same name.
    """
    beside = home.parent / ABOUT / home.name
    return beside if beside.is_dir() else home


def at(home: Path, name: str) -> Path:
    """Return the path of a directory's file, by its name in the manifest or of `there`."""
    if SHARD.fullmatch(name):
        return home / name
    if name.startswith((f"{home.name}/", f"{ABOUT}/")):
        return home.parent / name
    return about(home) / name


def home_of(path: Path) -> Path | None:
    """Return the complete directory that holds a file, None if there is none."""
    for folder in (path.parent, path.parent.parent):
        home = folder
        if folder.parent.name == ABOUT and (folder.parent.parent / folder.name).is_dir():
            home = folder.parent.parent / folder.name
        if (about(home) / MANIFEST).exists():
            return home
    return None


def name_of(home: Path, path: Path) -> str:
    """Return the name of a directory's file, as `there` has it."""
    beside = about(home)
    mine = path.parent == home and SHARD.fullmatch(path.name) is not None
    if beside == home or mine:
        return str(path.relative_to(home))
    root = beside if path.is_relative_to(beside) and path.parent != beside else home.parent
    if path.parent == beside and not SHARD.fullmatch(path.name):
        root = beside
    return str(path.relative_to(root))
