"""The tasks on small sets of their own, and on real ones a little."""

import gzip
import json
import math
import zipfile

import pytest
import torch
import zstandard

from webtext.model.errors import UserError
from webtext.model.eval import sets
from webtext.model.eval.last_word import STOP_WORDS, filtered
from webtext.model.eval.score import Request
from webtext.model.eval.tasks import Judge, Row, articles, best, straight, wikitext_lm_eval
from webtext.model.eval.zero_shot import TASKS, evaluate, figures
from webtext.model.gpt.gpt import build
from webtext.model.settings import GPT2
from webtext.pipeline.tokens import bpe


class Gpt2:
    def encode(self, text):
        return bpe.encode(text).tolist()

    def piece(self, token):
        return bpe.encoding().decode_single_token_bytes(token)


@pytest.fixture(scope="module")
def gpt():
    model = build(GPT2(layers=1, heads=2, width=32, context=128), seed=1).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(8)
    return model


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def logp(model, context: str, target: str) -> float:
    """Score by hand: no batch, no padding."""
    tokens, seen = Gpt2().encode(context + target), len(Gpt2().encode(context)) or 0
    if not seen:
        tokens, seen = [50256, *tokens], 1
    with torch.no_grad():
        logp_TV = model(torch.tensor([tokens[:-1]]))[0].log_softmax(-1)
    return sum(float(logp_TV[n - 1, tokens[n]]) for n in range(seen, len(tokens)))


def test_choices_are_scored_as_by_hand(gpt, tmp_path):
    items = [
        {"query": "Question: where?\n", "choices": ["in the house", "up", "no"], "gold": 1},
        {"query": "Question: who was it?\n", "choices": ["he", "nobody that I know"], "gold": 0},
    ]
    jsonl(tmp_path / "piqa.jsonl", items)
    found = figures(evaluate(gpt, Gpt2(), tmp_path, ["piqa"]))
    right, right_norm = [], []
    for item in items:
        context = item["query"].strip() + "\nAnswer:"
        scores = [logp(gpt, context, f" {choice}") for choice in item["choices"]]
        norm = [s / len(c) for s, c in zip(scores, item["choices"], strict=True)]
        right.append(scores.index(max(scores)) == item["gold"])
        right_norm.append(norm.index(max(norm)) == item["gold"])
    assert found == {
        "piqa/lm-eval/acc": 50.0 * sum(right),
        "piqa/lm-eval/acc_norm": 50.0 * sum(right_norm),
    }


def test_winograd_is_scored_by_the_rest_and_by_the_whole(gpt, tmp_path):
    items = [
        {
            "context_options": ["The cat because it", "The dog because he"],
            "continuation": f"{c}.",
            "gold": g,
        }
        for c, g in (("ran", 0), ("slept", 1), ("was old", 1))
    ]
    jsonl(tmp_path / "winograd_wsc.jsonl", items)
    found = figures(evaluate(gpt, Gpt2(), tmp_path, ["winograd"]))
    part, full = 0, 0
    for item in items:
        contexts, rest = item["context_options"], " " + item["continuation"]
        part += best([logp(gpt, c, rest) for c in contexts]) == item["gold"]
        full += best([logp(gpt, "", c + rest) for c in contexts]) == item["gold"]
    assert found["winograd/partial/acc"] == pytest.approx(100 * part / 3)
    assert found["winograd/full/acc"] == pytest.approx(100 * full / 3)


def probabilities(model, context, words, ends) -> list[float]:
    """Return how probable each word is after a context, its end included."""
    found = {}
    for length in sorted({len(word) for word in words}):
        part = [word for word in words if len(word) == length]
        with torch.no_grad():
            p_BTV = model(torch.tensor([[*context, *word] for word in part])).softmax(-1).double()
        for word, p_TV in zip(part, p_BTV, strict=True):
            p = math.prod(float(p_TV[len(context) - 1 + n, t]) for n, t in enumerate(word))
            found[word] = p * float(p_TV[-1, ends].sum())
    return [found[word] for word in words]


def test_lambadas_filter_finds_what_trying_every_word_finds():
    words = [" cat", " cats", " the", " Tom", " dog", " dogma"]
    pieces = [b"<eot>", b" cat", b"s", b" the", b" Tom", b" dog", b"ma", b".", b" ", b"m"]
    spelt = {
        " cat": (1,),
        " cats": (1, 2),
        " the": (3,),
        " Tom": (4,),
        " dog": (5,),
        " dogma": (5, 6),
    }
    model = build(GPT2(layers=1, heads=2, width=16, context=16, vocab=len(pieces)), seed=3).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(20)
    ends = [n for n, piece in enumerate(pieces) if not piece[:1].isalnum()]
    # every word of up to seven tokens, tried one by one
    every = [(token,) for token in (1, 3, 4, 5)]
    for length in range(1, 7):
        every += [(*word, more) for word in every if len(word) == length for more in (2, 6, 9)]
    spoken = {word: b"".join(pieces[t] for t in word).decode().strip() for word in every}

    draw = torch.Generator().manual_seed(0)
    contexts = [tuple(row) for row in torch.randint(1, 10, (6, 5), generator=draw).tolist()]
    requests = [Request(c, spelt[w]) for c in contexts for w in words]
    wanted = []
    for context in contexts:
        scored = dict(zip(every, probabilities(model, context, every, ends), strict=True))
        top = max((w for w in every if spoken[w] not in STOP_WORDS), key=scored.get)
        wanted += [spelt[w] == top for w in words]
    assert filtered(model, requests, pieces.__getitem__) == wanted
    assert 0 < sum(wanted) < len(wanted)


def test_lambada_is_reported_by_both_protocols(gpt, tmp_path):
    texts = [
        "“Where is it?” asked the old man",
        "She told him all about the trip to Rome",
        "I saw it",
    ]
    jsonl(tmp_path / "lambada_test.jsonl", [{"text": text} for text in texts])
    found = figures(evaluate(gpt, Gpt2(), tmp_path, ["lambada"]))
    assert list(found) == [
        "lambada/paper/ppl",
        "lambada/paper/acc",
        "lambada/paper/acc_token",
        "lambada/lm-eval/ppl",
        "lambada/lm-eval/acc",
    ]
    parts = [text.rpartition(" ") for text in texts]
    logps = [logp(gpt, before, f" {word}") for before, _, word in parts]
    assert found["lambada/lm-eval/ppl"] == pytest.approx(math.exp(-sum(logps) / 3), rel=1e-4)
    parts = [straight(text).rpartition(" ") for text in texts]
    logps = [logp(gpt, before, f" {word}") for before, _, word in parts]
    assert found["lambada/paper/ppl"] == pytest.approx(math.exp(-sum(logps) / 3), rel=1e-4)


def test_running_text_is_reported_per_word_and_per_token(gpt, tmp_path):
    text = " = A title = \n \n The cat sat on the mat , and slept . \n"
    folder = tmp_path / "wikitext-2"
    folder.mkdir()
    (folder / "wiki.test.tokens").write_text(text)
    rows = {f"{r.protocol} {r.metric}": r for r in evaluate(gpt, Gpt2(), tmp_path, ["wikitext2"])}
    joined = "= A title =\n\nThe cat sat on the mat, and slept.\n"
    whole = logp(gpt, "", joined)
    assert rows["paper ppl"].items == 4 + 10 + 3  # words and line ends
    assert rows["paper ppl"].value == pytest.approx(math.exp(-whole / 17), rel=1e-4)
    tokens = len(Gpt2().encode(joined))
    assert rows["paper ppl_token"].value == pytest.approx(math.exp(-whole / tokens), rel=1e-4)
    assert rows["paper ppl"].paper == (29.41, 22.76, 19.93, 18.34)
    assert rows["lm-eval ppl_word"].paper is None


def test_the_other_sets_of_table_3_load_as_they_are_handed_out(gpt, tmp_path):
    story = "".join(f"{n} Alice was the {n} . \n" for n in range(1, 21))
    options = "|".join(["cat", "hat", "sea", "sky", "tea", "man", "day", "way", "sun", "dog"])
    question = f"21 So the XXXXX slept .\tcat\t\t{options}\n"
    for kind in ("CN", "NE"):
        (tmp_path / f"cbtest_{kind}_valid_2000ex.txt").write_text((story + question + "\n") * 2)
    (tmp_path / "ptb.test.txt").write_text(" it is n't N \n the company 's <unk> \n")
    with zipfile.ZipFile(tmp_path / "enwik8.zip", "w") as packed:
        packed.writestr("enwik8", "<page>é</page> " * 20)
    (tmp_path / "text8.gz").write_bytes(gzip.compress(b" anarchism originated as a term"))
    (tmp_path / "news.en.heldout-00000-of-00050").write_text("He said so .\nIt 's not .\n")
    (tmp_path / "wikitext103_test.txt").write_text(" = B = \n \n Some text . \n")
    seen = []
    rows = evaluate(gpt, Gpt2(), tmp_path, watch=lambda *told: seen.append(told))
    assert {row.task for row in rows} == {
        "cbt_cn", "cbt_ne", "ptb", "enwik8", "text8", "wikitext103", "1bw"
    }  # fmt: skip
    assert {told[0] for told in seen} >= {"cbt_cn", "1bw"}
    assert all(done <= total for _, done, total in seen)
    items = {(row.task, row.metric): row.items for row in rows}
    assert items["ptb", "ppl"] == 4 + 4 + 2
    assert items["1bw", "ppl"] == 4 + 4 + 2
    assert items["enwik8", "bits"] == 16 * 20
    assert items["text8", "bits"] == 31
    assert all(math.isfinite(row.value) for row in rows)
    assert all(row.paper for row in rows if row.protocol == "paper" and row.metric != "acc_token")


def test_a_cloze_is_chosen_by_the_whole_sentence(gpt, tmp_path):
    story = "".join(f"{n} It was day {n} . \n" for n in range(1, 21))
    answers = ["cat", "hat", "sea"]
    text = "".join(
        f"{story}21 So the XXXXX slept .\t{a}\t\t{'|'.join(answers)}\n\n" for a in answers
    )
    (tmp_path / "cbtest_CN_valid_2000ex.txt").write_text(text)
    (row,) = evaluate(gpt, Gpt2(), tmp_path, ["cbt_cn"])
    assert row.value == pytest.approx(100 / 3)  # one choice, whatever is asked for
    assert row.items == 3


def test_every_task_has_files_and_every_row_a_protocol():
    assert list(TASKS) == list(sets.FILES)
    assert Row("winograd", "full", "acc", 1.0, None, 1).paper == (None, None, None, 70.70)


def test_wikitext_is_cut_at_articles_and_joined_as_lm_eval_does():
    text = ' \n = One = \n \n = = Part = = \n a ( b ) @-@ c " d " \n = Two = \n e \n'
    assert articles(text) == [
        ' = One = \n \n = = Part = = \n a ( b ) @-@ c " d " \n',
        " = Two = \n e \n",
    ]
    assert wikitext_lm_eval(' it \'s ( b ) @-@ c , " d " . \n') == ' it\'s (b)-c, "d".\n'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "piqa.jsonl",
            '{"query": "a"}\n',
            "item 1 lacks 'choices'; wanted query, choices and gold",
        ),
        ("piqa.jsonl", "{\n", "line 1 is not JSON"),
        ("piqa.jsonl", '{"query": "a", "choices": [], "gold": 0}', "item 1: options"),
        ("piqa.jsonl", '{"query": "a", "choices": ["b", ""], "gold": 0}', "item 1: options"),
        (
            "piqa.jsonl",
            '{"query": "a", "choices": ["b", "c"], "gold": 2}',
            "gold = 2; wanted 0 to 1",
        ),
        ("piqa.jsonl", '{"query": "a", "choices": ["b", "c"], "gold": -1}', "gold = -1; wanted 0"),
        ("piqa.jsonl", '{"query": "a", "choices": null, "gold": 0}', "None is no list of texts"),
        ("piqa.jsonl", '{"query": 1, "choices": ["b", "c"], "gold": 0}', "item 1: 1 is no text"),
        ("piqa.jsonl", '{"query": "a", "choices": ["b", 2], "gold": 0}', "item 1: 2 is no text"),
        ("lambada_test.jsonl", '{"text": null}', "item 1: None is no text"),
        ("piqa.jsonl", "", "piqa.jsonl: empty"),
        ("piqa.jsonl", "3\n", "line 1 is no object"),
        ("lambada_test.jsonl", "{}\n", "lacks text, or context and continuation"),
        ("lambada_test.jsonl", '{"context": "a"}\n', "lacks text, or context and continuation"),
        ("ptb.test.txt.zst", "no", "damaged"),
        ("ptb.test.txt.gz", "no", "damaged"),
        ("cbtest_CN_valid_2000ex.txt", "1 a\n21 b\tc\t\td|e\n", "is no question of the Book Test"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_named(gpt, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        evaluate(gpt, Gpt2(), tmp_path)


def test_a_set_is_read_whatever_its_writer_left_in_it(tmp_path):
    rows = ['{"text": "one\u2028two \ud800 end"}', "", '{"text": "a b"}']
    for mark in ("", "\ufeff"):
        text = mark + "\r\n".join(rows).replace("\ud800", "\\ud800")
        (tmp_path / "lambada_test.jsonl").write_text(text, newline="")
        found = sets.lambada(tmp_path / "lambada_test.jsonl")
        assert found == [("one\u2028two \ufffd", "end"), ("a", "b")]


def test_a_packed_set_that_is_cut_or_empty_is_damaged(tmp_path):
    text = b"the gate was shut . " * 20_000
    (tmp_path / "a.zst").write_bytes(zstandard.compress(text) + zstandard.compress(text))
    assert sets.read_bytes(tmp_path / "a.zst") == 2 * text
    (tmp_path / "a.zst").write_bytes(zstandard.compress(text) + zstandard.compress(text)[:-9])
    with pytest.raises(UserError, match=r"damaged \(ends within a frame"):
        sets.read_bytes(tmp_path / "a.zst")


def test_a_damaged_archive_is_named_whatever_is_damaged_in_it(tmp_path):
    packed = bytearray(gzip.compress(b"hello world " * 1000 + bytes(range(256)) * 20))
    packed[40] ^= 0xFF  # a code that no Huffman tree of the file has
    (tmp_path / "enwik8.gz").write_bytes(packed)
    zipfile.ZipFile(tmp_path / "text8.zip", "w").close()  # with nothing in it
    for name in ("enwik8.gz", "text8.zip"):
        with pytest.raises(UserError, match=f"{name}: damaged"):
            sets.tail(tmp_path / name)


def test_a_line_of_json_is_not_cut_at_what_only_looks_like_a_line_end(tmp_path):
    path = tmp_path / "lambada_test.jsonl"
    path.write_text('{"text": "one\u2028two three"}\n')
    assert sets.lambada(path) == [("one\u2028two", "three")]


def test_a_stride_beyond_the_context_is_refused_before_any_set_is_scored(gpt, tmp_path):
    jsonl(tmp_path / "copa.jsonl", [{"query": "a, so", "choices": ["b", "c"], "gold": 0}])
    with pytest.raises(UserError, match="stride = 5000; wanted 1 to the model's context"):
        evaluate(gpt, Gpt2(), tmp_path, stride=5000)


def test_a_set_that_is_not_there_is_named_with_its_file(gpt, tmp_path):
    with pytest.raises(UserError, match=r"no file of ptb; wanted ptb.test.txt or simple-examples"):
        evaluate(gpt, Gpt2(), tmp_path, ["ptb"])
    with pytest.raises(UserError, match="task 'lambda': no such task; there are lambada, cbt_cn"):
        evaluate(gpt, Gpt2(), tmp_path, ["lambda"])
    with pytest.raises(UserError, match="has none of the sets"):
        evaluate(gpt, Gpt2(), tmp_path)


def test_a_model_in_training_goes_on_training(gpt, tmp_path):
    jsonl(tmp_path / "copa.jsonl", [{"query": "a, so", "choices": ["b", "c"], "gold": 0}])
    gpt.train()
    before = torch.get_rng_state()
    evaluate(gpt, Gpt2(), tmp_path)
    assert gpt.training
    assert torch.equal(before, torch.get_rng_state())
    gpt.eval()


@pytest.mark.slow
def test_the_real_sets_are_read_whole(shared):
    folder = shared / "eval"
    found = {name: sets.find(name, folder) for name in sets.present(folder)}
    assert list(found) == [
        "lambada", "wikitext2", "winograd", "hellaswag", "piqa", "arc_easy", "winogrande", "copa"
    ]  # fmt: skip
    assert len(sets.lambada(found["lambada"])) == 5153
    counts = [len(sets.choices(path)) for path in list(found.values())[2:]]
    assert counts == [273, 10_042, 1838, 2376, 1267, 100]
    text = sets.read_text(found["wikitext2"])
    assert len(text.split()) + text.count("\n") == 245_569  # as Merity et al. count them


def test_the_judge_takes_no_more_items_than_asked(gpt, tmp_path):
    judge = Judge(gpt, Gpt2(), 64, limit=3)
    jsonl(tmp_path / "copa.jsonl", [{"query": "a, so", "choices": ["b", "c"], "gold": 0}] * 5)
    path = sets.find("copa", tmp_path)
    assert TASKS["copa"](judge, path)[0].items == 3
