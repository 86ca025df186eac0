"""The model against transformers' GPT-2, by way of the weights that pass between them."""

import json
import os
import re
from pathlib import Path

import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import build
from webtext.model.gpt.sample import generate
from webtext.model.gpt.weights import (
    config,
    export,
    from_transformers,
    load,
    shape,
    to_transformers,
)
from webtext.model.settings import GPT2

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

# Two layers of each published size; the whole vocabulary where that is quick.
SIZES = {
    "124m": GPT2(layers=2, heads=12, width=768),
    "355m": GPT2(layers=2, heads=16, width=1024, vocab=5000),
    "774m": GPT2(layers=2, heads=20, width=1280, vocab=5000),
    "1558m": GPT2(layers=2, heads=25, width=1600, vocab=5000),
}


def reference(gpt: GPT2):
    settings = transformers.GPT2Config(**config(gpt))
    return transformers.GPT2LMHeadModel(settings)


@pytest.mark.parametrize("gpt", SIZES.values(), ids=SIZES)
def test_logits_and_gradients_equal_those_of_transformers(gpt):
    ours = build(gpt, seed=3)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in ours.parameters():  # biases and norms too must show
            p.add_(torch.randn(p.shape, generator=random), alpha=0.02)
        ours.wte.weight[gpt.vocab :] = 0
    theirs = reference(gpt)
    missing, unexpected = theirs.load_state_dict(to_transformers(ours), strict=False)
    assert missing == ["lm_head.weight"]  # it is the embedding
    assert unexpected == []

    rows_BT = torch.randint(gpt.vocab, (2, 24), generator=random)
    x_BT, y_BT = rows_BT[:, :-1], rows_BT[:, 1:]
    torch.testing.assert_close(ours(x_BT), theirs(x_BT).logits, rtol=0, atol=1e-4)

    loss = ours(x_BT, y_BT)
    wanted = theirs(rows_BT, labels=rows_BT).loss
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    wanted.backward()
    for p in ours.parameters():
        p.data = p.grad  # so that gradients travel as weights do
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, gradient in to_transformers(ours).items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-3, atol=1e-5)


def test_transformers_reads_our_export_and_writes_the_same_tokens(tiny, tmp_path):
    ours = build(tiny, seed=1).eval()
    with torch.no_grad():
        for p in ours.parameters():
            p.mul_(4)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(export(ours, tmp_path / "export")).eval()
    prompt = [3, 1, 4, 1, 5]
    x_BT = torch.tensor([prompt])
    torch.testing.assert_close(ours(x_BT), theirs(x_BT).logits, rtol=0, atol=1e-4)
    written = theirs.generate(
        x_BT,
        attention_mask=torch.ones_like(x_BT),
        max_new_tokens=40,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    assert written[0, 5:].tolist() == list(generate(ours, prompt, 40, temperature=0))


def test_we_read_what_transformers_saves(tiny, tmp_path):
    theirs = reference(tiny).eval()
    theirs.save_pretrained(tmp_path)
    ours = load(tmp_path).eval()
    assert ours.settings == tiny
    x_BT = torch.randint(tiny.vocab, (2, 30))
    torch.testing.assert_close(ours(x_BT), theirs(x_BT).logits, rtol=0, atol=1e-4)


def test_an_export_read_back_is_the_same_to_the_bit(tiny, tmp_path):
    ours = build(tiny, seed=2)
    again = load(export(ours, tmp_path))
    assert again.settings == tiny
    assert all(map(torch.equal, ours.parameters(), again.parameters()))


def test_old_files_with_masks_and_a_head_are_read_too(tiny):
    ours = build(tiny, seed=2)
    state = {name.removeprefix("transformer."): t for name, t in to_transformers(ours).items()}
    state |= {"h.0.attn.bias": torch.ones(1, 1, 64, 64), "lm_head.weight": state["wte.weight"]}
    again = from_transformers(state, tiny)
    assert all(map(torch.equal, ours.parameters(), again.parameters()))


def test_weights_of_another_shape_are_refused(tiny):
    state = to_transformers(build(tiny))
    with pytest.raises(UserError, match=r"missing or one too many: h.1.attn.c_attn.bias, h.1"):
        from_transformers(state, GPT2(1, 2, 64, 64, 500))
    state["transformer.wte.weight"] = torch.zeros(499, 64)
    with pytest.raises(UserError, match=r"wte.weight is of shape \(499, 64\); wanted \(500, 64\)"):
        from_transformers(state, tiny)


def changed(folder, **keys):
    """Lay keys over a directory's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("activation_function", "gelu"),
        ("model_type", "llama"),
        ("layer_norm_epsilon", 1e-6),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("reorder_and_upcast_attn", True),
        ("add_cross_attention", True),
        ("is_encoder_decoder", True),
        ("n_inner", 1024),
        ("pruned_heads", {"0": [1]}),
        ("quantization_config", {"bits": 8}),
        ("auto_map", {"AutoModelForCausalLM": "modeling.Mine"}),
    ],
)
def test_a_key_that_makes_another_model_is_refused(tiny, tmp_path, key, value):
    export(build(tiny), tmp_path)
    changed(tmp_path, **{key: value})
    with pytest.raises(
        UserError, match=rf"config\.json: {key} is {re.escape(repr(value))}, wanted"
    ):
        load(tmp_path)


def test_the_keys_that_are_refused_do_make_another_model(tiny, tmp_path):
    """Transformers itself gives other logits with them, so that to ignore one would be wrong."""
    export(build(tiny, seed=1), tmp_path)
    x_BT = torch.arange(1, 40)[None]
    logits = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()(x_BT).logits
    for key, value in (
        ("layer_norm_epsilon", 1e-2),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
    ):
        export(build(tiny, seed=1), tmp_path)
        changed(tmp_path, **{key: value})
        other = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()(x_BT).logits
        assert not torch.allclose(other, logits, atol=1e-6), key


def test_a_head_of_its_own_is_refused_and_one_that_is_the_embedding_is_not(tiny, tmp_path):
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**config(tiny) | {"tie_word_embeddings": False})
    )
    with torch.no_grad():
        theirs.lm_head.weight.copy_(theirs.transformer.wte.weight)
    theirs.save_pretrained(tmp_path)
    assert load(tmp_path).settings == tiny
    with torch.no_grad():
        theirs.lm_head.weight[3] += 1
    theirs.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"lm_head.weight is not the embedding"):
        load(tmp_path)
    changed(tmp_path, tie_word_embeddings=True)
    with pytest.raises(UserError, match=r"lm_head.weight is not the embedding"):
        load(tmp_path)
    export(build(tiny), tmp_path)
    changed(tmp_path, tie_word_embeddings=False)
    with pytest.raises(UserError, match=r"tie_word_embeddings is false, and the weights hold no"):
        load(tmp_path)


def test_what_a_config_leaves_out_is_as_transformers_has_it(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_layer": 1}')
    theirs = transformers.GPT2Config.from_pretrained(tmp_path)
    found = shape(tmp_path)
    assert (found.layers, found.heads, found.width) == (1, theirs.n_head, theirs.n_embd)
    assert (found.context, found.vocab) == (theirs.n_positions, theirs.vocab_size)
    assert found.dropout == theirs.resid_pdrop


def test_weights_lie_in_a_pickle_or_in_several_files_too(tiny, tmp_path):
    ours = build(tiny, seed=2)
    bare = {name.removeprefix("transformer."): t for name, t in to_transformers(ours).items()}
    export(ours, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    for old in (True, False):  # as OpenAI's were uploaded, and as torch writes now
        torch.save(bare, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=not old)
        assert all(map(torch.equal, ours.parameters(), load(tmp_path).parameters()))
    (tmp_path / "pytorch_model.bin").unlink()
    theirs = transformers.GPT2LMHeadModel.from_pretrained(export(ours, tmp_path / "whole"))
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    assert len(list((tmp_path / "parts").glob("model-*.safetensors"))) > 1
    assert all(map(torch.equal, ours.parameters(), load(tmp_path / "parts").parameters()))
    next((tmp_path / "parts").glob("model-*.safetensors")).unlink()
    with pytest.raises(UserError, match=r"no such file, though model.safetensors.index.json names"):
        load(tmp_path / "parts")


def test_a_pickle_runs_no_code(tiny, tmp_path):
    export(build(tiny), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"wte.weight": Path}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model.bin: damaged"):
        load(tmp_path)


def test_weights_that_are_no_numbers_are_refused(tiny):
    state = to_transformers(build(tiny))
    state["transformer.ln_f.bias"][3] = torch.nan
    with pytest.raises(UserError, match=r"ln_f.bias holds what is no finite number"):
        from_transformers(state, tiny)


def test_a_directory_that_holds_no_model_is_refused(tiny, tmp_path):
    with pytest.raises(UserError, match=r"config.json: no such file"):
        load(tmp_path)
    export(build(tiny), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"model.safetensors: damaged"):
        load(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model.safetensors: no such file, and no pytorch_model"):
        load(tmp_path)
    for content in ("torn", "[]"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(UserError, match=r"config.json: (damaged|holds no table)"):
            load(tmp_path)


def test_a_training_run_in_the_place_of_a_model_is_told(tmp_path):
    (tmp_path / "config.json").write_text('{"model": {}, "train": {}}')
    with pytest.raises(UserError, match=r"a training run; `webtext export .* FOLDER` makes"):
        shape(tmp_path)
