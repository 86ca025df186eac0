"""Change every file of a data directory in every way: something must name each change.

    python -m tests.chaos [--places 20] [--seed 0]

A small data directory is made, from links to tokens. Then of every file, one at a time: bits are
flipped at so many places, it is removed, cut, emptied, made longer, swapped with another of its
kind, or a further one is added. What reads it next, and `webtext verify`, must name it. Prints a
table of what was tried, and exits with 1 if something went unnoticed.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.chaos.mutations import files, kind_of
from tests.chaos.trial import all_of, missed_by_reader, missed_by_verify
from tests.chaos.whole import build
from webtext.pipeline.insight.verification import verify


def main() -> None:
    """Try all, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--places", type=int, default=20, help="of flipped bits, in each file")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="webtext-chaos-") as folder:
        made = build(Path(folder))
        made.run(workers=0)
        assert not list(verify(made.data)), "it is whole before"
        tried: Counter[str] = Counter()
        wrong = []
        for mutation in all_of(files(made.data), args.places, args.seed):
            tried[kind_of(mutation.path)] += 1
            missed = (missed_by_verify(made.data, mutation), missed_by_reader(mutation))
            wrong += [said for said in missed if said]
        assert not list(verify(made.data)), "all is undone"
    for kind, count in sorted(tried.items()):
        print(f"{kind:<40} {count:>6}")
    print(f"{tried.total()} mutations, {len(wrong)} unnoticed")
    for said in wrong:
        print(said)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
