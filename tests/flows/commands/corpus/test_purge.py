"""A page that was built into everything, and then is nowhere any more."""

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner
from fastwarc.warc import ArchiveIterator
from warcio.archiveiterator import ArchiveIterator as Warcio

from tests.other_stores import KINDS
from tests.pipeline.filters.own.test_own_sources import prose
from tests.web.case import page, to
from tests.web.fetching import serving
from tests.web.server import Site
from webtext.flows.building.prefect_database import DATABASE, without_samples
from webtext.flows.building.settings import load
from webtext.flows.commands.corpus.keep import forget
from webtext.flows.prefect.server import begin_database
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import replacing
from webtext.pipeline.core.stores import working_copy
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.corpus import labels
from webtext.pipeline.insight.purging import archives, purge, tombstones
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
    "links.shard_records = 1",
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


def built(folder, web, *more, data=None, until=None):
    """Build; return the build and the requests that it made."""
    heard = len(web.heard)
    dump = folder / "RS.jsonl"
    rows = [
        {"id": f"{n:x}", "url": url, "score": 9, "title": f"of {url}"} for n, url in enumerate(URLS)
    ]
    dump.write_text("\n".join(map(json.dumps, rows)))
    lines = [*ANY, f"links.sources = ['{dump}']", f"crawl.connect_to = {list(web.connect_to())}"]
    found = Build(load("demo", [*lines, *more]), data or folder / "data")
    found.run(until, workers=0)
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


def test_samples_on_prefects_pages_go_too(tmp_path):
    begin_database(tmp_path / DATABASE)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as known, known:
        for number, key in enumerate(("corpus-1-samples", "corpus-1-funnel")):
            known.execute(
                "INSERT INTO artifact (id, created, updated, key, type, data) VALUES (?,?,?,?,?,?)",
                [f"{number:032x}", "2026-01-01", "2026-01-01", key, "markdown", f"kept by {key}"],
            )
    without_samples(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as known:
        assert [*known.execute("SELECT key FROM artifact")] == [("corpus-1-funnel",)]
    assert b"kept by corpus-1-samples" not in (tmp_path / DATABASE).read_bytes()
    without_samples(tmp_path / "none")


def test_a_purged_site_is_nowhere_and_all_else_stays(data):
    there, web = data
    (there / "report.html").write_text("of http://gone.test/")
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
    purge.replacing = archives.replacing = tombstones.replacing = dying
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


@pytest.mark.parametrize("content", [b"no database", b""])
def test_a_database_of_prefect_that_has_no_texts_or_is_damaged_is_a_line(tmp_path, content):
    path = tmp_path / DATABASE
    path.write_bytes(content)
    if content:
        with pytest.raises(UserError, match=r"cannot be removed .*move it elsewhere"):
            without_samples(tmp_path)
        assert path.read_bytes() == content
    else:  # a server is making it
        without_samples(tmp_path)


def test_nothing_goes_without_a_yes(data):
    there, _ = data
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    said = CliRunner().invoke(forget, ["--purge", "--data", str(there)], input="n\n")
    assert said.exit_code == 1
    assert "corpus-" in said.output
    assert before == {path: path.read_bytes() for path in before}
    assert not (there / forgotten.PURGING).exists()


# --- in an object store ---------------------------------------------------------------------------


@pytest.fixture(params=KINDS)
def kind_of_store(request) -> str:
    return request.param


@pytest.fixture
def stored(first, cloud, tmp_path):
    """The address of a store with all of a build, and a function that gives a machine's copy."""
    folder, web = first
    address = f"{cloud.place()}/some/data"
    root = working_copy.working_copy(address)
    shutil.copytree(folder / "data", root, dirs_exist_ok=True)
    copy = working_copy.of(root)
    for home in sorted(root.glob("*-????????")):
        copy.upload(home)
    copy.publish(root / "latest.json")
    return address, root, web


def objects(address, folder):
    """Bring every object to a folder of its own."""
    store = ObjectStore(parse(address))
    for key in store.keys(""):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        store.download(key, folder / key)
    return folder


def test_a_site_is_purged_from_a_store_and_no_machine_asks_for_it_again(
    stored, tmp_path, monkeypatch
):
    address, root, web = stored
    said = run("gone.test", "--reason", "asked by mail", "--data", address)
    assert said.exit_code == 0, said.output
    needles = wanted(root)
    asked_for = forgotten.recorded(root)
    before = objects(address, tmp_path / "before")
    places = left(list(search(before, needles, asked_for, tmp_path / "none")), before)
    for name in ("links-", "pages-", "documents-", "corpus-", "tokens-"):
        assert any(line.startswith(name) for line in places), name
    store, download = ObjectStore(parse(address)), ObjectStore.download
    store.put(".parts/0a/documents-0123abcd/0.txt", b"http://gone.test/ of a build that was killed")
    store.put(".clock-0a", b"of a machine that waits")

    def late(self, key, path):
        if key == ".clock-0a":
            self.delete(key)
        return download(self, key, path)

    monkeypatch.setattr(ObjectStore, "download", late)
    said = run("--purge", "--yes", "--data", address)
    assert (said.exit_code, "nothing of it is left" in said.output) == (0, True), said.output
    after = objects(address, tmp_path / "after")
    assert not left(list(search(after, needles, asked_for, tmp_path / "none")), after)
    assert not left(found(root, needles), root)
    assert {path.name.partition("-")[0] for path in after.iterdir()} == {
        "forgotten.jsonl",
        "latest.json",
        "pages",
    }
    monkeypatch.setenv("WEBTEXT_STORES", str(tmp_path / "second"))
    second = working_copy.working_copy(address)
    assert list(verify(second)) == []
    again, heard = built(tmp_path, web, data=second, until="pages")
    assert heard
    assert not any(b"gone.test" in request for request in heard)
    assert again.follow("http://gone.test/").fate == "links.forgotten"
    assert not left(found(second, needles), second)


@pytest.mark.slow  # two more machines, and two purges
def test_a_purge_that_was_cut_off_blocks_all_machines_and_another_one_ends_it(
    stored, tmp_path, monkeypatch
):
    address, root, web = stored
    assert run("gone.test", "--reason", "asked by mail", "--data", address).exit_code == 0
    needles, asked_for = wanted(root), forgotten.recorded(root)
    swap = ObjectStore.swap

    def cut_off(store, key, *more):
        if "pages-" in key:
            raise ConnectionAbortedError(key)
        return swap(store, key, *more)

    monkeypatch.setattr(ObjectStore, "swap", cut_off)  # files are there, their manifest is not
    with pytest.raises(ConnectionAbortedError):
        run("--purge", "--yes", "--data", address)
    monkeypatch.setattr(ObjectStore, "swap", swap)
    monkeypatch.setenv("WEBTEXT_STORES", str(tmp_path / "second"))
    second = working_copy.working_copy(address)
    with pytest.raises(UserError, match="a purge was interrupted"):
        built(tmp_path, web, data=second)
    said = run("--purge", "--data", address)  # nothing is asked again
    assert "nothing of it is left" in said.output
    after = objects(address, tmp_path / "after")
    assert not left(list(search(after, needles, asked_for, tmp_path / "none")), after)
    assert not (after / forgotten.PURGING).exists()
    assert list(verify(second)) == []
    monkeypatch.setenv("WEBTEXT_STORES", str(root.parent))
    assert left(found(root, needles), root)  # the first machine still has it
    said = run("--purge", "--yes", "--data", address)
    assert "nothing of it is left" in said.output
    assert not left(found(root, needles), root)
    assert list(verify(root)) == []
