"""A frontier that an earlier version of this program left is moved to the tables of today."""

import json
import multiprocessing
import os
import random
import signal
import sqlite3

import pytest

from tests.pipeline.crawl.fakes import links
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.crawl.frontier import schema
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.frontier.rows import FINISHED, SHARD, Changes, Done, HostChange

LAYOUT_1 = """
CREATE TABLE shard (
    number INTEGER PRIMARY KEY, rows INTEGER NOT NULL,
    first_host INTEGER NOT NULL, last_host INTEGER NOT NULL
);
CREATE TABLE file (
    name TEXT PRIMARY KEY, shard INTEGER NOT NULL, end INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE host (
    host INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, urls INTEGER NOT NULL DEFAULT 0,
    state INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0, cursor INTEGER NOT NULL DEFAULT -1
);
CREATE INDEX host_state ON host (state, urls DESC);
CREATE INDEX host_parked ON host (not_before) WHERE state = 2;
CREATE TABLE url (
    host INTEGER NOT NULL, n INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    id TEXT, url TEXT, domain TEXT, score INTEGER, subreddit TEXT, linked INTEGER,
    final_url TEXT, redirects TEXT, status INTEGER, content_type TEXT,
    robots TEXT, robots_time INTEGER, signals TEXT, ip TEXT,
    started INTEGER, first_byte_ms INTEGER, elapsed_ms INTEGER,
    wire_bytes INTEGER, body_bytes INTEGER, truncated TEXT, etag TEXT, last_modified TEXT,
    warc_file TEXT, warc_offset INTEGER, warc_length INTEGER, digest TEXT,
    revisit TEXT, payload_file TEXT, payload_offset INTEGER, payload_length INTEGER,
    earlier TEXT, dropped_by TEXT, dropped_value REAL,
    PRIMARY KEY (host, n)
) WITHOUT ROWID;
"""
HOSTS, EACH = 200, 10


def columns(host, i):
    """Return a row of layout 1: a third DONE, a third LEASED, a third PENDING."""
    found = {"host": host, "n": SHARD * (host % 2) + host * EACH + i, "state": 2 - i % 3}
    found |= {"id": f"{host}-{i}", "url": f"http://h{host}.test/{i}", "attempts": i, "score": 3}
    if i % 3 == 0:
        found |= {"final_url": found["url"], "status": 200, "started": 1_700_000_000_000}
        found |= {"redirects": json.dumps(["http://a.test/"]), "warc_offset": host}
    return found


def old(path):
    """Write what a crawl under way had in layout 1; its even hosts are of shard 0."""
    order = [*range(2, HOSTS + 1, 2), *range(1, HOSTS, 2)]
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(LAYOUT_1)
    for host, was in enumerate(order, 1):
        db.execute(
            "INSERT INTO host (host, name, urls, state, cursor) VALUES (?, ?, ?, 1, -1)",
            (host, f"h{was}.test", EACH),
        )
        for i in range(EACH):
            row = columns(was, i) | {"host": host}
            db.execute(
                f"INSERT INTO url ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                list(row.values()),
            )
    half = HOSTS // 2
    db.execute("INSERT INTO shard VALUES (0, ?, 1, ?)", (half * EACH, half))
    db.execute("INSERT INTO shard VALUES (1, ?, ?, ?)", (half * EACH, half + 1, HOSTS))
    db.execute("INSERT INTO file VALUES ('00000.warc.gz', 0, 77)")
    db.commit()
    db.close()


def moved(path):
    """Open it with today's program, crawl what is left, and check that nothing is lost."""
    frontier = Frontier(path)
    done = HOSTS * len(range(0, EACH, 3))
    assert frontier.tally() == {"kept": done}
    assert frontier.total() == HOSTS * EACH
    assert frontier.files() == [("00000.warc.gz", 0, 77)]
    rows = frontier.activate(HOSTS + 1)
    assert len(rows) == HOSTS
    for row, items in zip(rows, frontier.lease([(row.host, -1) for row in rows], 99), strict=True):
        assert [item.attempts for item in items] == [i for i in range(EACH) if i % 3]
        found = [Done(*item[:2], item.attempts + 1, 1.0, dropped_by="crawl.dns") for item in items]
        change = HostChange(FINISHED, 0, 0, items[-1].n, row.host)
        frontier.commit(Changes(done=found, hosts=[change]))
    for shard in (0, 1):
        outcomes = [row for batch in frontier.outcomes(shard) for row in batch.to_pylist()]
        wanted = [
            columns(host, i)
            for host in range(1, HOSTS + 1)
            for i in range(EACH)
            if host % 2 == shard
        ]
        assert [row["url"] for row in outcomes] == [row["url"] for row in wanted]
        for row, was in zip(outcomes, wanted, strict=True):
            kept = was["state"] == 2
            assert row["dropped_by"] == (None if kept else "crawl.dns")
            assert row["attempts"] == was["attempts"] + (not kept)
            assert row["redirects"] == (["http://a.test/"] if kept else [])
            assert row["score"] == 3
    frontier.close()


@pytest.fixture
def path(tmp_path):
    old(tmp_path / "frontier.sqlite")
    return tmp_path / "frontier.sqlite"


def test_a_crawl_under_way_in_an_earlier_layout_goes_on(path):
    moved(path)


def open_and_die(path, steps):
    """Open a frontier, and be killed once SQLite has taken so many thousand steps."""

    def step():
        nonlocal steps
        steps -= 1
        if steps <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    connect = sqlite3.connect

    def watched(*args, **more):
        db = connect(*args, **more)
        db.set_progress_handler(step, 1000)
        return db

    sqlite3.connect = watched
    Frontier(path).close()
    os._exit(0)


def test_a_move_that_is_killed_anywhere_begins_anew(path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    rng = random.Random(5)
    killed = 0
    for steps in [1, 2, 5, *(rng.randint(3, 250) for _ in range(9))]:
        process = context.Process(target=open_and_die, args=(path, steps))
        process.start()
        process.join(60)
        killed += process.exitcode == -signal.SIGKILL
        db = sqlite3.connect(path)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (count,) = db.execute("SELECT count(*) FROM url").fetchone()
        db.close()
        assert count == HOSTS * EACH
        assert version == (0 if process.exitcode else schema.VERSION)
        if not process.exitcode:
            path.unlink()
            old(path)
    assert killed >= 5
    moved(path)


def test_a_frontier_of_a_later_version_is_refused(path):
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(UserError, match=r"has layout 3, and this version .* knows 2 and earlier"):
        Frontier(path)


def test_an_outcome_that_comes_twice_is_a_broken_law(tmp_path):
    frontier = Frontier(tmp_path / "frontier.sqlite")
    frontier.fill(links(tmp_path / "links", ["http://a.test/0", "http://a.test/1"]))
    (host,) = frontier.activate(1)
    ((item, _),) = frontier.lease([(host.host, -1)], 2)
    found = Done(*item[:2], 1, 1.0)
    frontier.commit(Changes(done=[found]))
    with pytest.raises(PipelineError, match="1 outcomes of 0 URLs"):
        frontier.commit(Changes(done=[found]))
    assert frontier.tally() == {"kept": 1}
    frontier.close()
