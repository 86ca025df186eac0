"""Log-likelihoods against transformers' logits, and what must not change them."""

import os
import random

import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.eval.score import Request, batches, pair, score, windows
from webtext.model.gpt.gpt import build
from webtext.model.gpt.weights import config, to_transformers
from webtext.model.settings import GPT2

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")


@pytest.fixture
def gpt(tiny):
    model = build(tiny, seed=1).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4)
    return model


def requests(count: int, longest: int, vocab: int) -> list[Request]:
    draw = random.Random(0)

    def text(size: int) -> tuple[int, ...]:
        return tuple(draw.randrange(vocab) for _ in range(size))

    return [Request(text(draw.randint(1, longest)), text(draw.randint(1, 9))) for _ in range(count)]


def test_scores_equal_those_from_transformers_logits(gpt, tiny):
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config(tiny))).eval()
    theirs.load_state_dict(to_transformers(gpt), strict=False)
    asked = requests(40, 50, tiny.vocab)
    asked += [  # the likeliest, so that some are greedy
        Request(r.context, (int(gpt(torch.tensor([r.context]))[0, -1].argmax()),))
        for r in asked[:5]
    ]
    for request, found in zip(asked, score(gpt, asked), strict=True):
        text = torch.tensor([[*request.context, *request.target]])
        with torch.no_grad():
            logp_TV = theirs(text[:, :-1]).logits.log_softmax(-1)[0, -len(request.target) :]
        each = logp_TV.gather(1, torch.tensor(request.target)[:, None])[:, 0]
        assert found.logp == pytest.approx(float(each.sum()), abs=1e-4)
        best = logp_TV.argmax(-1) == torch.tensor(request.target)
        assert (found.greedy, found.last_greedy) == (bool(best.all()), bool(best[-1]))
    assert all(one.greedy for one in score(gpt, asked[-5:]))


def test_company_and_order_change_no_score(gpt, tiny):
    asked = requests(60, 50, tiny.vocab)
    alone = [score(gpt, [one])[0] for one in asked]
    together = score(gpt, asked)
    assert [a.logp for a in together] == pytest.approx([a.logp for a in alone], abs=1e-4)
    assert score(gpt, asked) == together
    turned = score(gpt, asked[::-1])[::-1]
    assert [a.logp for a in turned] == pytest.approx([a.logp for a in alone], abs=1e-4)


def test_a_text_longer_than_the_context_loses_its_beginning(gpt, tiny):
    (long,) = requests(1, 1, tiny.vocab)
    context = tuple(range(100))
    kept = context[-(tiny.context + 1 - len(long.target)) :]
    assert score(gpt, [Request(context, long.target)]) == score(gpt, [Request(kept, long.target)])


@pytest.mark.parametrize("length", [1, 5, 64, 65, 200])
@pytest.mark.parametrize("stride", [1, 7, 32, 64])
def test_windows_score_each_token_once_and_with_all_the_context_there_is(length, stride):
    tokens = list(range(length))
    found = windows(tokens, 64, stride)
    assert [token for window in found for token in window.target] == tokens
    for number, window in enumerate(found):
        assert 1 <= len(window.context) + len(window.target) - 1 <= 64
        if number:
            assert len(window.context) + len(window.target) == 65
            assert len(window.target) <= stride


def test_windows_give_the_score_that_one_token_at_a_time_gives():
    gpt = build(GPT2(layers=1, heads=2, width=16, context=16), seed=1).eval()
    tokens = [n * n % 50_000 for n in range(40)]
    each = []
    for place in range(40):
        seen = [50256, *tokens[:place]][-16:]
        with torch.no_grad():
            each.append(float(gpt(torch.tensor([seen]))[0, -1].log_softmax(-1)[tokens[place]]))
    found = sum(a.logp for a in score(gpt, windows(tokens, 16, 1)))
    assert found == pytest.approx(sum(each), abs=1e-3)
    with pytest.raises(UserError, match="stride = 65; wanted 1 to the model's context of 64"):
        windows(tokens, 64, 65)


def test_blanks_that_end_a_context_belong_to_the_target():
    from webtext.pipeline.tokens.bpe import encode

    def tokens(text: str) -> list[int]:
        return encode(text).tolist()

    assert pair(tokens, "The cat ", "sat") == pair(tokens, "The cat", " sat")
    assert pair(tokens, "", "The cat") == Request((50256,), tuple(tokens("The cat")))
    whole = pair(tokens, "The cat", " sat down")
    assert [*whole.context, *whole.target] == tokens("The cat sat down")


def test_batches_hold_each_text_once_and_the_longest_come_first():
    lengths = [random.Random(1).randint(1, 1024) for _ in range(500)]
    found = list(batches(lengths))
    assert sorted(number for batch in found for number in batch) == list(range(500))
    assert all(len(batch) * max(lengths[n] for n in batch) <= 8192 for batch in found)
    assert lengths[found[0][0]] == max(lengths)


def test_tokens_that_the_model_does_not_know_are_refused(gpt):
    with pytest.raises(UserError, match="beyond the model's vocabulary of 500"):
        score(gpt, [Request((1,), (500,))])
