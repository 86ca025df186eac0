"""A small build of pages, some of them written with the worst intentions, and its inspector."""

import fcntl
import gzip
import json
import os
import random
from dataclasses import asdict
from html import escape

import pytest
from starlette.testclient import TestClient

from tests.pipeline import fake_data, warcfile
from webtext.flows.building.settings import load
from webtext.flows.inspector.app import make_app
from webtext.flows.inspector.gate import FIELD, Gate
from webtext.flows.inspector.reading.cache import FOLDER, opened
from webtext.flows.inspector.reading.search_index import make
from webtext.model.batches.token_shards import fingerprint
from webtext.model.settings import GPT2, Train
from webtext.pipeline.build import Build

SPIKE, SKIPPED = 77, 88  # steps of the run
PORT, SECRET = 8123, "a secret of this test"
WORDS = [*fake_data.WORDS, "lantern", "orchard", "village", "machine", "captain", "river"]
HOSTILE_TITLE = (
    "</title><script>alert('title')</script>\u202e<img src=//evil.example/x onerror=alert(1)>"
)
HOSTILE_TEXT = (
    "</pre></div><script>alert('text')</script><img src=//evil.example/y onerror=alert(2)> "
    "{{ 7 * 7 }} &lt;b&gt; <meta http-equiv=refresh content='0;url=//evil.example/'>"
)
VOTES_TITLE = '"><svg onload=alert(3)>\x1b[31m\u202egnp'


def prose(number, words=160):
    """Sentences that pass the rules, of other words for each number."""
    rng = random.Random(number)
    lines = []
    for _ in range(words // 10):
        said = rng.choices(WORDS, k=9)
        lines.append(f"The {' '.join(said)} and that is of {number}{rng.randint(100, 999)}.")
    return lines


def page(title, lines):
    """One page with a menu beside its text."""
    menu = "".join(f"<li><a href='/{n}'>menu entry {n}</a></li>" for n in range(6))
    body = "".join(f"<p>{escape(line)}</p>" for line in lines)
    html = (
        f"<!doctype html><html lang=en><head><title>{escape(title)}</title>"
        f"<meta http-equiv=refresh content='0; url=https://evil.example/'></head>"
        f"<body><nav><ul>{menu}</ul></nav><article><h1>{escape(title)}</h1>{body}</article>"
        f"<script>document.title = 'taken over'</script></body></html>"
    )
    return html.encode()


def pages():
    """Yield URL and HTML: plain ones, hostile ones, near-duplicates, and some that rules drop."""
    for number in range(30):
        yield f"https://site{number % 5}.example/{number}", page(f"Page {number}", prose(number))
    hostile = [
        *prose(100)[:8],
        HOSTILE_TEXT,
        "A zebra \u202e of \u2066their \u200b own.",
        *prose(101),
    ]
    yield (
        "https://evil.example/?q=%22%3E%3Cscript%3Ealert(4)%3C/script%3E",
        page(HOSTILE_TITLE, hostile),
    )
    twin = prose(7)
    yield "https://copy.example/7", page("Page 7, copied", [*twin[:-1], "Another end of the text."])
    for number in range(6):
        yield f"https://short.example/{number}", page(f"Short {number}", prose(200 + number, 30))
    yield (
        "https://list.example/",
        page("A list", [f"- {word} and the rest of it" for word in WORDS]),
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The data directory of a build of these pages; processes that share a run share it."""
    base = tmp_path_factory.getbasetemp()
    work = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "inspected"
    work.mkdir(exist_ok=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (work / "data" / "whole").exists():
            build(work)
            train(work / "data")
            (work / "data" / "whole").touch()
    return work / "data"


@pytest.fixture(scope="session")
def built_otherwise(built):
    """The data directory of a build of the same pages by another bound, but for one new page."""
    work = built.parent
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (work / "other" / "whole").exists():
            again(work)
            (work / "other" / "whole").touch()
    return work / "other"


def again(work):
    """Build once more: short texts are kept, and one page has another end."""
    end = b"<p>The end of the text, which is another.</p></article>"
    records = []
    for number, (url, html) in enumerate(pages()):
        changed = html.replace(b"</article>", end) if number == 3 else html
        records.append(gzip.compress(warcfile.record(url, warcfile.http(changed), number=number)))
    (work / "changed.warc.gz").write_bytes(b"".join(records))
    recipe = work / "other.toml"
    recipe.write_text((work / "recipe.toml").read_text().replace("pages.warc", "changed.warc"))
    overrides = ("rules.gopher_quality.word_count.at_least=20",)
    Build(load(str(recipe), overrides), work / "other").run(until="documents", workers=1)


def train(data):
    """Write what a training run of these tokens would have left behind."""
    (tokens,) = data.glob("tokens-*")
    gpt = GPT2(layers=1, heads=1, width=8, context=16)
    settings = Train(steps=120, batch_tokens=64, microbatch=4)
    run = data / "runs" / "small"
    run.mkdir(parents=True)
    config = {
        "model": asdict(gpt),
        "train": asdict(settings),
        "tokens": {"path": "/moved/away", "sha256": fingerprint(tokens)},
        "versions": {"python": "3"},
    }
    (run / "config.json").write_text(json.dumps(config))
    rng = random.Random(2)
    lines = [
        {"step": step, "loss": 9 - step / 40 + rng.random() / 10 + 3 * (step == SPIKE), "lr": 0.1,
         "norm": 1.0, "skipped": "loss" if step == SKIPPED else None,
         "val_loss": 8.5 if step == 99 else None}
        for step in range(110)
    ]  # fmt: skip
    log = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "log.jsonl").write_text(log + '{"step": 110, "lo')  # its last line is being written
    foreign = data / "runs" / "foreign"
    foreign.mkdir()
    config["tokens"]["sha256"] = "0" * 64
    (foreign / "config.json").write_text(json.dumps(config))


def build(work):
    """Write the pages and what links to them, build, and make the inspector's cache."""
    records, submissions = [], []
    for number, (url, html) in enumerate(pages()):
        block = warcfile.http(html)
        records.append(gzip.compress(warcfile.record(url, block, number=number)))
        submissions.append(
            {
                "id": f"s{number}",
                "url": url,
                "title": VOTES_TITLE if "evil" in url else f"See {number}",
                "score": 0 if number == 4 else 3 + number * 7,
                "subreddit": "science",
                "created_utc": 1_388_000_000 + number * 1_000_000,
            }
        )
    (work / "pages.warc.gz").write_bytes(b"".join(records))
    dump = work / "submissions.jsonl"
    dump.write_text("".join(json.dumps(row) + "\n" for row in submissions))
    recipe = work / "recipe.toml"
    recipe.write_text(
        f"[links]\nsources = [{json.dumps(str(dump))}]\nshards = 2\nshard_records = 1\n"
        f"[pages]\nwarc = [{json.dumps(str(work / 'pages.warc.gz'))}]\n"
        "[tokens]\nval_fraction = 0.4\n"
    )
    data = work / "data"
    Build(load(str(recipe), ()), data).run(workers=1)
    made = make_app(data, opened(Build(None, data).made(), data / FOLDER), data / FOLDER)
    make(made.state.search.documents, made.state.search.path)


@pytest.fixture(scope="session")
def app(built, built_otherwise):
    """The inspector of that build, its text index made, beside the other build."""
    table = opened(Build(None, built).made(), built / FOLDER)
    other = opened(Build(None, built_otherwise).made(), built / FOLDER / "with")
    return make_app(built, table, built / FOLDER, other=(built_otherwise, other))


@pytest.fixture(scope="session")
def client(app):
    """Somebody who has opened the address with the secret."""
    found = TestClient(Gate(app, PORT, SECRET), base_url=f"http://127.0.0.1:{PORT}")
    assert found.get("/", params={FIELD: SECRET}).status_code == 200
    return found
