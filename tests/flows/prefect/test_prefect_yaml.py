"""The deployments for Prefect's own workers, on a process work pool started somewhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.flows.conftest import ROOT
from tests.flows.prefect.test_serve import settings
from webtext.flows.prefect.api import AUTH
from webtext.flows.prefect.supervise import Server

FILE = ROOT / "prefect.yaml"
PREFECT = Path(sys.executable).with_name("prefect")


def test_each_deployment_names_a_flow_and_parameters_that_it_takes(monkeypatch, tmp_path):
    from prefect.flows import load_flow_from_entrypoint

    told = yaml.safe_load(FILE.read_text())
    for deployment in told["deployments"]:
        flow = load_flow_from_entrypoint(deployment["entrypoint"])
        given = {**deployment["parameters"], "data": str(tmp_path), "directory": str(tmp_path)}
        assert flow.validate_parameters(given)
        assert set(given) <= set(flow.parameters.properties)
        assert all(about["description"] for about in flow.parameters.properties.values())
        for schedule in deployment["schedules"]:
            assert schedule["slug"]
            assert schedule["timezone"]
            assert not schedule["active"], "schedules are switched on by those who want them"


@pytest.mark.slow
def test_a_worker_that_was_started_elsewhere_runs_it(tmp_path, monkeypatch):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.mkdir()
    (data / "links.txt").write_text("http://example.com/a\n")
    (data / "recipe.toml").write_text("[links]\nsources = ['links.txt']\n")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    server = Server(tmp_path / "home", print)
    server.start()
    server.wait()
    about = {"WEBTEXT_DATA": str(data), "WEBTEXT_RECIPE": str(data / "recipe.toml")}
    quick = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_API_URL": server.url}
    quick[AUTH] = str(server.api.auth)
    env = {**os.environ, **settings(tmp_path), **about, **quick}
    env["PREFECT_HOME"] = str(tmp_path / "home")

    def prefect(*words: str | Path) -> None:
        subprocess.run([PREFECT, *map(str, words)], env=env, cwd=elsewhere, check=True)

    try:
        prefect("work-pool", "create", "webtext", "--type", "process")
        prefect("--no-prompt", "deploy", "--all", "--prefect-file", FILE)
        start = [PREFECT, "worker", "start", "--pool", "webtext", "--limit", "1"]
        with subprocess.Popen(start, env=env, cwd="/") as worker:
            prefect("deployment", "run", "webtext-build/monthly", "-p", "until=links", "--watch")
            worker.terminate()
    finally:
        server.end()
    assert list(data.glob("links-*/manifest.json"))
    assert not list(elsewhere.iterdir())
