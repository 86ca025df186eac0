import json
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tests.pipeline import fake_data
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import Directory, write_json
from webtext.pipeline.insight import report


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return fake_data.World(tmp_path_factory.mktemp("data"))


class Reader(HTMLParser):
    """Every tag with its attributes, and the text; complains of tags that are not closed."""

    VOID = ("meta", "br", "path")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page(data, tmp_path, run=None):
    path = tmp_path / "report.html"
    Build(None, data).report(path, run)
    return path.read_text("utf-8")


def funnel(data):
    return Build(None, data).funnel()


def test_the_funnel_has_exactly_the_promised_shape(world):
    found = funnel(world.data)
    assert list(found) == ["stages", "corpus"]
    assert all(list(stage) == ["stage", "read", "kept", "dropped"] for stage in found["stages"])
    assert list(found["corpus"]) == ["documents", "bytes", "tokens"]
    assert found["corpus"]["documents"] == 126
    assert found["corpus"]["tokens"] > 20_000
    json.dumps(found)


def test_every_stage_reads_what_the_one_before_it_kept(world):
    stages = funnel(world.data)["stages"]
    assert [stage["stage"] for stage in stages] == [
        *("links", "crawl", "extract", "language", "rules", "dedup", "tokens"),
    ]
    for stage in stages:
        assert stage["read"] == stage["kept"] + sum(stage["dropped"].values())
    for before, after in pairwise(stages):
        assert before["kept"] == after["read"]


def test_a_build_that_has_only_begun_has_a_funnel_and_a_page(world, tmp_path):
    names = {name: world.directories[name].name for name in ("links", "pages")}
    for stage, name in names.items():
        (tmp_path / name).symlink_to(world.directories[stage].path)
    for until in (["links"], ["links", "pages"]):
        write_json(tmp_path / "latest.json", {name: names[name] for name in until})
        found = funnel(tmp_path)
        assert found["corpus"] == {"documents": None, "bytes": None, "tokens": None}
        assert len(found["stages"]) == len(until)
        Reader(page(tmp_path, tmp_path))


def test_a_directory_where_nothing_was_built_is_named(tmp_path):
    with pytest.raises(UserError, match=rf"{tmp_path}: no latest.json, so nothing has been built"):
        funnel(tmp_path)
    (tmp_path / "latest.json").write_text("{")
    with pytest.raises(UserError, match=r"latest.json: not JSON"):
        funnel(tmp_path)


def test_the_page_shows_every_part(world, tmp_path):
    fake_data.write_log(tmp_path / "run")
    html = page(world.data, tmp_path, tmp_path / "run")
    text = " ".join(Reader(html).text)
    for part in (
        *("The funnel", "rules.gopher_quality.word_count.low", "the host's name has no address"),
        *("Link rot", "Bytes of text", "site3.example", "Languages", "Tokens in each split"),
        *("Training: run", "Loss by step", "10 documents", "corpus-1"),
    ):
        assert part in text
    assert html.count("<article>") == 10


def test_the_page_is_the_same_every_time(world, tmp_path):
    assert page(world.data, tmp_path) == page(world.data, tmp_path)


def test_the_page_asks_nothing_of_the_network(world, tmp_path):
    found = Reader(page(world.data, tmp_path)).tags
    assert not {tag for tag, _ in found} & {"script", "link", "img", "iframe", "object", "form"}
    assert all("src" not in attributes and "onload" not in attributes for _, attributes in found)
    policies = [a["content"] for tag, a in found if a.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_what_a_page_says_cannot_become_a_tag_or_a_script(tmp_path):
    hostile = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    row = fake_data.document(0) | {
        "url": "javascript:alert(3)",
        "title": hostile,
        "text": hostile,
        "domain": f"x{hostile}",
        "language": hostile,
        "bytes": 10,
        "duplicates": 0,
    }
    corpus = Directory(tmp_path / "corpus-1")
    fake_data.write(corpus.shard(0), [row], CORPUS)
    write_json(corpus.path / "stats.json", report_stats(corpus))
    fake_data.finish(corpus, "corpus", [])
    write_json(tmp_path / "latest.json", {"corpus": "corpus-1"})
    found = Reader(page(tmp_path, tmp_path))
    assert not {tag for tag, _ in found.tags} & {"script", "img", "a"}
    assert "alert(1)" in " ".join(found.text)


def report_stats(corpus):
    from webtext.pipeline.corpus.card import statistics

    return statistics(corpus)


def test_an_empty_corpus_has_a_page(tmp_path):
    corpus = Directory(tmp_path / "corpus-1")
    fake_data.write(corpus.shard(0), [], CORPUS)
    write_json(corpus.path / "stats.json", report_stats(corpus))
    fake_data.finish(corpus, "corpus", [])
    write_json(tmp_path / "latest.json", {"corpus": "corpus-1"})
    assert "0</b>" in page(tmp_path, tmp_path)


def test_bars_add_up_to_all_documents(world, tmp_path):
    view = report.corpus_view(world.directories["corpus"])
    for name in ("lengths", "scores", "years", "clusters", "languages"):
        assert sum(bar["value"] for bar in view[name]) == 126
        assert max(bar["width"] for bar in view[name]) == 100


def test_link_rot_counts_every_link_of_every_year(world):
    found = report.rot(world.directories["pages"])
    assert sum(sum(row["ways"].values()) for row in found) == 170
    assert found[0]["year"] == 2013
    assert sum(row["ways"].get("gone", 0) for row in found) == 20
    assert sum(row["ways"].get("forbidden", 0) for row in found) == 10


def test_the_page_counts_its_likeness_once(monkeypatch):
    asked = []
    monkeypatch.setattr(report, "likeness", lambda made: asked.append(made) or [])
    report.view([], None)
    assert asked == [[]]


def test_a_run_without_a_log_is_named(world, tmp_path):
    with pytest.raises(UserError, match=r"log.jsonl: no such file; --run wants a training run's"):
        Build(None, world.data).report(tmp_path / "report.html", tmp_path)
