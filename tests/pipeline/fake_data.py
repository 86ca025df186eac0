"""A small data directory as the earlier stages leave it, written straight from the schemas."""

import json
import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from webtext.pipeline.core.records import (
    DOCUMENT,
    DUPLICATE,
    LINK,
    LINK_DROPPED,
    OUTCOME,
    with_reasons,
)
from webtext.pipeline.core.shards import Directory, write_json, write_parquet
from webtext.pipeline.core.stage import fates, settings
from webtext.pipeline.corpus.corpus import Corpus, corpus
from webtext.pipeline.dedup.nearest import NEAREST, NEIGHBOUR
from webtext.pipeline.filters.measuring.measures import Table
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.tokens.tokens import Tokens, tokens
from webtext.pipeline.urls import urls

WORDS = [
    *("the", "of", "and", "to", "in", "is", "that", "it", "was", "for", "on", "are", "with", "as"),
    *("harbour", "engine", "winter", "letter", "museum", "signal", "garden", "copper", "theory"),
]


def document(number: int, **changes: Any) -> dict[str, Any]:
    """One document; the same number gives the same one."""
    rng = random.Random(number)
    domain = f"site{number % 7}.example"
    url = f"https://{domain}/{number}"
    row = {
        "id": urls.url_id(url),
        "url": url,
        "domain": domain,
        "score": rng.choice([3, 4, 12, 77, 2500, None]),
        "subreddit": rng.choice(["science", "history", None]),
        "linked": datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=number * 11),
        "title": f"Page {number}",
        "author": None,
        "date": None,
        "sitename": None,
        "language": "en",
        "language_probability": 0.999,
        "text": " ".join(rng.choices(WORDS, k=rng.randint(40, 400))) + f" {number}.",
    }
    return row | changes


def duplicate(row: dict[str, Any], keeper: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What dedup says about one member of a cluster."""
    same = row["id"] == keeper["id"]
    return {
        "id": row["id"],
        "cluster": min(row["id"], keeper["id"]),
        "keeper": keeper["id"],
        "jaccard": 1.0 if same else 0.85,
        "reason": None if same else "dedup.near",
    } | changes


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema, size: int = 50) -> None:
    """One shard, its rows in batches of `size`."""
    batches = [
        pa.RecordBatch.from_pylist(rows[start : start + size], schema)
        for start in range(0, len(rows), size)
    ]
    write_parquet(path, batches, schema)


def documents(path: Path, shards: list[list[dict[str, Any]]]) -> Directory:
    """A directory of documents."""
    directory = Directory(path)
    for number, rows in enumerate(shards):
        write(directory.shard(number), rows, DOCUMENT)
    return directory


def duplicates(path: Path, rows: list[dict[str, Any]]) -> Directory:
    """A directory of what duplicates what."""
    directory = Directory(path)
    write(directory.shard(0), rows, DUPLICATE)
    return directory


def finish(directory: Directory, stage: str, passages: Any, inputs: Any = (), **more: Any) -> None:
    """Write a manifest as the driver does."""
    directory.finish(
        {
            "stage": stage,
            "stages": more.get("stages", {stage: {"version": 1, "settings": {}, "machine": []}}),
            "inputs": {given.name: given.fingerprint() for given in inputs},
            "libraries": {},
            "passages": passages,
        }
    )


# --- a whole build -------------------------------------------------------------------------------


def submission(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": row["id"][:6],
        "source": "RS_2013-01.zst",
        "subreddit": row["subreddit"],
        "score": row["score"],
        "created": row["linked"],
        "title": f"look at {row['title']}",
    } | changes


def link(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "submissions": [submission(row), submission(row, score=1, title=None)]}


def outcome(row: dict[str, Any], reason: str | None = None, **changes: Any) -> dict[str, Any]:
    return {
        **row,
        "linked": row["submissions"][0]["created"],
        "final_url": row["url"],
        "redirects": [],
        "status": 200,
        "content_type": "text/html; charset=utf-8",
        "robots": "allowed: no rule matches",
        "attempts": 1,
        "started": datetime(2024, 5, 1, tzinfo=UTC),
        "elapsed_ms": 120,
        "body_bytes": 54321,
        "warc_file": "00000.warc.gz",
        "warc_offset": 1234,
        "warc_length": 999,
        "dropped_by": reason,
        "dropped_value": None,
    } | changes


CRAWL_FATES = {
    "crawl.http_4xx": {"status": 404, "dropped_value": 404.0},
    "crawl.dns": {"status": None, "body_bytes": None, "warc_file": None},
    "crawl.robots_denied": {"status": None, "robots": "disallowed: /private", "warc_file": None},
}


class World:
    """What was built, and the rows that fared differently, by name."""

    def __init__(self, data: Path, count: int = 120) -> None:
        """Write everything from links to tokens under `data`, with `count` documents kept."""
        self.data = data
        rows = [document(number) for number in range(count + 60)]
        for row in rows[40:50]:
            row["text"] = "Too short."
        self.low, self.unfetched = rows[:10], rows[10:40]
        self.filtered, self.foreign = rows[40:50], rows[50:52]
        self.kept = rows[52:]
        self.directories: dict[str, Directory] = {}
        self.links()
        self.pages()
        self.documents()
        self.duplicates()
        self.end()
        write_json(data / "latest.json", {k: v.name for k, v in self.directories.items()})

    def links(self) -> None:
        out = self.directory("links")
        linked = sorted(self.unfetched + self.filtered + self.foreign + self.kept, key=id_of)
        for shard in range(2):
            mine = [row for row in linked if urls.bucket(row["domain"], 2) == shard]
            write(out.shard(shard), [link(row) for row in mine], LINK)
        lost = [
            {**row, "source": "RS_2013-01.zst", "line": n, "score": 1, "dropped_value": 1.0}
            | {"dropped_by": "links.low_score"}
            for n, row in enumerate(self.low, 1)
        ]
        unread = {"url": "ftp://old.example/x", "source": "RS_2013-01.zst", "line": 99}
        lost.append(unread | {"dropped_by": "links.not_http"})
        write(out.shard(0, under="dropped"), lost, LINK_DROPPED)
        reasons = {"links.low_score": len(self.low), "links.not_http": 1}
        self.finish("links", [("links", len(linked) + len(lost), len(linked), reasons)])

    def pages(self) -> None:
        out = self.directory("pages")
        ways = list(CRAWL_FATES.items())
        gone = {row["id"]: ways[n % 3] for n, row in enumerate(self.unfetched)}
        for number in (0, 1):
            linked = read(self.directories["links"].shard(number))
            rows = [
                outcome(row, gone[row["id"]][0], **gone[row["id"]][1])
                if row["id"] in gone
                else outcome(row)
                for row in linked
            ]
            write(out.shard(number, under="outcomes"), rows, OUTCOME)
        counts = fates(out.shards("outcomes"))
        kept = counts.pop("kept")
        stages = {"crawl": {"version": 1, "settings": {}, "machine": []}}
        passages = [("crawl", kept + sum(counts.values()), kept, counts)]
        self.finish("pages", passages, stages=stages)

    def documents(self) -> None:
        out = self.directory("documents")
        known = {row["id"]: row for row in self.filtered + self.foreign + self.kept}
        filtered, foreign = map(set, (map(id_of, self.filtered), map(id_of, self.foreign)))
        lost = dict.fromkeys(filtered, ("rules.gopher_quality.word_count.low", 2.0))
        lost |= dict.fromkeys(foreign, ("language.other", 0.9))
        for number in (0, 1):
            outcomes = read(self.directories["pages"].shard(number, under="outcomes"))
            mine = [known[row["id"]] for row in outcomes if row["id"] in known]
            write(out.shard(number), [row for row in mine if row["id"] not in lost], DOCUMENT)
            dropped = [
                row | dict(zip(("dropped_by", "dropped_value"), lost[row["id"]], strict=True))
                for row in mine
                if row["id"] in lost
            ]
            write(out.shard(number, under="dropped"), dropped, with_reasons(DOCUMENT))
            table = Table([Rules()], self.directories["pages"], out, number)
            kept = [row for row in mine if row["id"] not in lost]
            gone = pa.RecordBatch.from_pylist(dropped, with_reasons(DOCUMENT))
            table.add(pa.RecordBatch.from_pylist(kept, DOCUMENT), [gone])
            table.finish()
        first, second = len(known), len(known) - len(foreign)
        stages = {
            "language": {"version": 1, "settings": {"keep": ["en"], "min_probability": 0.99}},
            "rules": {"version": Rules.version, "settings": settings(Rules())},
        }
        reasons = {"rules.gopher_quality.word_count.low": len(filtered)}
        passages = [
            ("extract", first, first, {}),
            ("language", first, second, {"language.other": len(foreign)}),
            ("rules", second, len(self.kept), reasons),
        ]
        self.finish("documents", passages, stages=stages)

    def duplicates(self) -> None:
        out = self.directory("duplicates")
        one, two, three = self.kept[:3]
        self.keeper, self.exact, self.near = one, two, three
        name = {"cluster": min(map(id_of, (one, two, three)))}
        members = [
            duplicate(one, one, **name),
            duplicate(two, one, reason="dedup.exact", jaccard=1.0, **name),
            duplicate(three, one, **name),
        ]
        write(out.shard(0), members, DUPLICATE)
        near = {"id": three["id"], "nearest": one["id"], "similarity": 0.85}
        write(out.path / NEAREST, [near], NEIGHBOUR)
        counts = {"dedup.exact": 1, "dedup.near": 1}
        rows = len(self.kept)
        self.finish("duplicates", [("duplicates", rows, rows - 2, counts)])

    def end(self) -> None:
        out = self.directory("corpus")
        made = self.directories
        chosen = Corpus(shard_bytes=40_000, row_group=16)
        found = corpus(chosen, made["documents"], made["duplicates"], out, 0)
        self.finish("corpus", [tuple(asdict(passage).values()) for passage in found])
        out = self.directory("tokens")
        found = tokens(Tokens(shard_tokens=5000, val_fraction=0.3), made["corpus"], out, 0)
        self.finish("tokens", [tuple(asdict(passage).values()) for passage in found])

    def directory(self, stage: str) -> Directory:
        found = Directory(self.data / f"{stage}-1")
        found.path.mkdir(parents=True)
        self.directories[stage] = found
        return found

    def finish(self, stage: str, passages: Any, **more: Any) -> None:
        named = [dict(zip(("stage", "read", "kept", "dropped"), p, strict=True)) for p in passages]
        before = list(self.directories.values())[:-1][-1:]
        finish(self.directories[stage], stage, named, before, **more)


def id_of(row: dict[str, Any]) -> str:
    return str(row["id"])


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def write_log(run: Path, steps: int = 300) -> None:
    """A training run's log, the last line torn."""
    run.mkdir(parents=True)
    lines = [
        {"step": n, "loss": 3 + 8 / (1 + n / 30), "val_loss": 3.2 if n % 100 == 99 else None}
        for n in range(steps)
    ]
    (run / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 3', "utf-8")
