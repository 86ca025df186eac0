"""The deployments for Prefect's own workers, on a process work pool started somewhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.flows.conftest import ROOT
from tests.flows.prefect.test_serve import settings, wait_until
from webtext.flows.prefect.api import AUTH, Api
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
@pytest.mark.timeout(900)
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
            try:
                name = "webtext-build/monthly"
                prefect("deployment", "run", name, "-p", "until=links", "--watch")
                (made,) = data.glob("links-*/manifest.json")
                before = made.stat().st_mtime_ns
                fires_by_itself(server.api, name)
                assert made.stat().st_mtime_ns == before, "no work is done twice"
            finally:
                worker.terminate()
    finally:
        server.end()
    assert not list(elsewhere.iterdir())


def fires_by_itself(api: Api, name: str) -> None:
    """Give a deployment a short schedule too, and wait for two runs of it."""
    deployment = api.ask("GET", f"/deployments/name/{name}")["id"]
    often = {"interval": 5.0, "timezone": "UTC"}
    schedule = {"schedule": often, "active": True, "parameters": {"until": "links"}}
    api.ask("POST", f"/deployments/{deployment}/schedules", [schedule])
    state = {"type": {"any_": ["COMPLETED"]}}
    wanted = {"deployment_id": {"any_": [deployment]}, "state": state}

    def completed() -> list[dict]:
        runs = api.ask("POST", "/flow_runs/filter", {"flow_runs": wanted})
        return [run for run in runs if run["auto_scheduled"]]

    wait_until(lambda: len(completed()) >= 2)
