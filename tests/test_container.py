"""The image and its neighbours: what can be held of them without a container engine at hand."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()


def stages():
    """Return the instructions of each stage of the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = []
    for line in lines:
        if line.startswith("FROM "):
            found.append([])
        found[-1].append(line)
    return found


def test_the_image_runs_without_root_and_begins_with_webtext():
    *_, last = stages()
    user = last.index("USER 10001")
    assert not [line for line in last[user:] if line.startswith(("RUN", "COPY", "ADD"))]
    assert 'ENTRYPOINT ["webtext"]' in last[user:]


def test_services_are_read_only_and_reachable_from_this_machine_alone():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert {"server", "worker", "store"} <= services.keys()
    ours = [one for name, one in services.items() if name != "store"]
    assert all(one["read_only"] and one["cap_drop"] == ["ALL"] for one in ours)
    ports = [port for one in services.values() for port in one.get("ports", ())]
    assert ports == ["127.0.0.1:4200:4200"]
    assert "PREFECT_SERVER_API_AUTH_STRING" in services["server"]["environment"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_steps_of_the_image_give_a_webtext_that_works(tmp_path):
    """What the first stage runs, in a copy of the tree without what .dockerignore leaves out."""
    source, home, data = tmp_path / "src", tmp_path / "webtext", tmp_path / "data"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for name in names:
        if name.partition("/")[0] not in LEFT_OUT and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    runs = [line.removeprefix("RUN ") for line in stages()[0] if line.startswith("RUN ")]
    assert len(runs) > 2
    for line in runs:
        command = line.replace("/opt/webtext", str(home)).replace("/src", str(source))
        subprocess.run(["bash", "-ec", command], check=True, cwd=tmp_path)
    shutil.rmtree(source)
    data.mkdir()
    around = {"PATH": f"{home}/bin:{os.environ['PATH']}", "HOME": str(tmp_path / "tmp")}
    around |= {"XDG_CACHE_HOME": str(data / ".cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    (data / "tea.jsonl").write_text(
        '{"text": "Tea is made of leaves, and that is all there is."}\n'
    )
    done = subprocess.run(
        ["webtext", "judge", "tea.jsonl"], cwd=data, env=around, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert re.search(r"language en", done.stdout)
