"""The tokenizer that a training run keeps beside its checkpoints."""

import json
from dataclasses import asdict

import pytest

from webtext.flows.models import run_tokenizer
from webtext.model.batches.token_shards import fingerprint
from webtext.model.settings import GPT2, Train
from webtext.pipeline.tokens.encoders import FILE


@pytest.fixture
def tokens(tmp_path):
    """Two directories of tokens, each with a tokenizer."""
    found = []
    for name in ("mine", "others"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps({"files": {}, "of": name}))
        (folder / FILE).write_text(name)
        found.append(folder)
    return found


def test_it_is_that_of_its_tokens_and_not_of_tokens_that_were_refused(tmp_path, tokens):
    mine, others = tokens
    run = tmp_path / "run"
    run.mkdir()
    run_tokenizer.keep(mine, run)
    assert not list(run.iterdir()), "it has not begun"
    told = {"path": str(mine), "sha256": fingerprint(mine)}
    config = {"model": asdict(GPT2()), "train": asdict(Train()), "tokens": told}
    (run / "config.json").write_text(json.dumps(config))
    run_tokenizer.keep(others, run)
    assert not (run / FILE).exists()
    run_tokenizer.keep(mine, run)
    assert (run / FILE).read_text() == "mine"
