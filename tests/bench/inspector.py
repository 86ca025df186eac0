"""How fast the inspector is over many documents.

    python -m tests.bench.inspector [--rows 1_000_000] [--folder DIR] [--times 20]

Makes a build of so many rows (measures and places as a real one has them, short texts), opens it
as `webtext inspect` does, and asks every kind of page over and over, in one process. Prints the
time until the pages are there, the time and size of the text index, and the median, 95th
percentile and maximum of every kind of page, in milliseconds of wall time, and the mean of the CPU
time of all threads, which a busy machine changes less.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from starlette.testclient import TestClient

from tests.pipeline import fake_data
from webtext.flows.inspector.app import make_app
from webtext.flows.inspector.gate import FIELD, Gate
from webtext.flows.inspector.reading.cache import opened
from webtext.flows.inspector.reading.search_index import make
from webtext.pipeline.build import Build
from webtext.pipeline.core.records import DOCUMENT, WHY
from webtext.pipeline.core.shards import Directory, write_json, write_parquet
from webtext.pipeline.core.stage import settings
from webtext.pipeline.filters.measuring.measures import UNDER, schema
from webtext.pipeline.filters.rules import Rules

SHARD = 500_000  # rows
GROUP = 1024  # of a row group of texts, as the documents step writes at the most
DROPPED = 0.35  # share of the rows
TIMES = 20  # of every kind of page
WORDS = [*fake_data.WORDS, *(f"word{n}" for n in range(2000))]


def text_of(rng: random.Random) -> str:
    """A short text, of words some of which are rare."""
    return " ".join(rng.choices(WORDS, k=40))


def addresses_of(domains: pa.Array, ids: pa.Array, rng: np.random.Generator) -> pa.Array:
    """URLs of some 70 characters, as long as those of 2013's links, some with capitals."""
    words = pa.array([*WORDS, *(one.title() for one in WORDS[:200])])
    picked = [words.take(pa.array(rng.integers(0, len(words), len(ids)))) for _ in range(3)]
    years = pa.array([str(year) for year in range(2005, 2018)])
    year = years.take(pa.array(rng.integers(0, len(years), len(ids))))
    host = pc.binary_join_element_wise("https://www.", domains, "")
    name = pc.binary_join_element_wise(*picked, ids, "-")
    return pc.binary_join_element_wise(host, year, name, "/")


def columns_of(count: int, first: int, dropped: bool, rng: np.random.Generator) -> pa.Table:
    """Rows of the table of measures, with ids that are spread like hashes."""
    rules = Rules()
    wanted = schema(rules)
    numbers = np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    ids = pa.array([f"{number:016x}" for number in numbers.tolist()])
    reasons = [f"rules.gopher_quality.{one}" for one in ("word_count.low", "letter_words.low")]
    reasons += ["language.other", "extract.no_text"]
    domains = pa.array([f"site{int(n)}.example" for n in rng.zipf(1.3, count) % 500_000])
    made: dict[str, pa.Array] = {
        "id": ids,
        "url": addresses_of(domains, ids, rng),
        "domain": domains,
        "score": pa.array(rng.integers(3, 5000, count), pa.int32()),
        "subreddit": pa.array([f"r{n}" for n in rng.integers(0, 300, count)]),
        "linked": pa.array(rng.integers(1_200_000_000_000, 1_700_000_000_000, count)).cast(
            pa.timestamp("ms", tz="UTC")
        ),
        "fate": pa.array(rng.choice(reasons, count) if dropped else ["kept"] * count),
        "value": pa.array(rng.random(count)),
        "language": pa.array(rng.choice(["en", "en", "en", "de", "fr"], count)),
        "language_probability": pa.array(rng.random(count), pa.float32()),
    }
    for name in wanted.names:
        if name not in made and pa.types.is_floating(wanted.field(name).type):
            made[name] = pa.array(rng.gamma(2.0, 0.1, count))
        elif name in {"bytes", "characters", "words", "lines"}:
            made[name] = pa.array(rng.integers(1, 20_000, count))
    made["gopher_quality.word_count"] = pa.array(rng.gamma(2.0, 300.0, count))
    arrays = [
        made[item.name].cast(item.type) if item.name in made else pa.nulls(count, item.type)
        for item in wanted
    ]
    return pa.Table.from_arrays(arrays, schema=wanted)


def documents(home: Path, rows: int) -> None:
    """Write a documents directory of so many rows."""
    out = Directory(home)
    rng, pick = np.random.default_rng(7), random.Random(7)
    texts = [text_of(pick) for _ in range(20_000)]
    gone = pa.schema([*DOCUMENT, *WHY])
    for number, first in enumerate(range(0, rows, SHARD)):
        count = min(SHARD, rows - first)
        lost = int(count * DROPPED)
        kept = count - lost
        parts = []
        for size, start, dropped in ((kept, first, False), (lost, first + kept, True)):
            table = columns_of(size, start, dropped, rng)
            places = {"shard": np.full(size, number), "row": np.arange(size)}
            for name, values in places.items():
                at = table.schema.get_field_index(name)
                field = table.schema.field(name)
                table = table.set_column(at, field, pa.array(values).cast(field.type))
            parts.append(table)
            under = "dropped" if dropped else ""
            wanted = gone if dropped else DOCUMENT
            text = pa.array([texts[n] for n in rng.integers(0, len(texts), size)])
            arrays = {
                "text": text,
                "title": pc.utf8_slice_codeunits(text, 0, 50),
                "dropped_by": table["fate"],
                "dropped_value": table["value"],
            }
            have = {name: table[name] for name in table.column_names} | arrays
            full = pa.Table.from_arrays(
                [
                    have[item.name].cast(item.type)
                    if item.name in have
                    else pa.nulls(size, item.type)
                    for item in wanted
                ],
                schema=wanted,
            )
            write_parquet(out.shard(number, under=under), full.to_batches(GROUP), wanted)
        whole = pa.concat_tables(parts).sort_by("id")
        batches = whole.to_batches(1 << 13)
        write_parquet(out.shard(number, under=UNDER), batches, whole.schema, ["domain", "fate"])
        print(f"  {first + count:,} rows written", flush=True)
    rules = Rules()
    stages = {"rules": {"version": rules.version, "settings": settings(rules), "machine": {}}}
    out.finish({"stage": "documents", "stages": stages, "inputs": {}, "passages": []})


def addresses(times: int) -> dict[str, list[str]]:
    """Addresses of each kind of page, all different, so that nothing is remembered."""
    rng = random.Random(3)
    score = [rng.randint(3, 5000) for _ in range(times)]
    return {
        "facets and a page": [f"/?min.score={n}" for n in score],
        "a range of a measure": [f"/?max.gopher_quality.word_count={n}" for n in score],
        "sorted by a measure": [f"/?sort=words&min.score={n}" for n in score],
        "a far page": [f"/?page={n + 100}" for n in score],
        "a domain": [f"/?domain=site{n}.example" for n in score],
        "part of a URL": [f"/?in=Word{n % 2000}-word" for n in score],
        "a rare word": [f"/?q=word{n % 2000}" for n in score],
        "two words, dropped": [f"/?q=word{n % 2000}+harbour&side=dropped" for n in score],
        "a phrase": [f"/?q=%22the+word{n % 2000}%22" for n in score],
        "a common word": [f"/?q=harbour+-word{n % 2000}" for n in score],
        "a bound, moved": [f"/moved?rule=gopher_quality.word_count&side=low&at={n / 3}"
                           for n in score],
        "all bounds": ["/bounds"] * times,
        "labels": ["/labels"] * times,
        "funnel": ["/funnel"] * times,
    }  # fmt: skip


def main() -> None:
    """Make it, open it, and time it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--times", type=int, default=TIMES, help="pages of every kind")
    chosen = parser.parse_args()
    data = chosen.folder or Path(tempfile.mkdtemp(prefix="inspected-"))
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "latest.json").exists():
        documents(data / "documents-00000000", chosen.rows)
        write_json(data / "latest.json", {"documents": "documents-00000000"})
    started, before = time.monotonic(), time.process_time()
    table = opened(Build(None, data).made(), data / "inspector")
    app = make_app(data, table, data / "inspector")
    client = TestClient(Gate(app, 1, "s"), base_url="http://127.0.0.1:1")
    client.get("/", params={FIELD: "s"})
    size = table.path.stat().st_size / 1e6
    used, most = time.process_time() - before, getrusage(RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"opened in {time.monotonic() - started:.1f} s, {used:.1f} s of CPU, {most:.1f} GB; "
        f"the table has {size:.0f} MB",
        flush=True,
    )
    search = app.state.search
    started, before = time.monotonic(), time.process_time()
    if not search.ready:
        make(search.documents, search.path)
        size = sum(path.stat().st_size for path in search.path.rglob("*")) / 1e6
        used = time.process_time() - before
        print(
            f"text index made in {time.monotonic() - started:.1f} s, {used:.1f} s of CPU; it has "
            f"{size:.0f} MB",
            flush=True,
        )
    print(f"{'ms':<24} {'median':>8} {'95 %':>8} {'most':>8} {'CPU':>8}")
    asked = addresses(chosen.times)
    links = [row["id"] for row in table.rows(f"SELECT id FROM documents LIMIT {chosen.times}")]
    asked["a document"] = [f"/document/{one}" for one in links]
    for kind, listed in asked.items():
        times, before = [], time.process_time()
        for address in listed:
            started = time.monotonic()
            answer = client.get(address)
            times.append((time.monotonic() - started) * 1000)
            assert answer.status_code == 200, (address, answer.text)
        median, high, most = np.percentile(times, [50, 95, 100])
        used = (time.process_time() - before) * 1000 / len(listed)
        print(f"{kind:<24} {median:>8.0f} {high:>8.0f} {most:>8.0f} {used:>8.0f}", flush=True)
    print(json.dumps({"rows": table.documents}))


if __name__ == "__main__":
    main()
