"""The whole way on real sites, reduced: submissions, pages over HTTP and HTTPS, a model."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.flows.conftest import ROOT, webtext
from webtext.pipeline.archive.replaying.replay import replaying
from webtext.pipeline.archive.warc import responses
from webtext.pipeline.build import Build
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.tokens.bpe import encoding
from webtext.pipeline.tokens.tokens import document_tokens

RECIPE = ROOT / "tests" / "realdata" / "miniweb.toml"
EVERY = 25  # of the 7,632 submissions, one in so many
POST = {"created_utc": 1_400_000_000, "is_self": False, "over_18": False}


@pytest.fixture(scope="module")
def submitted(real) -> list[bytes]:
    """Submissions of those pages: of the real ones one in so many, else made up, a few a page."""
    dump = real / "links" / "miniweb_submissions_PAIRED.jsonl.zst"
    if dump.is_file():
        with zstandard.open(dump, "rb") as file:
            return file.read().splitlines(keepends=True)[::EVERY]
    [archive] = (real / "miniweb").glob("*.warc.zst")
    found = [page.url for page in responses(archive)]
    found[::3] = [url.replace("https://", "http://") for url in found[::3]]
    found += [url + "?utm_source=r" for url in found[::9]]
    rows = [
        {"id": f"{n:x}", "url": url, "score": 2 * n % 50, "subreddit": "a", "title": "", **POST}
        for n, url in enumerate(found)
    ]
    return [json.dumps(row).encode() + b"\n" for row in rows]


@pytest.fixture(scope="module")
def data(real, submitted, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp("real")
    (work / "submissions.jsonl").write_bytes(b"".join(submitted))
    archives = sorted((real / "miniweb").glob("*.warc.zst"), reverse=True)
    with replaying(archives, ca_file=work / "ca.pem") as replay:
        sets = [
            f"links.sources = {json.dumps([str(work / 'submissions.jsonl')])}",
            f"crawl.connect_to = {json.dumps(list(replay.connect_to))}",
            f"crawl.ca_file = {json.dumps(str(replay.ca_file))}",
            "links.shards = 4",
            "links.shard_records = 1",
            "crawl.backoff = 0.1",
        ]
        options = [part for line in sets for part in ("--set", line)]
        done = webtext("build", RECIPE, "--data", work / "data", "--no-prefect", *options)
    assert done.returncode == 0, done.stderr
    return work / "data"


def stages(data: Path) -> dict[str, dict]:
    done = webtext("report", "--data", data, "--json")
    return {stage["stage"]: stage for stage in json.loads(done.stdout)["stages"]}


def test_every_submission_ends_in_one_fate(data, submitted):
    found = stages(data)
    assert found["links"]["read"] == len(submitted)
    for stage in found.values():
        assert stage["read"] == stage["kept"] + sum(stage["dropped"].values())
    for before, after in itertools.pairwise(found.values()):
        assert before["kept"] == after["read"]
    assert found["tokens"]["kept"] > 30


def test_pages_came_over_http_and_https(data):
    outcomes = pl.read_parquet(data / "pages-*" / "outcomes" / "*.parquet")
    kept = outcomes.filter(pl.col("dropped_by").is_null())
    schemes = Counter(url.partition(":")[0] for url in kept["final_url"])
    assert set(schemes) == {"http", "https"}
    assert kept["robots"].null_count() == 0


def test_an_independent_reader_finds_nothing_wrong_with_the_warc_files(data):
    files = sorted(map(str, data.glob("pages-*/*.warc.gz")))
    checked = subprocess.run(
        [sys.executable, "-m", "warcio.cli", "check", "-v", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "digest failed" not in checked.stdout


def a_url(data: Path, pattern: str, like: str) -> str:
    frame = pl.read_parquet(data / pattern).filter(pl.col("dropped_by").str.starts_with(like))
    return frame["url"][0]


def followed(data, url):
    return Build(None, data).follow(url).plain()


def test_trace_tells_the_story_of_each_kind_of_url(data):
    kept = pl.read_parquet(data / "corpus-*" / "0*.parquet")["url"][0]
    story = followed(data, kept)
    assert story["fate"] == "kept"
    assert {"links", "crawl", "extract", "language", "rules", "corpus", "tokens"} <= set(story)
    assert story["crawl"]["warc_file"].endswith(".warc.gz")

    filtered = followed(data, a_url(data, "documents-*/dropped/*.parquet", "rules."))
    assert filtered["fate"].startswith("rules.")
    assert "corpus" not in filtered

    unfetched = followed(data, a_url(data, "pages-*/outcomes/*.parquet", "crawl."))
    assert unfetched["fate"].startswith("crawl.")
    assert "extract" not in unfetched

    unliked = followed(data, a_url(data, "links-*/dropped/*.parquet", "links.low_score"))
    assert unliked["fate"] == "links.low_score"


def test_a_documents_tokens_decode_to_its_text(data):
    tokens = Directory(next(data.glob("tokens-*")))
    texts = {
        row["id"]: row["text"]
        for row in pl.read_parquet(data / "corpus-*" / "0*.parquet").to_dicts()
    }
    rows = pq.read_table(tokens.path / "documents.parquet").to_pylist()
    assert len(rows) == len(texts)
    for row in rows[:50]:
        found = document_tokens(tokens, row)
        assert int(found[0]) == 50_256
        assert encoding().decode(found[1:].tolist()) == texts[row["id"]]


def test_a_reader_of_llm_cs_header_finds_the_tokens(data):
    """Read as llm.c's dataloader.h does: 256 int32, the first three checked, then uint16."""
    rows = pq.read_table(next(data.glob("tokens-*")) / "documents.parquet").to_pylist()
    for split in ("train", "val"):
        counted = 0
        for path in sorted(data.glob(f"tokens-*/{split}-*.bin")):
            header = np.fromfile(path, "<i4", 256)
            assert list(header[:2]) == [20240520, 1]
            assert path.stat().st_size == 1024 + 2 * int(header[2])
            counted += int(header[2])
        assert counted == sum(row["length"] for row in rows if row["split"] == split)


def test_a_model_is_trained_on_it_and_writes(data, tmp_path):
    run = tmp_path / "tiny"
    smaller = [
        "--set",
        "train.steps = 12",
        "--set",
        "model.width = 32",
        "--set",
        "model.layers = 2",
    ]
    tokens = next(data.glob("tokens-*"))
    done = webtext("train", "tiny", "--tokens", tokens, "--run", run, "--device", "cpu", *smaller)
    assert done.returncode == 0, done.stderr
    losses = [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    done = webtext("sample", run, "--prompt", "The town", "--tokens", "8", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The town")
