import pytest

from webtext.pipeline.filters.fineweb import FineWeb
from webtext.pipeline.words.document import Document

LONG = "this line has more than thirty characters"


@pytest.mark.parametrize(
    ("rule", "text", "measure", "kept"),
    [
        ("terminal_lines", "\n".join(["a."] * 3 + ["b"] * 22), 0.12, True),
        ("terminal_lines", "\n".join(["a."] * 2 + ["b"] * 18), 0.1, False),
        ("terminal_lines", 'he said "no."\n\n \n', 0, False),  # a quote ends no sentence
        ("terminal_lines", "", 0, False),
        ("short_lines", "\n".join(["x" * 30] * 67 + [LONG] * 33), 0.67, True),
        ("short_lines", "\n".join(["x" * 30] * 68 + [LONG] * 32), 0.68, False),
        ("short_lines", "x" * 31, 0, True),
        ("repeated_characters", "a\na\n" + "b" * 98, 0.01, True),
        ("repeated_characters", "a\na\n" + "b" * 97, 1 / 99, False),
        ("newlines", "a\n\n\n" + "b " * 9, 0.3, True),
        ("newlines", "a\n\n\n" + "b " * 8, 1 / 3, False),
    ],
)
def test_both_sides_of_each_threshold(rule, text, measure, kept):
    rule = getattr(FineWeb(), rule)
    found = rule(Document(text))
    assert found == pytest.approx(measure)
    assert (getattr(rule, "at_least", 0) <= found <= getattr(rule, "at_most", 1)) is kept
