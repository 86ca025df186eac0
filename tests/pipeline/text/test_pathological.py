"""Twenty pages made to take time, memory or the process, each among ordinary ones.

Each goes the whole way of a recipe: charset, extraction, cleaning, language, every rule, edits.
"""

import json
import math
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from webtext.pipeline.core.records import DOCUMENT, PAGE
from webtext.pipeline.core.stage import pass_batch, run_chain
from webtext.pipeline.filters.c4 import C4
from webtext.pipeline.filters.fineweb import FineWeb
from webtext.pipeline.filters.gopher import GopherRepetition
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.extraction.extract import REASONS, Extract
from webtext.pipeline.text.language import Language
from webtext.pipeline.text.pii import Pii

PROSE = b"""
<p>The miller had three sons, and when he died there was little for them to share: the mill, an old
donkey that had carried the flour, and a grey cat that slept by the oven.</p>
<p>The eldest took the mill, since somebody had to grind what the farmers brought. The second led
the donkey away before anyone could object, and the youngest was left with the cat.</p>
<p>"With the mill you can earn your bread," he said, "and with a donkey you can carry it to market.
What is a cat good for? I could make a pair of gloves of its fur, and then I would be as poor as I
was before, with warm hands."</p>
<p>The cat had heard all of this. It yawned, stretched, and answered that gloves would be a waste.
"Have a pair of boots made for me," it said, "so that I can walk through the thorns, and you will
find that you have not come off as badly as you think."</p>
<p>He had seen this animal hang by its hind feet and pretend to be dead until the mice came out, and
so he thought that there might be something in it. The shoemaker laughed, but he took the last coins
and made the boots within two days.</p>
<p>Next morning the cat put them on, hung a bag of bran over its shoulder, and left by the back door
on two legs, as if it had never walked in any other way.</p>
"""
HANGS = 20  # seconds of CPU: what is not in the sandbox has no deadline, and needs none

RULES = Rules(
    gopher_repetition=GopherRepetition(enabled=True),
    c4=C4(enabled=True, terminal=False),
    fineweb=FineWeb(enabled=True),
)
CHAIN = (
    Extract(deadline=1.0, memory_mb=500, max_bytes=30_000_000),
    Clean(),
    Language(),
    RULES,
    Pii(enabled=True),
)


def html(inside, head=b""):
    return (
        b"<html><head><title>A page</title>" + head + b"</head><body>" + inside + b"</body></html>"
    )


ORDINARY = html(b"<article><h1>A page</h1>" + PROSE + b"</article>")


def linked(**data):
    """Return linked data of an article, which extractors search with expressions of their own."""
    text = json.dumps({"@type": "Article", **data}).encode()
    return b"<script type='application/ld+json'>" + text + b"</script>"


PAGES = {
    "200,000 flat tags": html(b"<b>x</b>" * 200_000),
    "200,000 flat paragraphs": html(b"<p>x</p>" * 200_000),
    "100,000 nested": html(b"<div>" * 100_000 + PROSE),
    "100,000 nested and never closed inline": html(b"<i>" * 100_000 + PROSE),
    "10,000 tables in one another": html(b"<table><tr><td>" * 10_000 + PROSE),
    "20 MB of one text node": html(b"<p>" + b"words of it " * 1_700_000 + b"</p>"),
    "20 MB of one word": html(b"<p>" + b"w" * 20_000_000 + b"</p>"),
    "a line of 2 MB of blanks": html(PROSE + b"<p>a" + b" " * 2_000_000 + b"b</p>"),
    "2 MB of no-break blanks": html(PROSE + b"<p>a" + b"&nbsp;" * 400_000 + b"b</p>"),
    "300,000 empty lines": html(PROSE + b"<pre>" + b"\n \t" * 300_000 + b"</pre>"),
    "100,000 attributes": html(b"<p " + b" ".join(b"a%d" % n for n in range(100_000)) + b">x"),
    "an attribute of 5 MB": html(b"<p class='" + b"comment " * 600_000 + b"'>" + PROSE),
    "50,000 links": html(b"<a href='/x'>a link of some words</a> " * 50_000),
    "a title of separators": html(PROSE, b"<title>" + b"a - " * 100_000 + b"</title>"),
    "tags without an end in linked data": html(
        PROSE, linked(articleBody="<p " + "a= " * 100_000, headline="x " * 100_000)
    ),
    "names without an end in linked data": html(PROSE, linked(author='"name' * 50_000)),
    "linked data nested 50,000 deep": html(
        PROSE, b"<script type='application/ld+json'>" + b'{"a":[' * 50_000 + b"</script>"
    ),
    "half a million digits and dashes": html(PROSE + b"<p>" + b"2011-1-2011-" * 40_000 + b"</p>"),
    "a mail address without an end": html(PROSE + b"<p>" + b"a.b-c_" * 100_000 + b"@</p>"),
    "half a million stops and brackets": html(PROSE + b"<p>" + b"...(a)!?[1]" * 50_000 + b"</p>"),
}


def batch(bodies):
    rows = [
        {"id": f"{n:016x}", "url": f"http://a.test/{n}", "body": body, "content_type": "text/html"}
        for n, body in enumerate(bodies)
    ]
    return pa.RecordBatch.from_pylist(rows, PAGE)


def test_there_are_twenty():
    assert len(PAGES) == 20


@pytest.mark.parametrize("body", PAGES.values(), ids=PAGES)
def test_a_pathological_page_costs_its_own_fate_and_no_more(body, tmp_path):
    began = time.process_time()
    paths = (tmp_path / "kept.parquet", tmp_path / "dropped.parquet")
    run_chain(CHAIN, [batch([ORDINARY, body, ORDINARY])], *paths)
    kept, dropped = (pq.read_table(path).to_pylist() for path in paths)
    ends = {row["id"]: row["dropped_by"] for row in dropped}
    ids = [row["id"] for row in kept]
    assert {ids[0], ids[-1]} == {f"{0:016x}", f"{2:016x}"}, "the pages around it are kept"
    assert len(kept) + len(dropped) == 3, "each page ends once"
    for reason in ends.values():
        assert not reason.startswith("extract.") or reason in REASONS
        assert reason not in {"extract.crashed", "extract.error"}
    assert time.process_time() - began < HANGS


TEXTS = {
    "blanks": "a" + " " * 2_000_000 + "b",
    "empty lines": "\n \t" * 700_000 + "b",
    "one word": "w" * 2_000_000,
    "marks": "...(a)!?[1]" * 200_000,
    "digits and dashes": "2011-1-2011-" * 200_000,
    "a mail address without an end": "a.b-c_" * 300_000 + "@",
    "addresses without a host": "a@" * 1_000_000,
    "telephone numbers without an end": "+1 (555) 010-" * 150_000,
    "IP addresses without an end": "1.2.3." * 300_000,
    "bullets": "- - - • … ...\n" * 150_000,
    "short lines": "a\n" * 1_000_000,
    "combining marks": "e" + "\u0301" * 1_000_000,
    "one sentence again and again": "The miller had three sons. " * 80_000,
    "no two words alike": " ".join(f"w{n}" for n in range(250_000)),
    "every script": "".join(chr(n) for n in range(0x20, 0x30000) if not 0xD800 <= n < 0xE000) * 8,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_pathological_text_ends_soon_in_every_stage_that_has_no_deadline(text):
    documents = pa.RecordBatch.from_pylist([{"id": "0" * 16, "text": text}], DOCUMENT)
    for stage in CHAIN[1:]:
        began = time.process_time()
        kept, dropped = pass_batch((stage,), documents, DOCUMENT)
        assert kept.num_rows + sum(part.num_rows for part in dropped) == 1
        assert time.process_time() - began < HANGS, stage.name
    measures = [asked.measure for asked in RULES.measures(text)]
    assert all(map(math.isfinite, measures))
    assert time.process_time() - began < HANGS, "every rule"
