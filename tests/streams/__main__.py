"""Answer a fetcher with thousands of byte streams that no server should send: each must be a fate.

    python -m tests.streams [--count 5000] [--seed 0]

A raw-socket web on loopback answers each host with a stream of its own: answers that are spoilt,
cut short, put together from odd parts or merely random, over TCP and TLS, in pieces split anywhere,
ended by a close, a reset, half a close, or not at all. Every fetch must end in a fate of the closed
list and within its time, with no more than the bounds allow, and what it found must fit into the
archive and the outcomes. What breaks that is printed with its seed, and the exit code is 1.

What a host says depends on its seed alone, so `--seed N --count 1` says it again.
"""

import argparse
import resource
import sys
import time

from tests.streams.trial import run

MAX_GROWTH = 200  # MB by which all of it may grow the process


def main() -> None:
    """Fetch from as many hosts as asked for, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=5000, help="hosts to fetch from")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first of them")
    args = parser.parse_args()
    run(-64, 64)  # what is made but once should count before
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    met, wrong = run(args.seed, args.count)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if grown > MAX_GROWTH:
        wrong.append(f"memory grew by {grown:.0f} MB, at most {MAX_GROWTH} are allowed")
    print(
        f"{met.total():,} fetches in {time.monotonic() - started:.0f} s, {grown:.0f} MB more memory"
    )
    for fate, times in met.most_common():
        print(f"{times:7,} {fate}")
    print("\n".join(wrong) or "nothing wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
