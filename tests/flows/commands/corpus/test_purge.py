"""A page that was built into everything, and then is nowhere any more."""

import json
import multiprocessing
import os
import shutil
import signal

import pytest
from click.testing import CliRunner
from fastwarc.warc import ArchiveIterator
from warcio.archiveiterator import ArchiveIterator as Warcio

from tests.pipeline.filters.own.test_own_sources import prose
from tests.web.case import page, to
from tests.web.fetching import serving
from tests.web.server import Site
from webtext.flows.building.settings import load
from webtext.flows.commands.corpus.keep import forget
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import replacing
from webtext.pipeline.corpus import labels
from webtext.pipeline.insight.purging import purge, tombstones
from webtext.pipeline.insight.purging.needles import TEXT, TOKENS, URL, Needles
from webtext.pipeline.insight.purging.searching import left, search
from webtext.pipeline.insight.verification import verify
from webtext.pipeline.urls import forgotten
from webtext.pipeline.urls.urls import url_id

ANY = (
    "language = {keep = [], min_probability = 0.0}",
    "extract.languages = []",
    "rules.prose.enabled = false",
    "rules.gopher_quality.stop_words.at_least = 0",
    "links.shards = 2",
    "tokens.val_fraction = 0.0",
    "crawl.delay = 0.0",
)


def answer(text, *links):
    anchors = "".join(f'<p><a href="{link}">there</a></p>' for link in links)
    paragraphs = "".join(f"<p>{part}</p>" for part in text)
    html = f"<html><head><title>T</title></head><body>{paragraphs}{anchors}</body></html>"
    return page(html.encode())


SITES = {
    "gone.test": Site(
        answer([prose(1)]), paths={"/b": answer([prose(2)]), "/shared": answer([prose(3)])}
    ),
    "kept.test": Site(
        answer([prose(4)], "http://gone.test/"),
        paths={"/shared": answer([prose(3), prose(5)]), "/page": answer([prose(6)])},
    ),
    "moved.test": Site(to("http://gone.test/b")),
}
URLS = [
    *(f"http://gone.test/{path}" for path in ("", "b", "shared", "missing.pdf")),
    *(f"http://kept.test/{path}" for path in ("", "shared", "page", "page/x")),
    "http://moved.test/",
]


def built(folder, web, *more):
    """Build; return the build and the requests that it made."""
    heard = len(web.heard)
    dump = folder / "RS.jsonl"
    rows = [
        {"id": f"{n:x}", "url": url, "score": 9, "title": f"of {url}"} for n, url in enumerate(URLS)
    ]
    dump.write_text("\n".join(map(json.dumps, rows)))
    lines = [*ANY, f"links.sources = ['{dump}']", f"crawl.connect_to = {list(web.connect_to())}"]
    found = Build(load("demo", [*lines, *more]), folder / "data")
    found.run(workers=0)
    return found, web.heard[heard:]


def run(*arguments):
    return CliRunner().invoke(forget, [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A data directory that holds pages of gone.test wherever it can, and the web."""
    folder = tmp_path_factory.mktemp("first")
    with serving(SITES) as web:
        _, heard = built(folder, web)
        assert any(b"Host: gone.test" in request for request in heard)
        for url in ("http://gone.test/", "http://kept.test/"):
            labels.add(folder / "data", labels.Label(url_id(url), labels.KEEP, "fine", url))
        (folder / "data" / "inspector").mkdir()
        (folder / "data" / "inspector" / "table").write_text("http://gone.test/")
        yield folder, web


@pytest.fixture
def data(first, tmp_path):
    """A copy of it, in which gone.test is to be forgotten; and the web."""
    folder, web = first
    shutil.copytree(folder, tmp_path / "copy")
    there = tmp_path / "copy" / "data"
    forgotten.record(there, [forgotten.request("gone.test")], "asked by mail")
    return there, web


def wanted(there):
    plan = purge.plan(there, Build(None, there).names)
    return Needles.of(plan.needles)


def found(there, needles):
    return list(search(there, needles, forgotten.recorded(there), there / forgotten.PURGING))


def test_a_purged_site_is_nowhere_and_all_else_stays(data):
    there, web = data
    needles = wanted(there)
    assert set(needles.kinds.values()) == {URL, TEXT, TOKENS}
    before = left(found(there, needles), there)
    for name in ("links-", "pages-", "documents-", "corpus-", "tokens-", ".harvested", "inspector"):
        assert any(line.startswith(name) for line in before), name
    said = run("--purge", "--yes", "--data", there)
    assert (said.exit_code, "nothing of it is left" in said.output) == (0, True), said.output
    assert not left(found(there, needles), there)
    stays = {(hit.kept, hit.kind) for hit in found(there, needles) if hit.kept}
    links = {("http://kept.test/", URL), ("http://kept.test/page/x", URL)}  # they have one there
    assert stays == {*links, ("http://kept.test/shared", TEXT)}
    assert list(verify(there)) == []
    assert [one.url for one in labels.read(there).values()] == ["http://kept.test/"]
    for path in there.glob("pages-*/*.warc.gz"):
        with path.open("rb") as file:
            kinds = [record.rec_type for record in Warcio(file)]
        with path.open("rb") as file:
            assert sum(1 for _ in ArchiveIterator(file)) == len(kinds)
    again, heard = built(there.parent, web)
    assert not any(b"gone.test" in request for request in heard)
    assert any(b"moved.test" in request for request in heard)  # where it leads is not known now
    assert not left(found(there, needles), there)
    assert list(verify(there)) == []
    assert again.follow("http://gone.test/").fate == "links.forgotten"
    assert again.follow("http://moved.test/").fate == "crawl.forgotten"
    assert again.follow("http://kept.test/shared").fate == "kept"


@pytest.mark.slow  # two more builds
def test_a_build_before_the_purge_is_left_as_it_is(data):
    there, web = data
    needles = wanted(there)
    _, heard = built(there.parent, web)
    assert not any(b"gone.test" in request for request in heard)
    new = json.loads((there / "latest.json").read_text())
    files = [path for name in new.values() for path in (there / name).rglob("*.*")]
    before = {path: path.read_bytes() for path in files if path.is_file()}
    assert run("--purge", "--yes", "--data", there).exit_code == 0
    assert before == {path: path.read_bytes() for path in before}
    assert json.loads((there / "latest.json").read_text()) == new
    assert not left(found(there, needles), there)
    assert not list(verify(there))
    assert built(there.parent, web)[1] == []


def killed_purge(there, times):
    """Purge, and die at the `times`-th file that is replaced, as if killed."""
    left_over = times

    def dying(path):
        nonlocal left_over
        left_over -= 1
        if not left_over:
            os.kill(os.getpid(), signal.SIGKILL)
        return replacing(path)

    plan = purge.plan(there, Build(None, there).names)
    purge.begin(there, plan)
    purge.replacing = tombstones.replacing = dying
    purge.purge(there, plan)


@pytest.mark.slow  # a process for each, and four purges; another file each time
@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_a_killed_purge_goes_on_and_no_build_begins_before(data, times):
    there, web = data
    needles = wanted(there)
    process = multiprocessing.get_context("spawn").Process(target=killed_purge, args=(there, times))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with pytest.raises(UserError, match="a purge was interrupted"):
        built(there.parent, web)
    said = run("--purge", "--data", there)  # nothing is asked again
    assert "nothing of it is left" in said.output
    assert not left(found(there, needles), there)
    assert not list(verify(there))


def test_nothing_goes_without_a_yes(data):
    there, _ = data
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    said = CliRunner().invoke(forget, ["--purge", "--data", str(there)], input="n\n")
    assert said.exit_code == 1
    assert "corpus-" in said.output
    assert before == {path: path.read_bytes() for path in before}
    assert not (there / forgotten.PURGING).exists()
