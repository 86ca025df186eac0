"""Ten times as much of a hostile page takes the blocks ten times the time, and no more."""

import pytest

from tests.pipeline.test_linear_time import check_linear, repeated, tree
from webtext.pipeline.text.extraction.blocks.blocks import blocks
from webtext.pipeline.text.extraction.notices import without_notices
from webtext.pipeline.text.extraction.parse import parse
from webtext.pipeline.text.extraction.unseen import read_rules

FORM = b"<form>" + b"an item of a shop " * 12 + b"</form>"
NOTICE = b"<p>We use cookies, and you agree.</p>"
ARTICLE = b"<article>x</article>"
CELLS = b"<tr><td rowspan=900>a<td colspan=50>b<td>c"
START = b"<html><body>"


def blocks_of(body):
    found, _ = blocks(parse(body.decode("latin-1")))
    without_notices(found, [True] * len(found), [len(one.text.split()) for one in found])


def styles(selectors):
    """Read a style sheet of these selectors, whose one block hides them again and again."""
    read_rules(selectors.decode() + ".z{" + "display:none;" * (len(selectors) // 13) + "}", {})


CASES = {
    "forms": (blocks_of, repeated(part=FORM, before=START), 40_000),
    "notices": (blocks_of, repeated(part=NOTICE, before=START), 20_000),
    "unknown elements": (blocks_of, repeated(part=b"a <x-y>b</x-y> ", before=START), 20_000),
    "exponents": (blocks_of, repeated(part=b"a<sup>2</sup> ", before=START + b"<p>"), 20_000),
    "cells": (blocks_of, repeated(part=CELLS, before=START + b"<table>"), 20_000),
    "a head": (tree, repeated(part=ARTICLE, before=b"<html><head><title>t</title>"), 60_000),
    "styles": (styles, repeated(part=b".a,"), 10_000),
}


@pytest.mark.parametrize(("work", "make", "n"), CASES.values(), ids=CASES)
def test_ten_times_the_page_takes_ten_times_the_time(work, make, n):
    check_linear(work, make, n)
