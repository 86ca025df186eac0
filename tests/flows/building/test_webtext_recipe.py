"""What the shipped recipe of WebText takes and leaves, asked of the recipe itself."""

import json

import pyarrow.parquet as pq

from tests.pipeline.warcfile import http, record
from webtext.flows.building.settings import load
from webtext.pipeline.build import Build
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.links.links import harvest

POST = {"subreddit": "all", "score": 5, "created_utc": 1_400_000_000, "title": "T"}
POST |= {"is_self": False, "over_18": False}


def test_webtext_drops_wikipedia_and_keeps_google_and_github(tmp_path):
    # WebText removed all of Wikipedia; google.com and github.com are among its 15 commonest sites.
    kept = [
        "https://www.google.com/about/",
        "https://docs.google.com/document/d/1/edit",
        "https://github.com/openai/gpt-2",
        "https://notwikipedia.org/wiki/Dog",
    ]
    gone = [
        "http://en.wikipedia.org/wiki/Dog",
        "https://wikipedia.org/",
        "http://de.m.wikipedia.org/",
    ]
    rows = [POST | {"id": f"{n}", "url": url} for n, url in enumerate(kept + gone)]
    rows += [
        POST | {"id": "low", "url": "https://github.com/low", "score": 2},
        POST | {"id": "late", "url": "https://github.com/late", "created_utc": 1_514_764_800},
    ]
    dump = tmp_path / "dump.jsonl"
    dump.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = Directory(tmp_path / "links-0")
    out.path.mkdir()
    settings = load("webtext", ["links.shards = 2"]).links
    [passage] = harvest(settings, [dump], out, 0)
    links = [url for path in out.shards() for url in read_shard(path)["url"].to_pylist()]
    assert sorted(links) == sorted(kept)
    dropped = {"links.domain": 3, "links.low_score": 1, "links.out_of_window": 1}
    assert passage.dropped == dropped


def test_webtext_takes_the_same_addresses_out_of_warc_files(tmp_path):
    kept = ["https://docs.google.com/document/d/1/edit", "https://notwikipedia.org/wiki/Dog"]
    gone = ["http://en.wikipedia.org/wiki/Dog", "https://WIKIPEDIA.org./", "https://imgur.com/a"]
    path = tmp_path / "pages.warc"
    path.write_bytes(b"".join(record(url, http()) for url in kept + gone))
    recipe = load("webtext", [f"pages.warc = ['{path}']"])
    build = Build(recipe, tmp_path / "data")
    build.run("pages")
    (shard,) = build.path("pages").shards("outcomes")
    fates = {row["final_url"]: row["dropped_by"] for row in pq.read_table(shard).to_pylist()}
    assert fates == dict.fromkeys(kept) | dict.fromkeys(gone, "pages.domain")
    # a rule on addresses sees them as it does after a crawl
    listed = tmp_path / "sites.txt"
    listed.write_text("google.com\n")
    recipe = load("webtext", [f"pages.warc = ['{path}']", f"rules.urls.domains.file = '{listed}'"])
    build = Build(recipe, tmp_path / "data")
    build.run("documents")
    dropped = [
        row["url"]
        for row in pq.read_table(build.path("documents").shard(0, under="dropped")).to_pylist()
        if row["dropped_by"] == "rules.urls.domains.high"
    ]
    assert dropped == kept[:1]
