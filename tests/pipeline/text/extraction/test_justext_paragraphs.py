import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from justext.core import ParagraphMaker, classify_paragraphs
from justext.utils import get_stoplist, get_stoplists

from webtext.pipeline.text.extraction.charset import decode
from webtext.pipeline.text.extraction.justext_paragraphs import classify, stop_words
from webtext.pipeline.text.extraction.parse import parse

SETTINGS = (50, 150, 0.1, 0.2, 0.25, True)  # trafilatura's


def test_the_common_words_are_justexts():
    assert stop_words() == {word for name in get_stoplists() for word in get_stoplist(name)} - {""}


def test_paragraphs_are_classified_as_justext_classifies_them(shared):
    words, seen = tuple(stop_words()), set()
    with zstandard.open(shared / "miniweb" / "news.warc.zst") as file:
        for n, record in enumerate(ArchiveIterator(file, WarcRecordType.response)):
            if n % 20 == 0:
                tree = parse(decode(record.reader.read(), None).text)
                ours, theirs = (ParagraphMaker.make_paragraphs(tree) for _ in range(2))
                classify(ours, stop_words(), *SETTINGS)
                classify_paragraphs(theirs, words, *SETTINGS)
                assert [p.cf_class for p in ours] == [p.cf_class for p in theirs]
                seen |= {p.cf_class for p in ours}
    assert seen == {"bad", "short", "neargood", "good"}


def test_headings_are_not_counted():
    with pytest.raises(ValueError, match="headings"):
        classify([], stop_words(), *SETTINGS[:-1], no_headings=False)
