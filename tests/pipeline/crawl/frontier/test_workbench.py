"""The workbench is driven through simulated time: a visit asks, its answer takes a while."""

import itertools
import random
from collections import defaultdict
from dataclasses import replace

import pytest

from webtext.pipeline.crawl.frontier.rows import Item
from webtext.pipeline.crawl.frontier.workbench import Workbench
from webtext.pipeline.crawl.settings import Crawl

POLITE = Crawl(delay=5, delay_per_ip=2, latency_factor=2, backoff=60)


def bench_of(settings=POLITE, **hosts):
    """Make a workbench with so many URLs of each host, as name=(urls, ip)."""
    bench = Workbench(settings)
    for row, (name, (urls, ip)) in enumerate(hosts.items()):
        host = bench.admit(name, ip, row, 0, 0.0)
        bench.add(host, [Item(row, n, f"http://{name}/{n}", 0) for n in range(urls)])
    return bench


def simulate(bench, latency, connections=10):
    """Visit everything; return (start, end, host, ip) of each request, as it happened."""
    now, log, flying = 0.0, [], []
    while True:
        while len(flying) < connections and (turn := bench.take(now)):
            turn.used = True
            flying.append((now + latency(turn), turn))
            log.append((now, flying[-1][0], turn.host.name, turn.host.address.key))
        flying.sort(key=lambda entry: entry[0])
        times = [flying[0][0]] if flying else []
        if len(flying) < connections and (due := bench.next_time()):
            times.append(due)
        if not times:
            return log
        now = max(now, min(times))
        while flying and flying[0][0] <= now:
            end, turn = flying.pop(0)
            bench.give_back(turn, end)
            bench.leave(turn.host)


def gaps(log, column):
    """Return the shortest pause between the end of a request and the start of the next."""
    by = defaultdict(list)
    for entry in sorted(log):
        by[entry[column]].append(entry[:2])
    return {
        key: min((b[0] - a[1] for a, b in itertools.pairwise(times)), default=None)
        for key, times in by.items()
    }


def test_a_host_is_left_alone_for_its_delay_and_an_address_for_its():
    rng = random.Random(1)
    hosts = {f"h{i}": (rng.randint(1, 6), f"ip{i % 7}") for i in range(40)}
    bench = bench_of(**hosts)
    log = simulate(bench, latency=lambda _: rng.random())
    assert len(log) == sum(urls for urls, _ in hosts.values())
    assert all(gap is None or gap >= 5 - 1e-9 for gap in gaps(log, 2).values())
    assert all(gap is None or gap >= 2 - 1e-9 for gap in gaps(log, 3).values())


def test_no_host_waits_longer_than_politeness_asks_for():
    bench = bench_of(replace(POLITE, latency_factor=0), a=(4, None), b=(1, None))
    log = simulate(bench, latency=lambda _: 0.5)
    assert [start for start, _, name, _ in log if name == "a"] == [0, 5.5, 11, 16.5]
    assert [start for start, _, name, _ in log if name == "b"] == [0]


def test_a_slow_host_gets_longer_pauses_up_to_the_longest():
    bench = bench_of(a=(3, None), b=(3, None))
    log = simulate(bench, latency=lambda turn: 10 if turn.host.name == "a" else 40)
    assert gaps(log, 2) == {"a": 20, "b": 60}


def test_crawl_delay_lengthens_the_pause():
    bench = bench_of(a=(2, None))
    bench.hosts["a"].crawl_delay = 30
    assert gaps(simulate(bench, lambda _: 0.1), 2) == {"a": 30}


def test_a_turn_that_was_not_used_costs_no_delay():
    bench = bench_of(a=(2, "ip"))
    turn = bench.take(0)
    bench.give_back(turn, 0)
    bench.leave(turn.host)
    assert bench.take(0).item.n == 1


def test_what_a_redirect_leads_to_waits_for_its_turn_like_everything_else():
    bench = bench_of(a=(1, None), b=(2, None))
    a, b = bench.take(0), bench.take(0)
    a.used = b.used = True
    assert {a.host.name, b.host.name} == {"a", "b"}
    if a.host.name == "b":
        a, b = b, a
    bench.give_back(a, 0.5)
    assert bench.ask(b.host, "token", 0.5) is None
    assert bench.take(1) is None  # b is being asked
    bench.give_back(b, 1)
    bench.leave(b.host)
    assert bench.take(5.9) is None
    turn = bench.take(6)
    assert (turn.token, turn.item) == ("token", None)  # before b's own next URL
    turn.used = True
    bench.give_back(turn, 6)
    assert bench.take(10.9) is None
    assert bench.take(11).item.n == 1


def test_an_unused_turn_goes_to_whoever_the_visit_may_be_waiting_for():
    bench = bench_of(a=(1, None))
    idle = bench.take(0)
    stolen = bench.ask(idle.host, "robots", 0)
    assert stolen.live
    assert not idle.live
    assert bench.in_flight == 1
    bench.give_back(idle, 1)  # means nothing any more
    assert bench.in_flight == 1


def test_a_forgotten_turn_is_taken_back():
    bench = bench_of(a=(2, "ip"), b=(1, "ip"))
    turn = bench.take(0)
    turn.used = True
    assert bench.take(10) is None
    assert bench.next_time() == bench.patience
    assert bench.take(bench.patience) is None  # its address rests first
    assert bench.take(bench.patience + 2).host.name == "b"
    assert not turn.live


def test_failures_in_a_row_double_the_wait_and_retry_after_counts_if_longer():
    bench = bench_of(a=(1, None))
    host = bench.hosts["a"]
    waits = []
    for host.errors in range(1, 5):
        waits.append(bench.back_off(host, 0, None))
    assert waits == [60, 120, 240, 480]
    assert bench.back_off(host, 0, 3000.0) == 3000
    host.errors = 1000
    assert bench.back_off(host, 0, None) == 86_400
    assert bench.take(86_399) is None
    assert bench.take(86_400)


def test_hosts_that_find_their_address_crowded_come_back_one_after_the_other():
    bench = bench_of(a=(1, "ip"), b=(1, "ip"), c=(1, "other"))
    assert bench.crowd("ip") == 2
    assert [bench.turned_away("ip", 0.0) for _ in range(3)] == [6, 8, 10]
    assert bench.turned_away("other", 0.0) == 4


def test_hosts_with_nothing_to_do_are_forgotten_once_they_may_be_asked():
    bench = bench_of(a=(1, "ip"), b=(1, "ip"))
    simulate(bench, lambda _: 0.1)
    hosts = list(bench.hosts.values())
    bench.prune(100)
    assert len(bench.hosts) == 2  # they are the frontier's still
    for host in hosts:
        assert bench.withdraw(host) == []
    assert bench.crowd("ip") == 0
    bench.prune(3)
    assert len(bench.hosts) == 2  # a delay is not over
    bench.prune(100)
    assert not bench.hosts
    assert not bench.addresses


@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_connections_and_a_thousand_hosts_keep_every_promise(seed):
    rng = random.Random(seed)
    hosts = {f"h{i}": (rng.randint(1, 3), f"ip{rng.randint(0, 99)}") for i in range(1000)}
    log = simulate(bench_of(**hosts), lambda _: rng.expovariate(1), connections=100)
    assert len(log) == sum(urls for urls, _ in hosts.values())
    assert min(gap for gap in gaps(log, 2).values() if gap is not None) >= 5 - 1e-9
    assert min(gap for gap in gaps(log, 3).values() if gap is not None) >= 2 - 1e-9
