"""A run may begin with a model that somebody else has trained."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import build
from webtext.model.gpt.weights import export, fingerprint, to_transformers
from webtext.model.training.run import log, read
from webtext.model.training.train import train


@pytest.fixture
def short(settings):
    return replace(settings, steps=4, checkpoint_every=2, eval_every=0)


@pytest.fixture
def source(tiny, tmp_path):
    """A model whose weights are not those of any seed."""
    model = build(tiny, seed=5)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2)
    return export(model, tmp_path / "source")


def stopped(step, *given, **more):
    def watch(line):
        if line["step"] == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*given, "cpu", watch, **more)


def losses(run):
    return [line["loss"] for line in log(run)]


def test_a_run_begins_with_the_weights_and_says_where_they_are_from(
    tokens, tiny, short, source, tmp_path
):
    still = replace(short, steps=1, lr=1e-30, min_lr=0.0, weight_decay=0.0)
    end = train(tmp_path / "run", tokens, tiny, still, "cpu", source=source)
    state = torch.load(end, weights_only=True)
    wanted = build(tiny, seed=5).state_dict()
    for name, tensor in state["weights"].items():
        assert torch.allclose(tensor, 2 * wanted[name][: len(tensor)], rtol=0, atol=1e-20), name
    assert {float(moments["step"]) for moments in state["moments"].values()} == {1.0}
    found = read(tmp_path / "run").source
    assert found.path == source.resolve()
    assert found.sha256 == fingerprint(source)


def test_both_layouts_of_names_and_files_begin_the_same_run(tokens, tiny, short, source, tmp_path):
    ours = train(tmp_path / "ours", tokens, tiny, short, "cpu", source=source)
    openai = tmp_path / "openai"
    openai.mkdir()
    (openai / "config.json").write_bytes((source / "config.json").read_bytes())
    from webtext.model.gpt.weights import load

    bare = {n.removeprefix("transformer."): t for n, t in to_transformers(load(source)).items()}
    bare["h.0.attn.bias"] = torch.ones(1, 1, 64, 64)
    torch.save(bare, openai / "pytorch_model.bin")
    theirs = train(tmp_path / "theirs", tokens, tiny, short, "cpu", source=openai)
    a, b = (torch.load(path, weights_only=True)["weights"] for path in (ours, theirs))
    assert all(torch.equal(a[name], b[name]) for name in a)
    drawn = train(tmp_path / "drawn", tokens, tiny, short, "cpu")
    assert not torch.equal(
        torch.load(drawn, weights_only=True)["weights"]["wpe.weight"], a["wpe.weight"]
    )


def test_it_goes_on_to_the_bit_when_the_model_is_gone(tokens, tiny, short, source, tmp_path):
    train(tmp_path / "whole", tokens, tiny, short, "cpu", source=source)
    run = tmp_path / "halves"
    stopped(2, run, tokens, tiny, short, source=source)
    shutil.rmtree(source)
    again = replace(short, microbatch=short.microbatch)
    train(run, tokens, tiny, again, "cpu", source=source)  # the same command
    assert losses(run) == losses(tmp_path / "whole")
    train(run, tokens, tiny, again, "cpu")


def test_before_its_first_checkpoint_it_needs_the_model(tokens, tiny, short, source, tmp_path):
    train(tmp_path / "whole", tokens, tiny, short, "cpu", source=source)
    run = tmp_path / "halves"
    stopped(0, run, tokens, tiny, short, source=source)
    moved = source.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"source: not there, and the run has no checkpoint yet"):
        train(run, tokens, tiny, short, "cpu")
    export(build(tiny, seed=6), source)
    with pytest.raises(UserError, match=r"begun otherwise.*from.sha256 was '.*', is '"):
        train(run, tokens, tiny, short, "cpu")
    train(run, tokens, tiny, short, "cpu", source=moved)
    assert losses(run) == losses(tmp_path / "whole")


def test_a_run_does_not_change_its_beginning(tokens, tiny, short, source, tmp_path):
    train(tmp_path / "drawn", tokens, tiny, short, "cpu")
    with pytest.raises(UserError, match=r"from was nothing, is .*source"):
        train(tmp_path / "drawn", tokens, tiny, short, "cpu", source=source)
    train(tmp_path / "run", tokens, tiny, short, "cpu", source=source)
    config = json.loads((source / "config.json").read_text()) | {"resid_pdrop": 0.5}
    (source / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"from.sha256 was"):
        train(tmp_path / "run", tokens, tiny, short, "cpu", source=source)
