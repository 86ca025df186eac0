"""Revisit records take the payload that they mean, and give its body back; moved folders too."""

import doctest
import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.warcfile import http, members, record, site, write
from webtext.pipeline.archive import revisits, warc_import
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.warc_import import ImportWarc, import_warc
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory

ONE, OTHER = "sha1:" + "A" * 32, "sha1:" + "B" * 32


def imported(sources, out):
    import_warc(ImportWarc(), sources, None, out, 0, silent)
    return [pq.read_table(path).to_pylist() for path in out.shards("outcomes")]


def bodies(out, number=0, without=None):
    return {
        row["url"]: row["body"]
        for batch in page_batches(out, number, without=without)
        for row in batch.to_pylist()
    }


def revisit(url, of, digest=None):
    return record(
        url, http(b""), "revisit", WARC_Refers_To_Target_URI=of, WARC_Payload_Digest=digest
    )


@pytest.mark.parametrize(
    ("payload", "said", "same"),
    [(ONE, ONE, True), (ONE, None, True), (None, ONE, True), (None, None, True),
     (ONE, "sha256:" + "c" * 64, True), (ONE, OTHER, False)],
)  # fmt: skip
def test_a_payload_of_another_digest_is_not_that_of_a_revisit(tmp_path, payload, said, same):
    page = record("http://h.test/a", http(b"<p>first"), WARC_Payload_Digest=payload)
    again = revisit("http://h.test/b", "http://h.test/a", said)
    path = write(tmp_path / "a.warc.gz", members([page, again]))
    out = Directory(tmp_path / "pages-0")
    ((_, row),) = imported([path], out)
    assert row["dropped_by"] == (None if same else "pages.revisit")
    assert bodies(out).get("http://h.test/b") == (b"<p>first" if same else None)


def test_of_several_pages_of_a_target_a_revisit_takes_one_that_may_be_meant(tmp_path):
    pages = [
        record("http://h.test/a", http(b"<p>%s" % body), WARC_Payload_Digest=digest)
        for body, digest in ((b"first", OTHER), (b"second", None))
    ]
    again = revisit("http://h.test/b", "http://h.test/a", ONE)
    path = write(tmp_path / "a.warc.gz", members([*pages, again]))
    out = Directory(tmp_path / "pages-0")
    imported([path], out)
    assert bodies(out)["http://h.test/b"] == b"<p>second"


@pytest.fixture
def mixed(tmp_path):
    """Return pages of a file in which some records have no offset, and a revisit has its own."""
    page = record("http://h.test/a", http(b"<p>first"))
    again = revisit("http://h.test/b", "http://h.test/a")
    shared = gzip.compress(b"".join(site(3)), mtime=0)
    path = write(tmp_path / "a.warc.gz", [*members([page, again]), shared])
    out = Directory(tmp_path / "pages-0")
    imported([path], out)
    return out


def test_a_revisit_is_read_where_other_records_have_no_offset(mixed):
    found = bodies(mixed)
    assert found["http://h.test/a"] == found["http://h.test/b"] == b"<p>first"
    assert len(found) == 5
    assert None not in found.values()


def test_what_is_left_out_is_not_read_where_records_have_no_offset(mixed):
    whole = bodies(mixed)
    ids = {row["url"]: row["id"] for b in page_batches(mixed, 0) for row in b.to_pylist()}
    left_out = {"http://h.test/0", "http://h.test/b"}
    found = bodies(mixed, without=pa.array([ids[url] for url in left_out]))
    assert found == {url: None if url in left_out else whole[url] for url in whole}


def test_an_import_goes_on_after_a_folder_got_another_name(tmp_path, monkeypatch):
    """Shards are numbered by paths, so another file would have the number of one that is done."""
    for folder in "mn":
        (tmp_path / folder).mkdir()
    write(tmp_path / "m" / "x.warc.gz", members(site(2, host="x.test")))
    write(tmp_path / "n" / "y.warc.gz", members(site(3, host="y.test")))
    out = Directory(tmp_path / "pages-0")

    def killed(*_):
        raise UserError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(warc_import, "_settle", killed)
        with pytest.raises(UserError, match="killed"):
            imported(sorted(tmp_path.glob("[mn]/*")), out)
    out.shard(1, under=warc_import.SCAN).unlink()  # it was done with the first file alone
    (tmp_path / "m").rename(tmp_path / "z")
    found = imported(sorted(tmp_path.glob("[nz]/*")), out)
    assert [[row["domain"] for row in rows] for rows in found] == [["y.test"] * 3, ["x.test"] * 2]
    assert len(bodies(out, 0)) == 3
    assert len(bodies(out, 1)) == 2


def test_doctests():
    assert doctest.testmod(revisits).failed == 0
