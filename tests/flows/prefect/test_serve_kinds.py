"""`webtext serve --what refresh` and `--what train`, each by a real short schedule.

A refresh is the newest command then: the training after it takes the tokens of the snapshot.
"""

import json
import logging
import subprocess

import pytest

from tests.flows.conftest import command, webtext
from tests.flows.prefect.test_serve import Serving, settings, wait_until
from webtext.pipeline.core.directories.data_directory import note_newest
from webtext.pipeline.core.directories.months import note_snapshot
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory

TRAINING = [
    *("train.steps = 2", "train.batch_tokens = 512", "train.warmup = 1", "train.eval_tokens = 512"),
    *("model.layers = 1", "model.heads = 1", "model.width = 16"),
]


@pytest.fixture(scope="module")
def built(small_web, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    done = webtext("build", "demo", "--no-prefect", *small_web.options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["refresh", "train"])
def test_each_kind_is_run_by_its_schedule(built, small_web, kind):
    lines = [word for line in TRAINING for word in ("--set", line)]
    recipe, options = {"refresh": ("demo", small_web.options), "train": ("tiny", lines)}[kind]
    with (built / f"{kind}.txt").open("w") as said:
        words = ("serve", recipe, "--what", kind, "--every", "5s", "--port", "0", *options)
        process = subprocess.Popen(
            command(*words), cwd=built, env=settings(built), stderr=said, text=True
        )
    serving = Serving(built, process)
    before = {path.name for path in (built / "data").glob("pages-*")}
    name = {"flows": {"name": {"any_": [f"webtext-{kind}"]}}}

    def completed():
        if not (serving.home / "server.json").exists():
            return []
        body = {**name, "flow_runs": {"state": {"name": {"any_": ["Completed"]}}}}
        return serving.api.ask("POST", "/flow_runs/filter", body)

    try:
        wait_until(lambda: len(completed()) >= 2 or process.poll() is not None, 600)
        assert len(completed()) >= 2, (built / f"{kind}.txt").read_text()[-3000:]
        assert all(run["auto_scheduled"] for run in completed())
    finally:
        process.terminate()
        assert process.wait(60) == 0, (built / f"{kind}.txt").read_text()
    wait_until(lambda: not serving.processes(), 15)
    if kind == "refresh":
        assert {path.name for path in (built / "data").glob("pages-*")} - before
    else:
        (run,) = (built / "data" / "runs").iterdir()
        assert json.loads((run / "config.json").read_text())["tokens"]


def test_tokens_are_found_though_the_newest_command_made_none(tmp_path):
    from webtext.flows.prefect.flow import newest_tokens

    with pytest.raises(UserError, match="no whole tokens directory yet"):
        newest_tokens(tmp_path)
    homes = [Directory(tmp_path / name) for name in ("links-1", "corpus-1", "tokens-1")]
    for home in homes:
        home.path.mkdir()
        home.manifest_path.write_text("{}")
    note_snapshot(tmp_path, homes)
    note_newest(tmp_path, homes[:1])
    assert newest_tokens(tmp_path) == homes[2]


def test_an_error_that_a_user_can_correct_is_one_line_in_the_log_of_a_run():
    from webtext.flows.prefect.flow import OneLine

    def logged(error):
        shown = (type(error), error, None)
        record = logging.LogRecord("prefect", logging.ERROR, "", 0, "Encountered", (), shown)
        assert OneLine().filter(record)
        return logging.Formatter().format(record)

    assert logged(UserError("no tokens yet")) == "Encountered"
    assert "ValueError: a bug" in logged(ValueError("a bug"))
