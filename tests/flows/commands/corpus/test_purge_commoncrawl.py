"""A site whose pages came out of Common Crawl, and then is nowhere any more."""

import json

import pytest
from click.testing import CliRunner

from tests.flows.commands.corpus.test_purge import ANY, found, left, wanted
from tests.pipeline.crawl.commoncrawl.common_crawl import HTML, indexed, serving, written
from tests.pipeline.filters.own.test_own_sources import prose
from webtext.flows.building.settings import load
from webtext.flows.commands.corpus.keep import forget
from webtext.pipeline.build import Build
from webtext.pipeline.insight.purging.needles import TEXT, TOKENS, URL
from webtext.pipeline.insight.verification import verify
from webtext.pipeline.urls import forgotten

CRAWL, DAY = "CC-MAIN-2016-07", "20160220"


def page(number):
    return f"<html><title>T</title><p>{prose(number)}</p></html>".encode()


def moved(url, target):
    return (url, DAY, 302, HTML, b"", (("Location", target),))


def shown(url, number):
    return (url, DAY, 200, HTML, page(number), ())


RECORDS = [
    shown("http://gone.test/", 1),
    shown("http://gone.test/b", 2),
    shown("http://kept.test/", 3),
    shown("http://kept.test/new", 4),
    moved("http://moved.test/", "http://gone.test/b"),
    moved("http://turned.test/", "http://kept.test/new"),
    moved("http://lost.test/", "http://gone.test/nowhere"),
]
LED_TO = ("http://gone.test/b", "http://kept.test/new")  # by redirects alone
URLS = [record[0] for record in RECORDS if record[0] not in LED_TO]


def built(folder, home, until=None):
    """Build with a server of its own; return the build and the ranges of WARC files it served."""
    dump = folder / "RS.jsonl"
    rows = [{"id": f"{n:x}", "url": url, "score": 9} for n, url in enumerate(URLS)]
    dump.write_text("\n".join(map(json.dumps, rows)))
    with serving(home) as (port, log):
        lines = [
            *ANY,
            f"links.sources = ['{dump}']",
            f"crawl.connect_to = ['*:80:127.0.0.1:{port}']",
            f"commoncrawl = {{crawls = ['{CRAWL}'], gap = 0, rate = 1e6}}",
            "commoncrawl.prefix = 'http://commoncrawl.test'",
        ]
        build = Build(load("demo", lines), folder / "data")
        build.run(until, workers=0)
        return build, log.ranges(r"\.warc\.gz")


def asked_of(host, asked, lines):
    """Return which ranges have a byte of a record of a host."""
    found = []
    for line in lines:
        told = json.loads(line.split(" ", 2)[2])
        first, size = int(told["offset"]), int(told["length"])
        if f"/{host}/" in told["url"]:
            found += [one for one in asked if one[1] < first + size and first <= one[2]]
    return found


@pytest.fixture
def archive(tmp_path):
    """The folder of a Common Crawl, and the lines of its index."""
    home = tmp_path / "commoncrawl"
    written(home / f"crawl-data/{CRAWL}/segments/1/warc/{CRAWL}-00000.warc.gz", RECORDS)
    return home, indexed(home, CRAWL)


def test_a_site_out_of_common_crawl_is_purged_and_not_asked_for_again(tmp_path, archive):
    home, lines = archive
    there = tmp_path / "data"
    build, asked = built(tmp_path, home)
    assert asked_of("gone.test", asked, lines)
    assert build.follow("http://moved.test/").fate == "kept"
    forgotten.record(there, [forgotten.request("gone.test")], "asked by mail")
    needles = wanted(there)
    assert set(needles.kinds.values()) == {URL, TEXT, TOKENS}
    held = left(found(there, needles), there)
    for part in (".warc.gz", "/captures/", "/outcomes/", "corpus-", "tokens-"):
        assert any(part in line for line in held), part
    said = CliRunner().invoke(forget, ["--purge", "--yes", "--data", str(there)])
    assert (said.exit_code, "nothing of it is left" in said.output) == (0, True), said.output
    assert found(there, needles) == []  # not even in what others say
    assert list(verify(there)) == []
    (pages,) = there.glob("pages-*")
    (line,) = json.loads((pages / "manifest.json").read_text())["passages"]
    assert line["stage"] == "commoncrawl"
    assert line["dropped"]["commoncrawl.forgotten"] == 3
    assert line["kept"] == 2
    again, asked = built(tmp_path, home, "pages")
    assert asked_of("kept.test", asked, lines)
    assert not asked_of("gone.test", asked, lines)
    assert found(there, needles) == []
    assert list(verify(there)) == []
    assert again.follow("http://gone.test/").fate == "links.forgotten"
    for url in ("http://moved.test/", "http://lost.test/"):
        assert again.follow(url).fate == "commoncrawl.forgotten"
    for url in ("http://kept.test/", "http://turned.test/"):
        assert again.follow(url).fate == "kept"
