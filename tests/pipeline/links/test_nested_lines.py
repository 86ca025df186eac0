"""A line of a dump that no reader can count its way through is that line's loss alone."""

import pytest

from webtext.pipeline.core.shards import Directory
from webtext.pipeline.links.links import harvest
from webtext.pipeline.links.settings import Harvest


@pytest.mark.parametrize("depth", [2_000, 100_000])
@pytest.mark.parametrize("closed", [True, False])
def test_a_line_nested_beyond_counting_costs_that_line_and_is_counted(tmp_path, depth, closed):
    """In a field that is wanted and in one that is not, at the start of a harvest and within."""
    deep = "[" * depth + "]" * depth * closed
    nested = [f'{{"{key}":{deep},"url":"http://b.test/"}}' for key in ("title", "other")]
    good = [f'{{"url":"http://a.test/{n}"}}' for n in range(3)]
    path = tmp_path / "dump.jsonl"
    path.write_text("\n".join([nested[0], good[0], nested[1], *good[1:], nested[0], ""]))
    (passage,) = harvest(Harvest(shards=1), [path], Directory(tmp_path / "links"), 0)
    lost = passage.dropped.get("links.broken_line", 0)
    assert passage.read == 6
    assert passage.kept >= 3
    assert passage.kept + sum(passage.dropped.values()) == 6
    assert closed or lost == 3
