"""What Prefect's pages have after a scheduled build, and the report that its server shows."""

import base64
import subprocess
import urllib.request

import pytest

from tests.chaos.whole import build
from tests.flows.conftest import command
from tests.flows.prefect.test_serve import Serving, settings, wait_until
from webtext.flows.prefect.door import REPORT_FILE
from webtext.flows.prefect.recorder import key_of


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_they_show_documents_and_lead_to_the_report(tmp_path):
    build(tmp_path).run("pages", workers=0)  # from a web in memory; nothing is fetched later
    with (tmp_path / "said.txt").open("w") as said:
        words = ("serve", tmp_path / "recipe.toml", "--every", "10s", "--port", "0")
        process = subprocess.Popen(
            command(*words), cwd=tmp_path, env=settings(tmp_path), stderr=said, text=True
        )
    serving = Serving(tmp_path, process)
    try:
        wait_until(lambda: (serving.home / "server.json").exists() or process.poll() is not None)
        wait_until(serving.completed, 400)
        found = serving.api.ask("POST", "/artifacts/filter", {"limit": 200})
        made = {one["key"].removeprefix(f"{key_of(tmp_path / 'data')}-"): one for one in found}
        assert {"funnel", "samples", "see", "documents", "documents-progress"} <= made.keys()
        assert "**Kept by the rules**" in made["samples"]["data"]
        assert "/webtext/report)" in made["see"]["data"]
        wait_until((tmp_path / "data" / "report.html").exists)
        request = urllib.request.Request(serving.told["url"].removesuffix("/api") + REPORT_FILE)
        secret = base64.b64encode(str(serving.api.auth).encode()).decode()
        request.add_header("Authorization", f"Basic {secret}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert b"The funnel" in answer.read()
        assert '"event": "report_written"' in (tmp_path / "data" / "events.jsonl").read_text()
    finally:
        process.terminate()
        assert process.wait(60) == 0, (tmp_path / "said.txt").read_text()[-3000:]
