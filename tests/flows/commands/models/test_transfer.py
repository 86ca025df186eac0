"""What we export, transformers takes: the same tokens in, the same tokens out."""

import os
import re

import numpy as np
import pytest
import tiktoken
import torch

from tests.flows.conftest import webtext
from webtext.model.settings import GPT2, Train
from webtext.model.training.train import train
from webtext.pipeline.tokens import bpe
from webtext.pipeline.tokens.tokenizer import FILES, write_tokenizer

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

HARD = [
    "",
    " ",
    "   leading, trailing   ",
    "It's we'll they'd I'VE 'tis don't",
    "line\nline\r\n\n\ttab\x0b\x0c\x1c end \n ",
    "naïve café — “quotes” … ½ £5 20 000",
    "日本語と中文 العربية हिन्दी ไทย עברית",
    "👩‍👩‍👧‍👦 🇩🇪 e\u0301 \u200b\ufeff\u00a0\u2028x",
    "x" * 300 + " " * 300 + "1234567890" * 9,
    "<html>&amp;</html> {'a': [1, 2]} == != // \\\\",
    "the end<|endoftext|",
    "\x00\x01\x7f\x80\xff",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps, whose model has opinions."""
    folder = tmp_path_factory.mktemp("export")
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, 9_000
    text = np.cumsum(np.random.default_rng(0).choice([1, 7, 50], size=9_000)) % 50_256
    for name in ("train-00000.bin", "val-00000.bin"):
        (folder / name).write_bytes(header.tobytes() + text.astype("<u2").tobytes())
    gpt = GPT2(layers=2, heads=2, width=32, context=96)
    settings = Train(steps=6, batch_tokens=192, lr=0.05, warmup=1, eval_tokens=192)
    train(folder / "run", folder, gpt, settings, "cpu")
    return folder / "run"


@pytest.fixture(scope="module")
def exported(run):
    folder = run.parent / "exported"
    done = webtext("export", run, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder}\n"
    return folder


def test_transformers_writes_the_tokens_that_webtext_sample_writes(run, exported):
    prompt = "The town of"
    model = transformers.AutoModelForCausalLM.from_pretrained(exported).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    start = torch.tensor([[tokenizer.bos_token_id, *tokenizer(prompt)["input_ids"]]])
    with torch.no_grad():
        written = model.generate(
            start, attention_mask=torch.ones_like(start), max_new_tokens=40, do_sample=False,
            pad_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
    theirs = tokenizer.decode(written[0, 1:], skip_special_tokens=True)
    done = webtext("sample", run, "--prompt", prompt, "--tokens", "40", "--temperature", "0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip("\n") == theirs.rstrip("\n")
    assert len(theirs) > len(prompt) + 20


def test_the_exported_tokenizer_gives_the_ids_of_tiktoken(exported):
    ours = bpe.encoding()
    assert isinstance(ours, tiktoken.Encoding)
    for tokenizer in (
        transformers.AutoTokenizer.from_pretrained(exported),
        transformers.PreTrainedTokenizerFast(tokenizer_file=str(exported / "tokenizer.json")),
    ):
        for text in HARD:
            ids = tokenizer(text, add_special_tokens=True)["input_ids"]
            assert ids == ours.encode_ordinary(text), text
            assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
        assert tokenizer("a<|endoftext|>b")["input_ids"] == [64, 50256, 65]


def test_older_files_alone_make_the_same_tokenizer(exported, tmp_path):
    for name in FILES:
        if name != "tokenizer.json":
            (tmp_path / name).write_bytes((exported / name).read_bytes())
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in HARD:
        assert tokenizer(text)["input_ids"] == bpe.encoding().encode_ordinary(text), text


def test_the_vocabulary_is_openais_byte_for_byte(tmp_path):
    write_tokenizer(tmp_path, 1024)
    files = bpe.vocabulary()
    assert (tmp_path / "vocab.json").read_bytes() == files["encoder.json"]
    assert (tmp_path / "merges.txt").read_bytes() == files["vocab.bpe"]


def test_all_that_a_converter_looks_for_is_there(exported):
    assert {path.name for path in exported.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", *FILES
    }  # fmt: skip
    settings = transformers.GenerationConfig.from_pretrained(exported)
    assert settings.eos_token_id == 50256


def test_a_model_of_another_vocabulary_is_refused(tmp_path, run):
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, 500
    for name in ("train-00000.bin", "val-00000.bin"):
        (tmp_path / name).write_bytes(header.tobytes() + np.arange(500, dtype="<u2").tobytes())
    small = GPT2(layers=1, heads=1, width=8, context=16, vocab=500)
    train(tmp_path / "run", tmp_path, small, Train(steps=1, batch_tokens=16, warmup=0), "cpu")
    done = webtext("export", tmp_path / "run", tmp_path / "out")
    assert done.returncode == 2
    assert re.search(r"has 500 tokens, and its tokenizer gpt2 50257", done.stderr)


def test_one_rule_for_what_a_run_argument_names(run, exported, tmp_path, told, monkeypatch):
    """A bare name is that of runs/ where there is one, else a path: in every command alike."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to(run)
    (tmp_path / "beside").symlink_to(run)
    (tmp_path / "first").mkdir()  # is not meant
    sets = tmp_path / "sets"
    sets.mkdir()
    (sets / "copa.jsonl").write_text('{"query": "It", "choices": ["is", "was"], "gold": 0}\n')

    def commands(name):
        return (
            ("sample", name, "--tokens", "3"),
            ("export", name, "out"),
            ("eval", name, "--tasks", "copa", "--data", "sets"),
        )

    others = [commands(name)[0] for name in ("beside", "runs/first", exported)]
    for command in (*commands("first"), *others, commands(exported)[2]):
        code, said = told(*command)
        assert code == 0, (command, said)
    for command in (*commands("nowhere"), ("batch", "nowhere", "--step", "0")):
        code, said = told(*command)
        assert code == 2
        assert "nowhere: not there, nor is runs/nowhere; wanted the directory of a" in said


def test_an_exported_model_writes_what_the_run_writes(run, exported):
    asked = ("--prompt", "The town of", "--tokens", "20", "--temperature", "0")
    ours, theirs = webtext("sample", run, *asked), webtext("sample", exported, *asked)
    assert ours.returncode == theirs.returncode == 0, theirs.stderr
    assert ours.stdout == theirs.stdout
    refused = webtext("sample", exported, "--step", "3")
    assert refused.returncode == 2
    assert "is one model, not a run with checkpoints" in refused.stderr
    refused = webtext("sample", run, "--step", "3")
    assert refused.returncode == 2
    assert "no such checkpoint; there are: 6" in refused.stderr
