"""Each sickness is found, with what to do; and a well machine is left in peace."""

import importlib.metadata
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.flows.conftest import webtext
from webtext.flows.building import doctor
from webtext.flows.building.doctor import examine


def found(data: Path) -> dict[str, doctor.Finding]:
    return {one.name: one for one in examine(data, network=False)}


def test_this_machine_is_well_and_programs_can_read_it(tmp_path):
    done = webtext("doctor", "--data", tmp_path / "data", "--json", "--offline")
    assert done.returncode == 0, done.stdout
    told = [json.loads(line) for line in done.stdout.splitlines()]
    names = {one["name"] for one in told}
    assert names >= {"Python", "packages", "disk", "memory", "open files", "tokenizer", "GPU"}
    assert all(one["verdict"] != "bad" for one in told)
    assert not (tmp_path / "data").exists(), "a look changes nothing"


def test_a_package_outside_its_bounds_is_named_with_both(tmp_path, monkeypatch):
    versions = importlib.metadata.version

    def version(name: str) -> str:
        return "2.1.9" if name == "sqlalchemy" else versions(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: ["sqlalchemy<2.1,>=2.0"])
    finding = found(tmp_path)["packages"]
    assert finding.verdict == "bad"
    assert "sqlalchemy is 2.1.9, wanted <2.1,>=2.0" in finding.found
    assert "constraints.txt" in str(finding)


def test_a_full_disk_a_small_limit_and_a_dead_server_are_found(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda _what: (64, 4096))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "user:a-secret")
    database = "postgresql+asyncpg://me:a-secret@db.test/prefect"
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", database)
    monkeypatch.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", '{"Authorization": "a-secret"}')
    seen = found(tmp_path)
    assert seen["disk"].verdict == "warn"
    assert "name a larger disk" in str(seen["disk"])
    assert "ulimit -n 4096" in str(seen["open files"])
    assert "run with --workers 1" in str(seen["memory"])
    assert seen["Prefect"].verdict == "bad"
    assert "unset PREFECT_API_URL" in str(seen["Prefect"])
    assert not any("a-secret" in str(one) for one in seen.values())
    for place in ("127.0.0.1:9", "127.0.0.1"):  # without a port, the error has the whole address
        monkeypatch.setenv("PREFECT_API_URL", f"http://me:a-secret@{place}/api")
        assert "a-secret" not in str(doctor.prefect_settings(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL")
    assert "a-secret" not in str(doctor.prefect_settings(tmp_path))


def test_a_damaged_database_and_a_place_that_is_none_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    database = tmp_path / "prefect.db"
    with closing(sqlite3.connect(database)) as db:
        db.execute("CREATE TABLE a AS SELECT zeroblob(100000)")
        db.commit()
    assert found(tmp_path)["Prefect's database"].verdict == "ok"
    with database.open("r+b") as file:
        file.seek(20)
        file.write(b"\xff" * 5000)
    seen = found(Path("/dev/null/nowhere"))
    assert seen["Prefect's database"].verdict == "bad"
    assert "no build needs it" in str(seen["Prefect's database"])
    assert "/dev/null: is no directory" in str(seen["data directory"])


def test_a_check_that_fails_is_a_finding(tmp_path, monkeypatch):
    def ill() -> doctor.Finding:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "memory", ill)
    finding = found(tmp_path)["memory"]
    assert finding.verdict == "warn"
    assert "no such thing" in finding.found


@pytest.mark.parametrize("name", ["example.com"])
def test_a_name_server_that_is_not_there_is_found(monkeypatch, name):
    def nothing(*_asked):
        raise OSError("no name server")

    monkeypatch.setattr(doctor.socket, "getaddrinfo", nothing)
    assert "the demo none" in str(doctor.dns())
