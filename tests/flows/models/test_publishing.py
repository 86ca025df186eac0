"""A corpus and a model come to the hub whole, and nothing else does."""

import json
import shutil

import pytest
from click.testing import CliRunner

from tests.flows.models.test_notebook import ANY_TEXT
from tests.hub import TOKEN, serving
from tests.pipeline.filters.own.test_own_sources import LINES
from webtext.flows.building.settings import load
from webtext.flows.commands.command_line import cli
from webtext.flows.models import publishing
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.urls import forgotten

# huggingface_hub 2.4 hands httpx2 a file in a way that it no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    (folder / "own.jsonl").write_bytes(LINES)
    wanted = [f"documents.sources = ['{folder}/own.jsonl']", *ANY_TEXT[1:]]
    Build(load("webtext", wanted), folder / "data").run(until="corpus", workers=0)
    return Build(None, folder / "data").path("corpus")


@pytest.fixture
def hub(monkeypatch):
    with serving(monkeypatch) as found:
        yield found


def test_a_corpus_is_there_with_its_card_and_croissant_and_no_manifest(built, hub, caplog):
    done = CliRunner().invoke(cli, ["push", str(built.path), "me/my-corpus"])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip().endswith("datasets/me/my-corpus")
    files = hub.files["datasets/me/my-corpus"]
    shards = {path.name: path.read_bytes() for path in built.shards()}
    about = {name: (built.about / name).read_bytes()
             for name in ("README.md", "stats.json", "croissant.json")}  # fmt: skip
    assert files == {**shards, **about}
    assert len(shards) > 0
    names = {one["contentUrl"] for one in json.loads(files["croissant.json"])["distribution"]
             if "contentUrl" in one}  # fmt: skip
    assert names <= set(files)
    assert hub.repos["datasets/me/my-corpus"]["private"] is True
    said = done.output + caplog.text + "".join(map(bytes.decode, about.values()))
    assert TOKEN not in said


def test_what_is_there_is_not_sent_again_and_public_is_asked_for(built, hub):
    assert publishing.push(built.path, "me/open", public=True)
    assert hub.repos["datasets/me/open"]["private"] is False
    sent, hub.stored = hub.stored, type("Once", (dict,), {"__setitem__": None})(hub.stored)
    hub.files["datasets/me/open"] |= {"00099.parquet": b"of an earlier push", "notes.md": b"mine"}
    publishing.push(built.path, "me/open", public=True)  # an object that is put again would raise
    assert {"00099.parquet", "notes.md"} & set(hub.files["datasets/me/open"]) == {"notes.md"}
    assert hub.stored == sent


def test_a_refusal_is_a_line_that_says_what_to_do(built, hub, monkeypatch, tmp_path):
    hub.broken = "/commit/"
    with pytest.raises(UserError, match=r"me/x: the hub answered .*working on it.*goes on"):
        publishing.push(built.path, "me/x")
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    done = CliRunner().invoke(cli, ["push", str(built.path), "me/y"])
    assert isinstance(done.exception, UserError)
    assert "status 401" in str(done.exception)
    assert "hf auth login" in str(done.exception)
    assert "hf_another" not in done.output + str(done.exception)
    with monkeypatch.context() as gone:
        gone.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(UserError, match=r"http://127.0.0.1:9: .*the same command goes on"):
            publishing.push(built.path, "me/y")
    with pytest.raises(UserError, match="wanted a repository as OWNER/NAME"):
        publishing.push(built.path, "corpus")
    (tmp_path / "some.txt").write_text("x")
    with pytest.raises(UserError, match="neither a whole corpus nor a model"):
        publishing.push(tmp_path, "me/z")
    assert not any("me/z" in path for path in hub.asked)


def test_what_somebody_asked_to_leave_out_is_not_published(built, hub, tmp_path, monkeypatch):
    data = tmp_path / "data"
    shutil.copytree(built.path.parent, data)
    url, _ = next(publishing.addresses(built))
    forgotten.record(data, [forgotten.request(url)], "asked by mail")
    (tmp_path / "link").symlink_to(data / built.name)
    for folder in (data / built.name, tmp_path / "link"):
        with pytest.raises(UserError, match="1 of its documents are to be left out"):
            publishing.push(folder, "me/w")
    monkeypatch.setattr(publishing, "addresses", lambda _: [("http://a.test/", url), (None, None)])
    with pytest.raises(UserError, match="1 of its documents are to be left out"):
        publishing.push(data / built.name, "me/w")
    assert not hub.asked


def test_a_model_is_there_with_a_card(tmp_path, hub):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 2}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "optimiser.pt").write_bytes(b"not for others")
    publishing.push(folder, "me/tiny")
    files = hub.files["models/me/tiny"]
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert b"A gpt2 model: 2 layers" in files["README.md"]
    assert not (folder / "README.md").exists()
