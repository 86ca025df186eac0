import re

import pytest

from webtext.pipeline.crawl.policy.markup import HEAD_BYTES, metas

BY_SEARCHING = re.compile(rb"<[mM][eE][tT][aA]\b([^<>]{1,4000})>")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<m",
        b"<meta>",
        b"<meta a>",
        b"<MeTa a><mETA\nb='c'><metas d><main><M><-meta e>",
        b"<<meta a><meta <meta b><meta" + b" x" * 3000 + b"><meta c",
        b"x" * (HEAD_BYTES - 4) + b"<meta late>",
        b"x" * (HEAD_BYTES - 8) + b"<meta a><meta late>",
        bytes(range(256)) * 4 + b"<meta \xff\x80>",
    ],
)
def test_meta_elements_are_those_that_a_search_finds(body):
    assert metas(body) == BY_SEARCHING.findall(body[:HEAD_BYTES])


def test_meta_elements_of_wide_characters_are_found():
    assert metas("<p><META name=robots>".encode("utf-16")) == [b" name=robots"]
