import sqlite3

import pytest

from tests.pipeline.crawl.fakes import SEEN, key, links
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.frontier.rows import (
    FINISHED,
    PARKED,
    SHARD,
    Changes,
    Done,
    HostChange,
    Item,
)

A = [f"http://a.test/{i}" for i in range(5)]
B = ["http://b.test/", "http://b.test:81/x"]
C = ["https://user@c.test/q?u=http://a.test/"]


@pytest.fixture
def frontier(tmp_path):
    made = Frontier(tmp_path / "pages" / "frontier.sqlite", clock=lambda: 1000.0)
    made.fill(links(tmp_path / "links", [A[0], B[0], *A[1:], B[1]], C))
    yield made
    made.close()


def done(item: Item, **more) -> Done:
    return Done(item.host, item.n, item.attempts + 1, 1_700_000_000.5, **more)


def test_the_host_with_the_most_urls_comes_first(frontier):
    assert [row.name for row in frontier.activate(2)] == ["a.test", "b.test"]
    assert [row.name for row in frontier.activate(2)] == ["c.test"]
    assert frontier.activate(2) == []


def test_urls_are_leased_in_the_order_of_the_links_and_once(frontier):
    (a,) = frontier.activate(1)
    (first,) = frontier.lease([(a.host, -1)], 3)
    (second,) = frontier.lease([(a.host, first[-1].n)], 3)
    assert [item.url for item in first + second] == A
    assert frontier.lease([(a.host, -1)], 9) == [[]]


def test_an_outcome_has_what_the_link_and_the_fetch_know(frontier):
    rows = frontier.activate(9)
    for items in frontier.lease([(row.host, -1) for row in rows], 9):
        frontier.commit(Changes(done=[done(item, final_url=item.url) for item in items]))
    (batch,) = frontier.outcomes(0)
    assert batch.schema == OUTCOME
    found = batch.to_pylist()
    assert [row["url"] for row in found] == [A[0], B[0], *A[1:], B[1]]
    assert found[0]["id"] == key(A[0])
    assert found[0]["subreddit"] == "best"
    assert found[0]["linked"] == SEEN
    assert found[0]["started"].timestamp() == 1_700_000_000.5
    assert found[0]["redirects"] == []
    assert [row["url"] for batch in frontier.outcomes(1) for row in batch.to_pylist()] == C


def test_what_lay_leased_is_pending_again_when_opened(frontier):
    rows = frontier.activate(9)
    (a, *_) = frontier.lease([(row.host, -1) for row in rows], 9)
    frontier.commit(Changes(done=[done(a[0])]))
    frontier.close()
    again = Frontier(frontier.path)
    rows = again.activate(9)
    leased = again.lease([(row.host, row.cursor) for row in rows], 9)
    again.close()
    assert sorted(item.url for items in leased for item in items) == sorted([*A[1:], *B, *C])


def test_a_host_that_a_killed_crawl_may_just_have_asked_is_left_alone_first(frontier):
    frontier.activate(1)
    frontier.close()
    again = Frontier(frontier.path, rest=5, clock=lambda: 1000.0)
    assert [row.name for row in again.activate(9)] == ["b.test", "c.test"]
    assert again.wait() == 5
    again.clock = lambda: 1005.0
    assert [row.name for row in again.activate(9)] == ["a.test"]
    again.close()


def test_a_commit_that_fails_changes_nothing(frontier):
    (a,) = frontier.activate(1)
    ((item, *_),) = frontier.lease([(a.host, -1)], 1)
    broken = HostChange("not a state", None, 0, 0, a.host)
    with pytest.raises(sqlite3.IntegrityError):
        frontier.commit(Changes(done=[done(item)], hosts=[broken]))
    assert not frontier.tally()


def test_a_parked_host_comes_back_when_its_time_has_come(frontier):
    now = 1000.0
    frontier.clock = lambda: now
    rows = frontier.activate(9)
    for row in rows[1:]:
        frontier.commit(Changes(hosts=[HostChange(FINISHED, 0, 0, -1, row.host)]))
    assert frontier.wait() is None
    frontier.commit(Changes(hosts=[HostChange(PARKED, now + 60, 2, 7, rows[0].host)]))
    assert frontier.wait() == 60
    assert frontier.activate(9) == []
    now += 60
    (row,) = frontier.activate(9)
    assert (row.name, row.errors, row.cursor) == ("a.test", 2, 7)


def test_a_host_with_urls_to_be_tried_again_gets_a_further_pass(frontier):
    (a, b, _) = frontier.activate(9)
    first, other = frontier.lease([(a.host, -1), (b.host, -1)], 9)
    again = first[1]._replace(attempts=1)
    frontier.commit(
        Changes(
            done=[done(item) for item in [*first, *other] if item.n != again.n],
            returned=[again],
            passed=[(a.host, 900.0), (b.host, 900.0)],
        )
    )
    assert [row[:2] for row in frontier.activate(9)] == [(a.host, "a.test")]
    assert frontier.lease([(a.host, -1)], 9) == [[again]]


def test_a_host_that_is_given_up_takes_its_urls_with_it(frontier):
    (a,) = frontier.activate(1)
    (items,) = frontier.lease([(a.host, -1)], 2)
    count = frontier.commit(
        Changes(
            done=[done(items[0], dropped_by="crawl.dns")],
            given_up=[(a.host, 5)],
            hosts=[HostChange(FINISHED, 0, 5, -1, a.host)],
        )
    )
    assert count == 5
    assert frontier.tally() == {"crawl.dns": 1, "crawl.host_given_up": 4}


def test_a_second_crawl_is_refused(frontier):
    with pytest.raises(UserError, match=r"frontier\.sqlite: another crawl is at work"):
        Frontier(frontier.path)


def test_a_damaged_frontier_is_named(tmp_path):
    path = tmp_path / "frontier.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match=r"frontier\.sqlite: damaged .* move .*sqlite\* elsewhere"):
        Frontier(path)


def test_a_full_disk_is_an_os_error_and_changes_nothing(frontier):
    rows = frontier.activate(9)
    leased = frontier.lease([(row.host, -1) for row in rows], 9)
    pages = frontier.db.execute("PRAGMA page_count").fetchone()[0]
    frontier.db.execute(f"PRAGMA max_page_count = {pages}")
    long = [done(item, robots="x" * 9000) for items in leased for item in items]
    with pytest.raises(OSError, match="full"):
        frontier.commit(Changes(done=long))
    assert not frontier.tally()


def test_a_host_in_two_shards_is_a_broken_law(tmp_path):
    frontier = Frontier(tmp_path / "frontier.sqlite")
    with pytest.raises(PipelineError, match="shard 1: a host of it lies in another shard too"):
        frontier.fill(links(tmp_path / "links", A, A))
    assert frontier.total() == len(A)  # the first shard is whole, the second not there
    frontier.close()


def test_urls_without_a_host_wait_in_every_shard(tmp_path):
    frontier = Frontier(tmp_path / "frontier.sqlite")
    frontier.fill(links(tmp_path / "links", ["mailto:a//x/"], ["nothing//y/"]))
    names = [row.name for row in frontier.activate(9)]
    frontier.close()
    assert names == ["?0", "?1"]


def test_filling_goes_on_after_a_kill_between_shards(tmp_path):
    made = links(tmp_path / "links", A, B)
    frontier = Frontier(tmp_path / "frontier.sqlite")
    with frontier.transaction():
        frontier.fill_shard(0, [])  # as if it had been empty: only missing shards are read
    frontier.fill(made)
    assert [
        item.n for item in frontier.lease([(row.host, -1) for row in frontier.activate(1)], 9)[0]
    ] == [
        SHARD,
        SHARD + 1,
    ]
    frontier.close()


def test_the_table_is_removed_with_all_that_belongs_to_it(frontier):
    frontier.remove()
    assert list(frontier.path.parent.iterdir()) == []


def test_damage_that_is_met_while_outcomes_are_written_is_named(tmp_path):
    made = Frontier(tmp_path / "frontier.sqlite")
    made.fill(links(tmp_path / "links", [f"http://a.test/{'x' * 90}{n}" for n in range(3000)]))
    made.close()
    path = tmp_path / "frontier.sqlite"
    content = bytearray(path.read_bytes())
    at = content.rindex(b"http://a.test/")
    content[at - 3000 : at] = b"\xff" * 3000
    path.write_bytes(content)
    made = Frontier(path)
    with pytest.raises(UserError, match=r"frontier\.sqlite: damaged"):
        list(made.outcomes(0))
    made.close()
