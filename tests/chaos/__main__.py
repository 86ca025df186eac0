"""Change every file of a data directory in every way, and kill every kind of process.

    python -m tests.chaos [mutations] [kills] [served] [--places 20] [--times N] [--seed 0]

Mutations: a small data directory is made, from links to tokens. Then of every file, one at a time:
bits are flipped and it is cut at so many places, it is removed, emptied, made longer, swapped with
another of its kind, or a further one is added. What reads it next must name it, and so must
`webtext verify`.

Kills: the demo's web is built, undisturbed; then again and again, each time with one process killed
at a random moment of a step (`kills`). The same command must end in the same bytes.

Served: a corpus grows over six months by itself, while the processes that keep it so are killed
(`served`); it takes three quarters of an hour.

Prints a table of what was tried, and exits with 1 if something went unnoticed or did not survive.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.chaos import kills, served
from tests.chaos.mutations import files, kind_of
from tests.chaos.trial import all_of, missed_by_reader, missed_by_verify
from tests.chaos.whole import build
from tests.flows.conftest import PACKAGES, SmallWeb
from webtext.flows.demo.demo_server import serving
from webtext.pipeline.insight.verification import verify

PAGES = 120  # of the demo's web
PARTS = ("mutations", "kills", "served")


def main() -> None:
    """Try all, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--places", type=int, default=20, help="of flips and cuts in each file")
    parser.add_argument("--times", type=int, help="that each kind of process is killed in a step")
    parser.add_argument("--kinds", nargs="*", help="of killed processes, instead of all")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    parts = args.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: no such part; there are {', '.join(PARTS)}")
    wrong = []
    with tempfile.TemporaryDirectory(prefix="webtext-chaos-") as folder:
        if "mutations" in parts:
            wrong += change(Path(folder), args.places, args.seed)
        if "kills" in parts:
            wrong += kill(Path(folder), args.times, args.kinds, args.seed)
        if "served" in parts:
            told = served.kills(Path(folder) / "served", served.KILLS, served.PAGES, args.seed)
            served.shown(told)
            wrong += told.wrong
    for said in wrong:
        print(said)
    sys.exit(bool(wrong))


def change(folder: Path, places: int, seed: int) -> list[str]:
    """Change each file in each way; return what went unnoticed."""
    made = build(folder)
    made.run(workers=0)
    assert not list(verify(made.data)), "it is whole before"
    tried: Counter[str] = Counter()
    wrong = []
    for mutation in all_of(files(made.data), places, seed):
        tried[kind_of(mutation.path)] += 1
        missed = (missed_by_verify(made.data, mutation), missed_by_reader(mutation))
        wrong += [said for said in missed if said]
    assert not list(verify(made.data)), "all is undone"
    for kind, count in sorted(tried.items()):
        print(f"{kind:<40} {count:>6}")
    print(f"{tried.total()} mutations, {len(wrong)} unnoticed", flush=True)
    return wrong


def kill(folder: Path, times: int | None, kinds: list[str] | None, seed: int) -> list[str]:
    """Kill one process a build; return what did not survive it."""
    wrong = []
    tried: Counter[tuple[str, str]] = Counter()
    survived: Counter[tuple[str, str]] = Counter()
    dump = folder / "submissions.zst"
    with serving(dump, PAGES, PACKAGES) as port:
        web = SmallWeb(dump, port)
        whole = kills.undisturbed(folder / "undisturbed", web.options)
        drawn = dict.fromkeys(kills.WHERE, times) if times else kills.TIMES
        for number, trial in enumerate(kills.all_trials(drawn, seed)):
            if kinds and trial.kind not in kinds:
                continue
            said = kills.missed(whole, trial, folder / f"trial-{number}")
            tried[trial.kind, trial.step] += 1
            survived[trial.kind, trial.step] += not said
            wrong += [said] if said else []
            print(f"{trial}: {'wrong' if said else 'survived'}", file=sys.stderr, flush=True)
            if said:
                print(said, file=sys.stderr, flush=True)
    print(f"{'killed':<10} {'in':<12} {'tried':>6} {'survived':>9}")
    for (kind, step), count in sorted(tried.items()):
        print(f"{kind:<10} {step:<12} {count:>6} {survived[kind, step]:>9}")
    print(f"{tried.total()} kills, {survived.total()} survived", flush=True)
    return wrong


if __name__ == "__main__":
    main()
