"""What the shipped recipe of WebText takes and leaves, asked of the recipe itself."""

import json

from webtext.flows.building.settings import load
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
