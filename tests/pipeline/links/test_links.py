import doctest
import hashlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from webtext.pipeline.core.records import LINK, LINK_DROPPED
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.links import links, merge, spill
from webtext.pipeline.links.links import count, harvest
from webtext.pipeline.links.settings import MERGES, Harvest
from webtext.pipeline.urls import urls

POST = {"subreddit": "pics", "score": 5, "created_utc": 1_400_000_000, "title": "T"}
POST |= {"is_self": False, "over_18": False}


def post(url, **fields):
    return POST | {"url": url} | fields


def write(path, rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def taken(tmp_path, settings, *sources, workers=0):
    """Harvest lists of rows (or paths); return the directory and the funnel."""
    paths = [
        source if isinstance(source, Path) else write(tmp_path / f"{n}.jsonl", source)
        for n, source in enumerate(sources)
    ]
    out = Directory(tmp_path / "links-0")
    out.path.mkdir(exist_ok=True)
    [passage] = harvest(settings, paths, out, workers)
    return out, passage


def kept(out):
    return [row for path in out.shards() for row in read_shard(path).to_pylist()]


def dropped(out):
    return [row for path in out.shards("dropped") for row in read_shard(path).to_pylist()]


def contents(out):
    return {
        str(path.relative_to(out.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.path.rglob("*")
        if path.is_file()
    }


def test_a_link_has_all_its_submissions_oldest_first_and_the_oldest_url(tmp_path):
    out, passage = taken(
        tmp_path,
        Harvest(shards=1),
        [
            post("https://www.Example.com/a/?utm_source=x#y", id="2", created_utc=20, score=1),
            post("http://example.com/b", id="4"),
            post("http://example.com/a", id="1", created_utc=10, score=7, title="First"),
        ],
        [post("http://example.com/a?utm_medium=z", id="3", created_utc=30, subreddit="news")],
    )
    [link] = [link for link in kept(out) if link["id"] == urls.url_id("http://example.com/a")]
    times = [datetime.fromtimestamp(at, UTC) for at in (10, 20, 30)]
    assert link == {
        "id": urls.url_id("http://example.com/a"),
        "url": "http://example.com/a",
        "domain": "example.com",
        "score": 7,
        "submissions": [
            {
                "id": "1",
                "source": "0.jsonl",
                "subreddit": "pics",
                "score": 7,
                "created": times[0],
                "title": "First",
            },
            {
                "id": "2",
                "source": "0.jsonl",
                "subreddit": "pics",
                "score": 1,
                "created": times[1],
                "title": "T",
            },
            {
                "id": "3",
                "source": "1.jsonl",
                "subreddit": "news",
                "score": 5,
                "created": times[2],
                "title": "T",
            },
        ],
    }
    assert (passage.read, passage.kept, passage.dropped) == (4, 2, {"links.duplicate": 2})


REASONS = [
    ("{", "links.broken_line", None),
    (post(None), "links.no_url", None),
    (post(" "), "links.no_url", None),
    (post("http://a.com", is_self=True), "links.self_post", None),
    (post("example"), "links.bad_url", None),
    (post("http://a..com/"), "links.bad_url", None),
    (post("mailto:a@b.com"), "links.not_http", None),
    (post("http://a.com", over_18=True), "links.over_18", None),
    (post("http://a.com", removed_by_category="author"), "links.deleted", None),
    (post("http://a.com", subreddit="Rude"), "links.subreddit", None),
    (post("http://a.com", subreddit="Spam"), "links.subreddit", None),
    (post("http://a.com", created_utc=1_300_000_000), "links.out_of_window", 1_300_000_000),
    (post("http://a.com", created_utc=1_514_764_800), "links.out_of_window", 1_514_764_800),
    (post("http://a.com", created_utc=None), "links.out_of_window", None),
    (post(f"http://a.com/{'x' * 2083}"), "links.url_too_long", 2096),
    (post("https://www.reddit.com/r/pics"), "links.domain", None),
    (post("https://i.imgur.com/a"), "links.domain", None),
    (post("http://de.wikipedia.org/wiki/Hund"), "links.domain", None),
    (post("http://ads.example.com/"), "links.domain", None),
    (post("http://a.com/a.JPG?x=1#y"), "links.extension", None),
    (post("http://b.com/", score=2), "links.low_score", 2),
    (post("http://c.com/", score=None), "links.low_score", 0),
]
KEPT = [
    post("http://a.com/", created_utc=1_514_764_799),
    post("http://en.wikibooks.org/wiki/File:A.jpg"),
    post("https://google.com/a"),
    post("https://github.com/a/b.py"),
    post("http://cgi.ebay.com/ws/eBayISAPI.dll?ViewItem"),
    post("http://downloads.example.com/"),
]
STRICT = Harvest(
    exclude_domains=("wikipedia.org", "ads.example.com"),
    exclude_subreddits=("r/spam", "rude"),
    after=date(2012, 1, 1),
    before=date(2018, 1, 1),
    shards=3,
)


def test_every_reason_is_given_with_its_line_and_what_decided_it(tmp_path):
    rows = [row for row, _, _ in REASONS] + KEPT
    out, passage = taken(tmp_path, STRICT, rows)
    found = sorted(dropped(out), key=lambda row: row["line"])
    assert [(row["dropped_by"], row["dropped_value"]) for row in found] == [
        (reason, value) for _, reason, value in REASONS
    ]
    assert [row["line"] for row in found] == list(range(1, len(REASONS) + 1))
    assert {row["source"] for row in found} == {"0.jsonl"}
    assert max(len(row["url"] or "") for row in found) == STRICT.max_url_length
    for row, (given_row, reason, _) in zip(found, REASONS, strict=True):
        without = {"broken_line", "no_url", "self_post", "bad_url", "not_http"}
        if reason.removeprefix("links.") in without:
            assert row["id"] is None
        else:
            assert row["id"] == urls.url_id(given_row["url"])
    assert {link["url"] for link in kept(out)} == {row["url"] for row in KEPT}
    assert passage.read == len(rows)
    assert passage.dropped == Counter(reason for _, reason, _ in REASONS)


def test_filters_can_be_turned_off(tmp_path):
    lenient = Harvest(keep_nsfw=True, keep_deleted=True, lists=(), min_score=-5, shards=2)
    off = {"over_18", "deleted", "subreddit", "out_of_window", "domain", "extension", "low_score"}
    rows = [row for row, reason, _ in REASONS if reason.removeprefix("links.") in off]
    _, passage = taken(tmp_path, lenient, rows)
    assert set(passage.dropped) == {"links.duplicate"}
    assert passage.read == len(rows)


@pytest.mark.parametrize(
    ("merge", "scores", "score", "submissions", "reasons"),
    [
        ("max", [1, 3, 2], 3, 3, {"links.duplicate": 2}),
        ("max", [1, 2, 2], None, 0, {"links.low_score": 3}),
        ("sum", [1, 2, 2], 5, 3, {"links.duplicate": 2}),
        ("sum", [5, -3, None], None, 0, {"links.low_score": 3}),
        ("each", [1, 3, 9], 9, 2, {"links.low_score": 1, "links.duplicate": 1}),
        ("each", [1, 2, None], None, 0, {"links.low_score": 3}),
        ("sum", [2**31 - 1, 2**31 - 1], 2**31 - 1, 2, {"links.duplicate": 1}),
    ],
)
def test_scores_are_merged_by_the_rule(merge, scores, score, submissions, reasons, tmp_path):
    rows = [post("http://a.com", id=str(n), score=score) for n, score in enumerate(scores)]
    out, passage = taken(tmp_path, Harvest(merge=merge, shards=1), rows)
    assert [link["score"] for link in kept(out)] == ([] if score is None else [score])
    assert sum(len(link["submissions"]) for link in kept(out)) == submissions
    assert passage.dropped == reasons


def test_a_url_with_dropped_and_kept_submissions_is_kept_with_the_kept_ones(tmp_path):
    rows = [post("http://a.com", id="1", over_18=True), post("http://a.com", id="2")]
    out, passage = taken(tmp_path, Harvest(), rows)
    assert [s["id"] for link in kept(out) for s in link["submissions"]] == ["2"]
    assert [row["dropped_by"] for row in dropped(out)] == ["links.over_18"]
    assert passage.dropped == {"links.over_18": 1}


def test_a_submission_that_two_dumps_hold_counts_once(tmp_path):
    rows = [post("http://a.com", id="x", score=2), post("http://a.com", score=1, id=None)]
    out, passage = taken(tmp_path, Harvest(merge="sum", shards=1), rows, rows)
    [link] = kept(out)
    assert (link["score"], len(link["submissions"])) == (4, 3)  # what has no id is never the same
    assert passage.dropped == {"links.duplicate": 2, "links.repeated": 1}
    assert [(row["source"], row["line"]) for row in dropped(out)] == [("1.jsonl", 1)]


def test_a_list_vouches_for_its_links(tmp_path):
    path = write(tmp_path / "list.txt", ["http://a.com", "http://b.com", "http://b.com/x.pdf"])
    rows = [post("http://b.com", score=1)]
    out, passage = taken(tmp_path, Harvest(after=date(2000, 1, 1), shards=1), path, rows)
    assert {link["url"]: link["score"] for link in kept(out)} == {
        "http://a.com/": None,
        "http://b.com/": 1,
    }
    assert passage.dropped == {"links.duplicate": 1, "links.extension": 1}


def test_rows_lie_in_the_shard_of_their_domain_sorted_by_id(tmp_path):
    rows = [post(f"http://{n % 40}.example{n % 7}.com/{n}") for n in range(500)]
    out, _ = taken(tmp_path, Harvest(shards=4, shard_records=125), rows)
    for number in range(4):
        table = read_shard(out.shard(number))
        assert table.schema == LINK
        assert read_shard(out.shard(number, under="dropped")).schema == LINK_DROPPED
        ids = table["id"].to_pylist()
        assert ids == sorted(set(ids))
        assert {urls.bucket(domain, 4) for domain in table["domain"].to_pylist()} <= {number}
    assert {link["domain"] for link in kept(out)} == {f"example{n}.com" for n in range(7)}


SITES = st.sampled_from(
    ["http://a.com/", "https://www.a.com/#x", "http://b.org/x?b=1&a=2", "ftp://c.net"]
)
ROWS = st.lists(
    st.one_of(
        st.just("{"),
        st.builds(
            post,
            SITES,
            id=st.sampled_from(["1", "2", None]),
            score=st.one_of(st.integers(-2, 5), st.none(), st.just("4")),
            is_self=st.booleans(),
            created_utc=st.one_of(st.integers(0, 99), st.none()),
        ),
        st.builds(lambda url: {"url": url}, SITES),
    ),
    max_size=25,
)


@examples(max_examples=40, deadline=None)
@given(ROWS, st.sampled_from(MERGES), st.integers(1, 3))
def test_whatever_is_read_is_kept_or_dropped(tmp_path_factory, rows, merge, shards):
    rows = [*rows, {"url": "http://d.org/"}]  # a source of which nothing is understood is an error
    out, passage = taken(tmp_path_factory.mktemp("any"), Harvest(merge=merge, shards=shards), rows)
    assert passage.read == len(rows)
    submissions = sum(len(link["submissions"]) for link in kept(out))
    assert submissions + len(dropped(out)) == len(rows)
    assert passage.kept == len({link["id"] for link in kept(out)})


def many(tmp_path):
    """Write three dumps, of which the second is cut short."""
    rows = [post(f"http://{n % 97}.com/{n % 700}", id=f"{n:x}", score=n % 9) for n in range(3000)]
    first = write(tmp_path / "a.jsonl", rows)
    second = tmp_path / "b.jsonl.zst"
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(first.read_bytes() * 2)
    second.write_bytes(packed[: len(packed) // 2])
    third = write(tmp_path / "c.txt", [f"http://{n}.org/{n}" for n in range(500)])
    return [first, second, third]


def test_the_bytes_do_not_depend_on_the_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "CHUNK", 512)
    monkeypatch.setattr(spill, "CHUNK_PER_SHARD", 1)
    sources = many(tmp_path)
    alone, passage = taken(tmp_path, Harvest(shards=5), *sources)
    (tmp_path / "two").mkdir()
    several, other = taken(tmp_path / "two", Harvest(shards=5), *sources, workers=2)
    assert contents(alone) == contents(several)
    assert len(contents(alone)) == 11
    assert passage == other
    assert passage.dropped["links.truncated_archive"] == 1


def test_links_are_the_same_however_many_have_their_texts_in_memory(tmp_path, monkeypatch):
    sources = many(tmp_path)
    whole, passage = taken(tmp_path, Harvest(shards=2), *sources)
    monkeypatch.setattr(merge, "ROWS", 7)
    (tmp_path / "few").mkdir()
    parts, other = taken(tmp_path / "few", Harvest(shards=2), *sources)
    assert (kept(parts), dropped(parts), other) == (kept(whole), dropped(whole), passage)
    assert len(kept(parts)) > 100
    assert len(dropped(parts)) > 1000


PROGRAM = """
import sys
from pathlib import Path
from webtext.pipeline.links import spill
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.links.links import harvest
from webtext.pipeline.core.shards import Directory
spill.CHUNK, spill.CHUNK_PER_SHARD = 512, 1
out, *sources = map(Path, sys.argv[1:])
Directory(out).sweep()
print(harvest(Harvest(shards=5), sources, Directory(out), 0))
"""


def start(out, sources):
    command = [sys.executable, "-c", PROGRAM, str(out.path), *map(str, sources)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(links.__file__).parents[2]
    )


def test_a_harvest_that_is_killed_anywhere_goes_on_to_the_same_bytes(tmp_path):
    sources = many(tmp_path)
    whole, _ = taken(tmp_path, Harvest(shards=5), *sources)
    (tmp_path / "again").mkdir()
    out = Directory(tmp_path / "again" / "links-0")
    out.path.mkdir()
    for files in (1, 3, 6, 9, 14):  # it makes six in spill, the ledger, and ten shards
        process = start(out, sources)
        while process.poll() is None:
            if sum(path.is_file() for path in out.path.parent.rglob("*")) >= files:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.001)
        process.communicate()
    process = start(out, sources)
    told, _ = process.communicate()
    assert process.returncode == 0
    assert contents(out) == contents(whole)
    again = start(out, sources)
    assert again.communicate()[0] == told
    assert contents(out) == contents(whole)


def test_a_finished_harvest_reads_no_source_again(tmp_path, monkeypatch):
    out, passage = taken(tmp_path, Harvest(), [post("http://a.com")])
    monkeypatch.setattr(spill, "batches", None)
    assert harvest(Harvest(), [tmp_path / "0.jsonl"], out, 0) == [passage]
    assert not (out.path / "spill").exists()


def test_a_lost_row_is_noticed(tmp_path):
    out, _ = taken(tmp_path, Harvest(), [post("http://a.com")])
    with pytest.raises(RuntimeError, match="links: 2 rows read, but 1 kept and 0 dropped"):
        count(out, 2)


def test_progress_is_told_in_bytes_of_the_sources(tmp_path):
    path = write(tmp_path / "a.jsonl", [post("http://a.com")])
    out = Directory(tmp_path / "links-0")
    out.path.mkdir()
    heard = []
    harvest(Harvest(), [path], out, 0, lambda done, total, note="": heard.append((done, total)))
    assert (path.stat().st_size, path.stat().st_size) in heard


def test_doctests():
    assert doctest.testmod(spill).failed == 0
