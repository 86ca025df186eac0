"""Real pages taken out of a Common Crawl by address, against those read from the WARC files."""

from itertools import islice

import pytest

from tests.pipeline.crawl.commoncrawl.common_crawl import indexed, linked, serving
from tests.pipeline.warcfile import members, record, write
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.warc import responses
from webtext.pipeline.archive.warc_import import ImportWarc, import_warc
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl.commoncrawl.settings import CommonCrawl
from webtext.pipeline.crawl.commoncrawl.step import take
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.links.links import harvest
from webtext.pipeline.links.settings import Harvest

CRAWL = "CC-MAIN-2016-07"


def archived(home, found, files):
    """Write responses as the WARC files of a crawl, dealt out one after the other."""
    stored = [[] for _ in range(files)]
    for number, one in enumerate(found):
        block = one.head + one.body
        when = f"{one.date:%Y-%m-%dT%H:%M:%SZ}"
        stored[number % files].append(record(one.url, block, number=number, WARC_Date=when))
    folder = home / f"crawl-data/{CRAWL}/segments/1/warc"
    folder.mkdir(parents=True)
    paths = [folder / f"{CRAWL}-{number:05d}.warc.gz" for number in range(files)]
    return [write(path, members(part)) for path, part in zip(paths, stored, strict=True)]


def pages(out):
    """Return all that a document is made of, by the id of its page."""
    return {
        row["id"]: row
        for number in out.numbers("outcomes")
        for batch in page_batches(out, number)
        for row in batch.to_pylist()
    }


def compared(tmp_path, warcs, links, home):
    """Take the pages of links both ways; return the funnel's lines and the server's log."""
    (expected,) = import_warc(
        ImportWarc(), warcs, links, Directory(tmp_path / "pages-0"), 0, silent
    )
    wanted = pages(Directory(tmp_path / "pages-0"))
    for index in ("cdx", "columnar"):
        out = Directory(tmp_path / f"pages-{index}")
        out.path.mkdir()
        with serving(home) as (port, log):
            asked = CommonCrawl((CRAWL,), "http://commoncrawl.test", index=index, rate=1e6)
            crawl = Crawl(connect_to=(f"*:80:127.0.0.1:{port}",))
            (passage,) = take(asked, crawl, links, out, silent)
        assert passage.read == expected.read
        found = pages(out)
        opted_out = passage.dropped.get("commoncrawl.opted_out", 0)
        assert len(found) == passage.kept == expected.kept - opted_out
        assert all(wanted[identity] == row for identity, row in found.items())
        assert passage.dropped.get("commoncrawl.not_found", 0) == expected.dropped.get(
            "pages.not_in_warc", 0
        )
        told(index, out, passage, log)
    return passage


def told(index, out, passage, log):
    """Print what LOG.md has: requests a page, and bytes read beyond the pages."""
    rows = [row for path in out.shards("outcomes") for row in read_shard(path).to_pylist()]
    records = log.ranges(r"\.warc\.gz$")
    read = sum(last - first + 1 for _, first, last, _ in records)
    needed = sum({(r["warc_file"], r["warc_offset"]): r["warc_length"] for r in rows
                  if r["warc_file"]}.values())  # fmt: skip
    of_index = [one for one in log if one not in records]
    print(
        f"{index}: {passage.read:,} links, {passage.kept:,} pages, {len(records)} requests of "
        f"records ({len(records) / max(passage.kept, 1):.3f} a page), {read:,} bytes read for "
        f"{needed:,} ({read / needed - 1:.1%} beyond), index: {len(of_index)} requests, "
        f"{sum(last - first + 1 for _, first, last, _ in of_index):,} bytes; {passage.dropped}"
    )


def test_some_dozens_of_real_pages_are_those_of_the_warc_files(real_pages, tmp_path):
    found = list(islice(responses(real_pages), 48))
    warcs = archived(tmp_path / "cc", found, 3)
    indexed(tmp_path / "cc", CRAWL)
    asked = [(one.url, "20150101") for one in found[::2]]
    asked += [(f"{one.url.rstrip('/')}/not-there", None) for one in found[::8]]
    passage = compared(tmp_path, warcs, linked(tmp_path / "links-0", asked), tmp_path / "cc")
    assert passage.dropped == {"commoncrawl.not_found": 6}
    assert passage.kept == 24


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_whole_of_the_mini_web_is_that_of_the_warc_files(shared, tmp_path):
    both = ("sites.warc.zst", "news.warc.zst")
    found = (one for name in both for one in responses(shared / "miniweb" / name))
    warcs = archived(tmp_path / "cc", found, 8)
    indexed(tmp_path / "cc", CRAWL, 3000, 1000)
    links = Directory(tmp_path / "links-0")
    links.path.mkdir()
    source = shared / "links/miniweb_submissions_PAIRED.jsonl.zst"
    harvest(Harvest(shards=4, remember=False), [source], links, 0, silent)
    passage = compared(tmp_path, warcs, links, tmp_path / "cc")
    assert passage.kept > 3_700
