"""The database of Prefect's server, begun as a copy of the last new one."""

import importlib.metadata
import sqlite3
import sys
from contextlib import closing
from types import SimpleNamespace

import pytest

from webtext.flows.prefect.server import begin_database


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0 and no more", b"torn" * 5000])
def test_a_damaged_copy_in_the_cache_is_made_anew(tmp_path, monkeypatch, damage):
    made = []

    async def create_db():
        made.append(None)
        with closing(sqlite3.connect(tmp_path / "prefect.db")) as database:
            database.execute("CREATE TABLE flow (id)")

    interface = SimpleNamespace(create_db=create_db)
    server = SimpleNamespace(provide_database_interface=lambda: interface)
    monkeypatch.setitem(sys.modules, "prefect.server.database", server)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    blank = tmp_path / "cache" / "webtext" / f"prefect-{importlib.metadata.version('prefect')}.db"
    blank.parent.mkdir(parents=True)
    blank.write_bytes(damage)
    for count in (1, 1):  # the second is a copy of the first
        begin_database(tmp_path / "prefect.db")
        with closing(sqlite3.connect(tmp_path / "prefect.db")) as database:
            assert database.execute("SELECT count(*) FROM flow").fetchone() == (0,)
        assert len(made) == count
        (tmp_path / "prefect.db").unlink()
