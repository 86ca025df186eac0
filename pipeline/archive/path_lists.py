"""Lists of WARC files, such as the `warc.paths.gz` of each of Common Crawl's crawls.

A line is a path below the place that the list itself lies in: `crawl-data/CC-MAIN-2016-07/...` in
`s3://commoncrawl/crawl-data/CC-MAIN-2016-07/warc.paths.gz` is below `s3://commoncrawl`.

Source: https://commoncrawl.org/get-started
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from webtext.pipeline.core.compressed import ArchiveError, blocks
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores.stored_files import StoredFile

NAMES = (".paths", ".paths.gz")
AT_ONCE = 32  # files whose size is asked for at the same time
SHOWN = 3  # missing files that a message names


def is_list(path: Path) -> bool:
    """Whether a file is a list of WARC files, by its name.

    >>> is_list(Path("crawl-data/warc.paths.gz")), is_list(Path("a.warc.gz"))
    (True, False)
    """
    return path.name.endswith(NAMES)


def listed(path: Path) -> list[Path]:
    """Return the files that a list names, in its order.

    Raises:
        UserError: it is damaged, names nothing, or names files that do not exist.
    """
    try:
        text = b"".join(blocks(path)).decode("utf-8", "replace")
    except ArchiveError as error:
        raise UserError(f"{path}: damaged list of WARC files ({error}); get it anew") from None
    lines = [name for line in text.splitlines() if (name := line.strip())]
    if not lines:
        raise UserError(f"{path}: names no file; wanted a path a line, as in warc.paths.gz")
    folder = base(path, lines[0])
    found = [_below(folder, line) for line in lines]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        there = list(pool.map(lambda one: one.is_file(), found))
    if missing := [str(one) for one, is_there in zip(found, there, strict=True) if not is_there]:
        raise UserError(
            f"{path}: {len(missing):,} of the {len(found):,} files that it names are not there, "
            f"such as {', '.join(missing[:SHOWN])}; get them, or shorten the list"
        )
    return found


def base(path: Path, line: str) -> str:
    """Return the folder that the paths of a list are relative to.

    >>> base(Path("cc/crawl-data/CC-MAIN-2016-07/warc.paths.gz"), "crawl-data/CC-MAIN-2016-07/a")
    'cc'
    """
    parts = str(path).split("/")[:-1]
    first = line.split("/", maxsplit=1)[0]
    folder = "/".join(parts[: parts.index(first)] if first in parts else parts)
    return folder or ("/" if path.is_absolute() else "")


def _below(folder: str, line: str) -> Path:
    name = f"{folder}/{line}" if folder else line
    return StoredFile(name) if "://" in folder else Path(name)
