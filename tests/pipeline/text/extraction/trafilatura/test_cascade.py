import io
import subprocess
import sys
import tarfile
from operator import attrgetter

import justext
import pytest
import trafilatura
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st

from webtext.pipeline.text.extraction import maintext
from webtext.pipeline.text.extraction.charset import decode
from webtext.pipeline.text.extraction.maintext import Reading, options
from webtext.pipeline.text.extraction.parse import parse
from webtext.pipeline.text.extraction.trafilatura import cascade

READINGS = {
    "precision": Reading(),
    "balanced": Reading(favor_precision=False),
    "recall": Reading(favor_precision=False, favor_recall=True),
    "fast": Reading(fast=True),
    "comments, no tables": Reading(include_comments=True, include_tables=False),
}


@pytest.fixture
def theirs(monkeypatch):
    """Return trafilatura's own main text of a page, by a trafilatura that is left alone."""
    cascade.bind()

    def main_text(page, reading):
        with monkeypatch.context() as patch:
            for binding in filter(attrgetter("theirs"), cascade.bindings()):
                patch.setattr(binding.module, binding.name, binding.theirs)
            found = trafilatura.bare_extraction(parse(page), options=options(reading))
        return "\n".join(filter(None, (found.text, found.comments))) if found else ""

    return main_text


def ours(page, reading):
    tree = parse(page)
    return "" if tree is None else cascade.main_text(tree, options(reading))


def miniweb(shared, every):
    for name in ("news", "sites"):
        with zstandard.open(shared / "miniweb" / f"{name}.warc.zst") as file:
            for n, record in enumerate(ArchiveIterator(file, WarcRecordType.response)):
                if n % every == 0 and "html" in (record.http_content_type or ""):
                    yield decode(record.reader.read(), None).text


def packed(shared, name, every):
    with zstandard.open(shared / "extraction" / f"{name}.tar.zst") as file:
        packed = io.BytesIO(file.read())
    with tarfile.open(fileobj=packed) as tar:
        pages = [member for member in tar if member.name.endswith(".html")]
        for member in pages[::every]:
            yield decode(tar.extractfile(member).read(), None).text


def test_the_version_at_hand_is_the_one_that_was_checked():
    assert (trafilatura.__version__, justext.__version__) == maintext.CHECKED


def test_another_version_is_left_alone(shared):
    page = next(miniweb(shared, 1))
    script = """
import sys, trafilatura
trafilatura.__version__ = "99.0"
# which may not be importable
sys.modules["webtext.pipeline.text.extraction.trafilatura.cascade"] = None
from webtext.pipeline.text.extraction.maintext import Page, Reading, read
print(read(Reading(), Page(sys.stdin.buffer.read(), "text/html; charset=utf-8", None)).text)
"""
    alone = subprocess.run(
        [sys.executable, "-c", script], input=page.encode(), capture_output=True, check=True
    ).stdout.decode()
    assert (
        alone.strip()
        == maintext.read(
            Reading(), maintext.Page(page.encode(), "text/html; charset=utf-8", None)
        ).text
    )


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_texts_of_real_pages_are_trafilaturas_own(shared, theirs, reading):
    every = 60 if reading == Reading() else 300
    for page in (*miniweb(shared, every), *packed(shared, "scrapinghub", every // 6)):
        assert ours(page, reading) == theirs(page, reading)


@pytest.mark.slow
def test_texts_of_a_thousand_real_pages_are_trafilaturas_own(shared, theirs):
    seen = 0
    for pages in (miniweb(shared, 8), packed(shared, "scrapinghub", 1),
                  packed(shared, "readability", 1)):  # fmt: skip
        for page in pages:
            seen += 1
            assert ours(page, Reading()) == theirs(page, Reading())
    assert seen > 1000


words = st.sampled_from(["Some words of a text, which go on. " * 9, "A menu", "&amp;lt; x", "\n "])
names = st.sampled_from(["div", "p", "a", "span", "xmp", "iframe", "ul", "li", "table", "td", "h1",
                         "script", "article", "noscript", "textarea", "plaintext", "br",
                         "footer", "form", "b", "header"])  # fmt: skip
marks = st.sampled_from(["", " class=content", " id=nav-x class=article", " style='display:none'",
                         " href=/", " class=comment-list", " src=//vimeo.com/1"])  # fmt: skip
pieces = st.one_of(
    words, st.builds("<{}{}>".format, names, marks), st.builds("</{}>".format, names)
)


@settings(max_examples=150, deadline=None)
@given(inside=st.lists(pieces, min_size=3, max_size=60).map("".join))
def test_texts_of_any_page_are_trafilaturas_own(inside):
    page = f"<html><body>{inside}</body></html>"
    cascade.bind()
    with pytest.MonkeyPatch.context() as patch:
        for binding in filter(attrgetter("theirs"), cascade.bindings()):
            patch.setattr(binding.module, binding.name, binding.theirs)
        found = trafilatura.bare_extraction(parse(page), options=options(Reading()))
    assert ours(page, Reading()) == (found.text if found else "")
