"""How fast the crawl's frontier leases and acknowledges, and in how much memory.

    python -m tests.bench.frontier           10,000 URLs against 1,000,000 on 200,000 hosts
    python -m tests.bench.frontier 50000     one size

As in a crawl, hosts take turns and each acknowledgement of a commit is of another host, and the
garbage collector runs as seldom. Closing is part of it, for it moves what is still in SQLite's log
into the tables. Each measurement is a process of its own, since the peak of memory is a process's.
The large size is also measured in slices of the small one's length, whose median a machine that
does something else now and then moves less.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from webtext.pipeline.crawl.engine import collecting_seldom
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.frontier.rows import FINISHED, Changes, Done, HostChange, Item
from webtext.pipeline.links.wanted import Wanted

SHARDS = 64
BATCH = 500  # rows a commit
EACH = 16  # URLs leased to a host at a time
ACTIVE = 1536  # hosts on the workbench: no more than the small size has
FRESH = 512  # hosts activated at a time
SLICE = 10_000  # URLs, or a little more: whole commits
REPEATS = 8  # of the small size, before the large one and after


def shard(number: int, urls: int, hosts: int) -> Iterator[list[Wanted]]:
    """Yield a shard's links: every host has some, and they lie in no order of hosts."""
    per = max(1, hosts // SHARDS)
    batch = []
    for i in range(urls // SHARDS):
        host = f"h{number}-{i * 7919 % per}.example.com"
        url = f"http://{host}/an/article/of/some/length/{i:09d}/index.html"
        batch.append(Wanted(f"{i:016x}", url, host, 3, "programming", 1_500_000_000_000))
        if len(batch) == 8192:
            yield batch
            batch = []
    yield batch


def done(item: Item) -> Done:
    """Return an outcome of ordinary length."""
    return Done(
        *(item.host, item.n, 1, 1_500_000_000.0),
        final_url=item.url,
        status=200,
        content_type="text/html; charset=utf-8",
        robots="allow: no rule",
        ip="192.0.2.1",
        elapsed_ms=250,
        body_bytes=60_000,
        warc_file="00001.warc.gz",
        warc_offset=123_456_789,
        warc_length=12_345,
        digest="sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ",
    )


def drain(frontier: Frontier) -> Iterator[int]:
    """Lease and acknowledge everything, the hosts in turn; yield how many URLs each commit has."""
    ready: deque[tuple[int, deque[Item], bool]] = deque()  # host, leased URLs, whether it has more
    while True:
        rows = frontier.activate(FRESH) if len(ready) <= ACTIVE - FRESH else []
        hungry = [(row.host, row.cursor) for row in rows]
        changes = Changes()
        for _ in range(min(BATCH, len(ready))):
            host, items, more = ready.popleft()
            item = items.popleft()
            changes.done.append(done(item))
            if items:
                ready.append((host, items, more))
            elif more:
                hungry.append((host, item.n))
            else:
                changes.hosts.append(HostChange(FINISHED, 0, 0, item.n, host))
        frontier.commit(changes)
        for (host, _), leased in zip(hungry, frontier.lease(hungry, EACH), strict=True):
            if leased:
                ready.append((host, deque(leased), len(leased) == EACH))
        yield len(changes.done)
        if not ready:
            return


def measure(urls: int) -> dict[str, float]:
    """Fill a frontier of so many URLs, drain it and close it."""
    with tempfile.TemporaryDirectory() as directory:
        frontier = Frontier(Path(directory) / "frontier.sqlite")
        start = time.perf_counter()
        with frontier.transaction():
            for number in range(SHARDS):
                frontier.fill_shard(number, shard(number, urls, urls // 5))
        filled = time.perf_counter()
        with collecting_seldom():
            marks = [(0, time.process_time())]
            count = 0
            for acknowledged in drain(frontier):
                count += acknowledged
                if count >= marks[-1][0] + SLICE:
                    marks.append((count, time.process_time()))
            frontier.close()
            end = time.process_time()
        drained = time.perf_counter()
    slices = [(b - a) / (n - m) for (m, a), (n, b) in pairwise(marks)]
    cpu = (end - marks[0][1]) / count
    return {
        "urls": count,
        "filled_per_s": round(count / (filled - start)),
        "leased_and_acked_per_s": round(count / (drained - filled)),
        "cpu_us_per_url": round(cpu * 1e6, 2),
        "median_cpu_us_per_url": round(statistics.median(slices or [cpu]) * 1e6, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def alone(size: int) -> dict[str, float]:
    """Measure one size in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.frontier", str(size)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    print(done.stdout.decode(), end="", flush=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(small: int, large: int) -> None:
    """Measure the small size several times around the large one, and print how they compare."""
    before = [alone(small) for _ in range(REPEATS)]
    big = alone(large)
    after = [alone(small) for _ in range(REPEATS)]
    for what in ("cpu_us_per_url", "median_cpu_us_per_url", "leased_and_acked_per_s"):
        usual = statistics.median(run[what] for run in before + after)
        print(f"{what}: {big[what] / usual:.2f} of that at {small:,} (median {usual:,g})")


def main() -> None:
    """Compare two sizes, or measure the one asked for."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        compare(10_000, 1_000_000)


if __name__ == "__main__":
    main()
