"""Parts of a crawl that know nothing of each other, and the addresses that their hosts share."""

import itertools
import random
from collections import defaultdict
from dataclasses import replace

import pytest

from tests.pipeline.crawl.frontier.test_workbench import POLITE, bench_of, simulate
from webtext.pipeline.crawl.frontier.address_slots import GRANTED, USED, Slots
from webtext.pipeline.crawl.frontier.targets import between
from webtext.pipeline.crawl.settings import SLOT, Crawl

ROUND = 6.0  # s, of two parts at a delay of 5 s: 1.2 of it, more than 2 slots of 1.25 times 2 s
ADDRESSES = [f"192.0.2.{n}" for n in range(7)]


def parts(of, rng, urls=8, error=0.0, **given):
    """Simulate each part of a crawl alone; return all requests by address, in Unix time."""
    asked = defaultdict(list)
    for number in range(1, of + 1):
        settings = replace(POLITE, part=f"{number}/{of}", **given)
        hosts = {f"h{number}-{i}": (rng.randint(1, urls), rng.choice(ADDRESSES)) for i in range(15)}
        bench = bench_of(settings, **hosts)
        clock = rng.uniform(-error, error)  # how wrong this machine's is
        bench.ahead = 1_700_000_000.0 + rng.uniform(0, 1000)
        late = rng.choice([0.0, 1.0])  # answers of this part's hosts
        for start, end, name, address in simulate(
            bench, lambda _, s=late: rng.uniform(0.01, 1 + s)
        ):
            asked[address].append((start + bench.ahead - clock, end - start, name, number))
        mine = sum(row[-1] == number for rows in asked.values() for row in rows)
        assert mine == sum(count for count, _ in hosts.values())
    return asked


@pytest.mark.parametrize("of", [2, 3, 8, 45])
@pytest.mark.parametrize("delay", [2.0, 0.25])
def test_no_two_parts_ask_an_address_closer_together_than_its_delay(of, delay):
    by_several = 0
    for rows in parts(of, random.Random(of), delay_per_ip=delay).values():
        by_several += len({number for *_, number in rows}) > 1
        for one, two in itertools.pairwise(sorted(rows)):
            assert two[0] - one[0] >= delay * (SLOT - GRANTED) - 0.01
    assert by_several > 3


def test_clocks_that_differ_by_a_tenth_of_the_delay_leave_it():
    asked = parts(5, random.Random(1), delay_per_ip=2.0, error=0.1)
    for rows in asked.values():
        for one, two in itertools.pairwise(sorted(rows)):
            assert two[0] - one[0] >= 2.0


def test_a_part_has_an_address_once_in_each_round_while_it_wants_it():
    settings = replace(POLITE, delay=0.1, part="2/3")
    bench = bench_of(settings, **{f"h{i}": (1, "ip") for i in range(9)})
    starts = [start for start, *_ in simulate(bench, lambda _: 0.3)]
    assert [b - a for a, b in itertools.pairwise(starts)] == pytest.approx([3 * 2.0 * SLOT] * 8)
    assert settings.pace_per_ip == 3 * 2.0 * SLOT


def test_a_turn_that_comes_too_late_for_a_slot_waits_for_the_next():
    bench = bench_of(replace(POLITE, part="1/2"), a=(2, "ip"))
    due = bench.next_time()
    assert bench.take(due + 2.0 * GRANTED + 0.1) is None
    assert bench.next_time() == pytest.approx(due + ROUND, abs=0.01)
    turn = bench.take(bench.next_time())
    assert turn is not None


def test_a_turn_is_used_in_its_slot_or_not_at_all():
    bench = bench_of(replace(POLITE, part="1/2"), a=(2, "ip"))
    due = bench.next_time()
    turn = bench.take(due)
    late = due + 2.0 * USED + 0.1
    assert bench.may_use(turn, due + 2.0 * USED - 0.1)
    assert not bench.may_use(turn, late)
    assert bench.ask(turn.host, "robots.txt", late) is None
    bench.give_back(turn, late)
    assert bench.take(late) is None
    again = bench.take(bench.next_time())
    assert again.token == "robots.txt"
    assert again.granted == pytest.approx(due + ROUND, abs=0.01)


def test_addresses_of_a_part_do_not_all_wait_for_the_same_moment():
    slots = Slots.of_crawl(replace(POLITE, part="3/10"))
    open_now = [slots.wait(f"198.51.100.{n}", 1e9) == 0 for n in range(256)]
    assert sum(open_now) in range(1, 12)  # of 256, a hundredth part of 80 %


def test_one_crawl_and_addresses_without_a_delay_have_no_slots():
    assert Slots.of_crawl(POLITE) is None
    assert Slots.of_crawl(replace(POLITE, part="1/1")) is None
    assert Slots.of_crawl(Crawl(delay_per_ip=0, part="1/2")) is None


@pytest.mark.parametrize(("of", "pause", "whole"), [(2, 2.0, 6.0), (10, 0.4, 6.0), (16, 2.0, 40.0)])
def test_a_host_misses_no_round_by_the_time_of_its_answer(of, pause, whole):
    settings = replace(POLITE, part=f"1/{of}", delay_per_ip=pause, latency_factor=0)
    starts = [start for start, *_ in simulate(bench_of(settings, a=(9, "ip")), lambda _: 0.3)]
    assert [b - a for a, b in itertools.pairwise(starts)] == pytest.approx([whole] * 8, abs=0.01)
    assert between(replace(settings, part="", parts=of)) == pytest.approx(whole)
