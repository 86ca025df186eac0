"""What datatrove does with the same pages; run by `extraction.py` in the peer's environment.

    python extraction_peers.py read|extract|recipe|rules INPUT

Its steps run one after the other in this process, without its executor, logs and writers, which
favours it. Prints how many documents came in, and how many were left (by `rules`: the sum over the
four filters).
"""

import json
import sys
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import WarcReader
from loguru import logger

FILTERS = (  # in the order of its own example that made FineWeb
    GopherRepetitionFilter,
    GopherQualityFilter,
    lambda: C4QualityFilter(filter_no_terminal_punct=False),
    FineWebQualityFilter,
)


def documents(path):
    """Yield the texts of a file of JSON lines."""
    for number, line in enumerate(path.open(encoding="utf-8")):
        yield Document(text=json.loads(line), id=str(number))


def counted(found, counts):
    """Pass documents on and count them."""
    for document in found:
        counts[0] += 1
        yield document


def main():
    task, path = sys.argv[1], Path(sys.argv[2])
    logger.remove()
    counts = [0]
    left = 0
    if task == "rules":  # every filter is asked about every document, one filter after the other
        for make in FILTERS:
            counts = [0]
            left += sum(1 for _ in make().run(counted(documents(path), counts)))
    else:
        found = counted(WarcReader(str(path.parent), glob_pattern=path.name).run(), counts)
        if task != "read":
            found = Trafilatura().run(found)
        for make in FILTERS if task == "recipe" else ():
            found = make().run(found)
        left = sum(1 for _ in found)
    print(counts[0], left)


if __name__ == "__main__":
    main()
