from operator import attrgetter

import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from trafilatura import main_extractor
from trafilatura.htmlprocessing import convert_tags, tree_cleaning
from trafilatura.settings import TAG_CATALOG, Extractor

from webtext.pipeline.text.extraction.charset import decode
from webtext.pipeline.text.extraction.parse import parse
from webtext.pipeline.text.extraction.trafilatura import cascade
from webtext.pipeline.text.extraction.trafilatura.boilerplate import clean, prune

TABLES = {"table", "td", "th", "tr"}
FOCUSES = {"precision": {"precision": True}, "balanced": {}, "recall": {"recall": True}}


def pages(shared, every):
    with zstandard.open(shared / "miniweb" / "news.warc.zst") as file:
        for n, record in enumerate(ArchiveIterator(file, WarcRecordType.response)):
            if n % every == 0:
                yield decode(record.reader.read(), None).text


@pytest.mark.parametrize("tables", [True, False])
def test_pages_are_cleaned_as_trafilatura_cleans_them(shared, tables):
    options = Extractor(precision=True, tables=tables)
    for page in pages(shared, 15):
        ours, theirs = (etree.tostring(f(parse(page), options)) for f in (clean, tree_cleaning))
        assert ours == theirs


def both(page, options, tags, keep_teasers=False):
    """Return what ours and theirs leave of a page, as bytes; theirs with nothing of ours in it."""
    cascade.bind()
    with pytest.MonkeyPatch.context() as patch:
        for binding in filter(attrgetter("theirs"), cascade.bindings()):
            patch.setattr(binding.module, binding.name, binding.theirs)
        trees = [convert_tags(tree_cleaning(parse(page), options), options) for _ in range(2)]
        theirs = main_extractor.prune_unwanted_sections(trees[1], tags, options, keep_teasers)
    return etree.tostring(prune(trees[0], tags, options, keep_teasers)), etree.tostring(theirs)


@pytest.mark.parametrize("focus", FOCUSES.values(), ids=FOCUSES)
@pytest.mark.parametrize("keep_teasers", [True, False])
def test_boilerplate_goes_where_trafilatura_takes_it_out(shared, focus, keep_teasers):
    for page in pages(shared, 25):
        for tags in (set(TAG_CATALOG) | TABLES, set(TAG_CATALOG) | {"graphic", "ref"}):
            ours, theirs = both(page, Extractor(**focus), tags, keep_teasers)
            assert ours == theirs


texts = st.sampled_from(
    ["A word ", "Some words of a text, which go on and on. " * 4, "x" * 2500, " "]
)
links = st.builds(
    "<a href=/>{}</a>".format, st.sampled_from(["", "Home", "A longer link", "Long " * 30])
)
opened = st.sampled_from(["<div>", "<p>", "<ul><li>", "<h2>", "<blockquote>", "<table><tr><td>",
                          "<div class=share-x>", "<p class=teaser>", "<span id=link>"])  # fmt: skip
closed = st.sampled_from(["</div>", "</p>", "</ul>", "</table>", "</blockquote>", "</h2>"])


@settings(max_examples=200, deadline=None)
@given(
    inside=st.lists(st.one_of(texts, links, links, opened, closed), max_size=80).map("".join),
    precision=st.booleans(),
)
def test_blocks_of_links_go_where_trafilatura_takes_them_out(inside, precision):
    page = f"<html><body><div>{inside}</div><div>{'Other words of the page. ' * 30}</div></body>"
    ours, theirs = both(page, Extractor(precision=precision), set(TAG_CATALOG) | TABLES)
    assert ours == theirs
