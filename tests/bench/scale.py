"""What a crawl of many links takes at the least, by the real distribution of their hosts.

    python -m tests.bench.scale [--links 45e6 450e6 4.5e9] [--delay 5] [--machines 1 10] \
        [--address-delay 2] [--rate 300] [--dump FILE] [--domains FILE]

The links of FILE, a dump of real submissions, are harvested by the recipe `webtext` (at any score),
and their hosts counted. For N links each host with ten links or more is taken N / n times as often;
the links of the others are spread over as many hosts as Heaps' law gives, whose two numbers are
fitted to the dump itself. Then the crawl is played: a host is asked once in `--delay` seconds, one
machine asks `--rate` pages a second in all, and hosts that have links left share a machine evenly.
Each of several machines has a host's address only in its own slots
(`crawl/frontier/address_slots.py`), so it asks a host no more often than it has one. It is exact
for that model, and leaves out latency, failures, robots.txt and shared addresses, which only add.
Printed are the days until a share of the links is fetched, the busiest hosts, and which share of
the links is left out if no host is asked for longer than some days. `--domains` is a list
of domains with their counts in WebText (OpenAI's is public), scaled in place of the dump's hosts.

With --costs it measures what the table of docs/scale.md is made of and no other bench prints: the
time of a line of Common Crawl's index, and the memory of a link that is asked for there.
"""

import argparse
import gzip
import json
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.bench.blocks_truth import DATA
from tests.pipeline.crawl.commoncrawl.common_crawl import linked
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl.commoncrawl import asking, cdx
from webtext.pipeline.crawl.commoncrawl.askers import Alone
from webtext.pipeline.crawl.commoncrawl.captures import index_key, keys
from webtext.pipeline.crawl.commoncrawl.ranges import Folder
from webtext.pipeline.crawl.frontier.targets import between, host_of
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.links.links import harvest
from webtext.pipeline.links.settings import Harvest

DUMP = DATA / "links" / "RS_top2013_sample.jsonl.zst"
WEBTEXT = 45e6  # links of WebText. Source: Radford et al. 2019, section 2.1
HEAD = 10  # links of a host in the dump from which it is scaled by itself
SHARES = (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
DAYS = (1, 7, 30, 90)  # for which a host is asked, at the most
DAY = 86_400.0  # s

Counts = npt.NDArray[np.float64]


def hosts_of(dump: Path) -> list[str]:
    """Return the host of each link that a dump gives, in the order of the links' ids."""
    with tempfile.TemporaryDirectory() as folder:
        out = Directory(Path(folder) / "links-0")
        out.path.mkdir()
        settings = Harvest(
            min_score=0, shards=1, remember=False, exclude_domains=("wikipedia.org",)
        )
        harvest(settings, [dump], out, 0)
        return [host_of(url) for url in read_shard(out.shard(0), ["url"])["url"].to_pylist()]


@dataclass(frozen=True)
class Heaps:
    """How many hosts n links have: factor * n ** exponent."""

    factor: float
    exponent: float

    @classmethod
    def fitted(cls, hosts: list[str]) -> "Heaps":
        """Fit it to how the number of hosts grows over links in a random order."""
        order = np.random.default_rng(0).permutation(len(hosts))
        seen: set[str] = set()
        points = []
        marks = {int(len(hosts) * share) for share in np.geomspace(0.05, 1, 20)}
        for number, place in enumerate(order.tolist(), 1):
            seen.add(hosts[place])
            if number in marks:
                points.append((np.log(number), np.log(len(seen))))
        exponent, factor = np.polyfit(*zip(*points, strict=True), 1)
        return cls(float(np.exp(factor)), float(exponent))

    def __call__(self, links: float) -> float:
        return float(self.factor * links**self.exponent)


def scaled(
    found: Counter[str], heaps: Heaps, links: float, total: float = 0.0
) -> tuple[Counts, Counts]:
    """Return the links of each host, largest first, and how many hosts have so many.

    `total` is of how many links they were counted, if that is more than theirs.

    >>> sizes, hosts = scaled(Counter(a=50, b=30, c=1, d=1), Heaps(1.0, 0.5), 820)
    >>> sizes.tolist(), hosts.tolist(), float((sizes * hosts).sum())
    ([500.0, 300.0, 1.0], [1.0, 1.0, 20.0], 820.0)
    """
    total = total or sum(found.values())
    head = sorted((n for n in found.values() if n >= HEAD), reverse=True)
    sizes = [n * links / total for n in head]
    left = links - sum(sizes)
    others = max(1.0, min(left, heaps(links) - len(head)))
    if left <= 0:
        return np.array(sizes), np.ones(len(head))
    each = max(left / others, 1.0)
    return np.array([*sizes, each]), np.array([*np.ones(len(head)), left / each])


def played(sizes: Counts, hosts: Counts, delay: float, rate: float) -> dict[float, float]:
    """Return after how many seconds each of the SHARES of all links is fetched.

    All hosts that have links left are asked equally often, at most once in `delay` seconds, and
    together at most `rate` times a second. So they end in the order of their sizes: `x` links of
    each are fetched after a time that grows by the share that each host has of the machine.

    >>> played(np.array([10.0, 4.0]), np.array([1.0, 1.0]), delay=2.0, rate=100.0)[1.0]
    20.0
    >>> played(np.array([10.0, 10.0]), np.array([1.0, 1.0]), delay=0.1, rate=1.0)[1.0]
    20.0
    """
    order = np.argsort(sizes)
    sizes, hosts = sizes[order], hosts[order]
    total = float((sizes * hosts).sum())
    active = hosts.sum() - np.concatenate(([0.0], np.cumsum(hosts)[:-1]))
    seconds_each = np.maximum(delay, active / rate)  # between two links of a host
    steps = np.diff(np.concatenate(([0.0], sizes)))
    times = np.concatenate(([0.0], np.cumsum(steps * seconds_each)))
    done = np.concatenate(([0.0], np.cumsum(steps * active)))
    return {share: float(np.interp(share * total, done, times)) for share in SHARES}


def left_out(sizes: Counts, hosts: Counts, delay: float, days: float) -> float:
    """Return the share of links that hosts have beyond what they are asked for in so many days.

    >>> left_out(np.array([30_000.0, 10.0]), np.array([1.0, 1_000.0]), delay=5.0, days=1.0)
    0.318
    """
    beyond = np.maximum(sizes - days * DAY / delay, 0) * hosts
    return round(float(beyond.sum() / (sizes * hosts).sum()), 4)


def spent(seconds: float) -> str:
    """Return a time in days, or in hours if it is less.

    >>> spent(90_000), spent(9_000)
    ('1.0 d', '2.5 h')
    """
    return f"{seconds / DAY:,.1f} d" if seconds >= DAY else f"{seconds / 3600:,.1f} h"


def politeness(args: argparse.Namespace) -> None:
    """Print the play of all sizes."""
    if not args.dump.is_file():
        sys.exit(f"{args.dump}: not there, and no part of the project; name a dump by --dump")
    hosts = hosts_of(args.dump)
    found, heaps = Counter(hosts), Heaps.fitted(hosts)
    print(f"{len(hosts):,} links of {len(found):,} hosts; Heaps: {heaps}")
    if args.domains:
        rows = [line.split() for line in args.domains.read_text().splitlines()]
        found = Counter({row[-1]: int(row[0]) for row in rows if row and row[0].isdigit()})
        print(f"{args.domains.name}: {sum(found.values()):,} links of {len(found):,} domains")
    total = WEBTEXT if args.domains else sum(found.values())
    shares = ", ".join(f"{h} {n / total:.2%}" for h, n in found.most_common(5))
    print(f"busiest: {shares}")
    for links in args.links:
        sizes, many = scaled(found, heaps, links, total)
        print(f"\n{links:,.0f} links, {many.sum():,.0f} hosts, the busiest {sizes.max():,.0f}")
        for machines in args.machines:
            polite = {"delay": args.delay, "delay_per_ip": args.address_delay, "max_delay": 60.0}
            delay = between(Crawl(**polite, parts=machines))
            times = played(sizes, many, delay, args.rate * machines)
            line = ", ".join(f"{share:.1%} {spent(times[share])}" for share in SHARES)
            print(f"  {machines} machines of {args.rate:g} pages/s, {delay:g} s a host: {line}")
        cut = ", ".join(f"{d} d {left_out(sizes, many, args.delay, d):.1%}" for d in DAYS)
        print(f"  left out if no host is asked for longer than: {cut}")


# --- costs that no other bench prints -------------------------------------------------------------


def index_cost(lines: int = 600_000, wanted: float = 0.02) -> None:
    """Print the CPU time of a line of a CDX index, of which a share is asked for."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "cc-index/collections/C/indexes"
        folder.mkdir(parents=True)
        plain = [f"http://site{n // 50}.example/part-{n % 7}/page-{n}.html" for n in range(lines)]
        urls = sorted((index_key(url), url) for url in plain)
        at = 0
        with (folder / "cdx-00000.gz").open("wb") as file, (folder / "cluster.idx").open("w") as c:
            for start in range(0, lines, 3000):
                said = {"mime": "text/html", "mime-detected": "text/html", "status": "200",
                        "digest": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "length": "12345",
                        "filename": "crawl-data/C/segments/1/warc/C-00000.warc.gz"}  # fmt: skip
                block = "".join(
                    f"{key} 20160220000000 {json.dumps({'url': url, **said, 'offset': str(at)})}\n"
                    for key, url in urls[start : start + 3000]
                )
                data = gzip.compress(block.encode(), mtime=0)
                c.write(f"{urls[start][0]} 20160220000000\tcdx-00000.gz\t{at}\t{len(data)}\t1\n")
                file.write(data)
                at += len(data)
        chosen = sorted(key.encode() for key, _ in urls[:: int(1 / wanted)])
        before = time.process_time()
        count = sum(1 for _ in cdx.captures(Alone(Folder(Path(name))), "C", chosen, 65_536))
        spent_s = time.process_time() - before
    print(f"index: {spent_s / lines * 1e6:.2f} us of CPU a line, {count:,} of {lines:,} asked for")


def link_cost(count: int = 200_000) -> None:
    """Print the memory of a link that is asked for in Common Crawl, and the time of its keys."""
    with tempfile.TemporaryDirectory() as name:
        found = [(f"http://site{n // 5}.example/section/page-{n}.html", "20140101")
                 for n in range(count)]  # fmt: skip
        links = linked(Path(name) / "links-0", found)
        tracemalloc.start()
        held = asking.trips(links)
        asked = sorted({key.encode() for trip in held for key in keys(trip.url)})
        size = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        begun = time.process_time()
        for trip in held[: count // 10]:
            keys(trip.url)
        took = (time.process_time() - begun) / (count // 10)
    print(f"link: {size:,.0f} bytes of memory, {took * 1e6:.1f} us of CPU for its keys "
          f"({len(asked):,} keys)")  # fmt: skip


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--links", type=float, nargs="+", default=[45e6, 450e6, 4.5e9])
    parser.add_argument("--delay", type=float, default=5.0, help="s between requests to a host")
    parser.add_argument("--address-delay", type=float, default=2.0, help="crawl.delay_per_ip")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--rate", type=float, default=300.0, help="pages/s of one machine")
    parser.add_argument("--dump", type=Path, default=DUMP)
    parser.add_argument("--domains", type=Path)
    parser.add_argument("--costs", action="store_true")
    args = parser.parse_args()
    if args.costs:
        link_cost()
        index_cost()
    else:
        politeness(args)


if __name__ == "__main__":
    main()
