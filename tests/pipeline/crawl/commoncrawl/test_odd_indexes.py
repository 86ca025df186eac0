"""Indexes of Common Crawl that say what no index says, or of which a part is gone."""

import pyarrow as pa
import pytest

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.commoncrawl import cdx, columnar, ranges
from webtext.pipeline.crawl.commoncrawl.captures import CAPTURE


@pytest.mark.parametrize(
    ("told", "status"), [("200", 200), ("999", 999), ("99999", None), ("-1", None), ("x", None)]
)
def test_a_status_of_an_index_that_is_none_is_unknown(told, status):
    line = b'20160220000000 {"url": "http://a.test/", "status": "%s", "filename": "f", ' % (
        told.encode()
    )
    (found,) = cdx._capture("c", line + b'"offset": "0", "length": "9"}')
    row = dict.fromkeys([*columnar.COLUMNS, "content_mime_type"], "http://a.test/")
    (same,) = columnar._capture(row | {"fetch_status": told}, 0, "c")
    assert found.status == same.status == status
    assert pa.RecordBatch.from_pylist([found._asdict()], CAPTURE).num_rows == 1


@pytest.mark.parametrize(("left", "at"), [(0, 10), (20, 20), (24, 24)])
def test_an_index_of_which_a_later_part_is_gone_is_an_error(tmp_path, monkeypatch, left, at):
    monkeypatch.setattr(ranges, "PIECE", 10)
    path = tmp_path / "cluster.idx"
    path.write_bytes(b"line\n" * 9)
    read = ranges.lines(ranges.Folder(tmp_path), "cluster.idx")
    assert next(read) == b"line"
    if left:
        path.write_bytes(path.read_bytes()[:left])
    else:
        path.unlink()
    said = rf"cluster\.idx: gone from byte {at} of 45 on, .*run the same command again"
    with pytest.raises(UserError, match=said):
        list(read)
