"""The model against transformers' GPT-2, by way of the weights that pass between them."""

import json
import os

import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import build
from webtext.model.gpt.sample import generate
from webtext.model.gpt.weights import config, export, from_transformers, load, to_transformers
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


def test_a_directory_that_is_no_gpt2_is_refused(tiny, tmp_path):
    with pytest.raises(UserError, match=r"config.json: no such file"):
        load(tmp_path)
    export(build(tiny), tmp_path)
    found = json.loads((tmp_path / "config.json").read_text())
    for name, value in (("activation_function", "gelu"), ("model_type", "llama")):
        found[name] = value
        (tmp_path / "config.json").write_text(json.dumps(found))
        with pytest.raises(UserError, match=f"{name} is '{value}', wanted"):
            load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"config.json or model.safetensors is damaged"):
        load(tmp_path)
