import pytest
import torch

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import build
from webtext.model.gpt.sample import draw, generate, generate_batch
from webtext.model.training.train import train
from webtext.model.training.trained import load

PROMPT = [3, 1, 4, 1, 5]


@pytest.fixture
def gpt(tiny):
    model = build(tiny, seed=1).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4)  # so that it has opinions, and equal tokens are no accident
    return model


@pytest.mark.parametrize(
    "how",
    [
        {"temperature": 0},
        {"seed": 1},
        {"top_k": 5},
        {"top_p": 0.5},
        {"temperature": 0.7, "seed": 2},
    ],
    ids=str,
)
def test_a_cache_changes_no_token_even_beyond_the_context(gpt, how):
    cached = list(generate(gpt, PROMPT, 150, **how))  # the context is 64
    assert len(cached) == 150
    assert cached == list(generate(gpt, PROMPT, 150, cached=False, **how))


def test_the_likeliest_is_taken_at_temperature_zero(gpt):
    (token,) = generate(gpt, PROMPT, 1, temperature=0)
    assert token == gpt(torch.tensor([PROMPT]))[0, -1].argmax()
    for cold in (1e-7, 1e-45, 1e-300):
        assert list(generate(gpt, PROMPT, 1, temperature=cold)) == [token]


def test_the_seed_alone_decides(gpt):
    torch.manual_seed(1)
    one = list(generate(gpt, PROMPT, 20, seed=7))
    torch.manual_seed(2)
    assert one == list(generate(gpt, PROMPT, 20, seed=7))
    assert one != list(generate(gpt, PROMPT, 20, seed=8))


def test_tokens_come_as_they_are_drawn(gpt):
    stream = generate(gpt, PROMPT, 10**9)
    assert len([next(stream) for _ in range(3)]) == 3


def test_it_ends_where_the_model_says_so(gpt):
    tokens = list(generate(gpt, PROMPT, 30, seed=3))
    assert (
        list(generate(gpt, PROMPT, 30, seed=3, stop=tokens[10]))
        == tokens[: tokens.index(tokens[10])]
    )


def test_a_batch_goes_on_from_each_of_its_prompts(gpt):
    prompts = [PROMPT, PROMPT[::-1]]
    columns = list(zip(*generate_batch(gpt, prompts, 10, temperature=0), strict=True))
    assert columns == [tuple(generate(gpt, prompt, 10, temperature=0)) for prompt in prompts]


def test_a_prompt_longer_than_the_context_counts_by_its_end(gpt):
    long = list(range(100))
    assert list(generate(gpt, long, 5)) == list(generate(gpt, long[-64:], 5))


def test_top_k_and_top_p_leave_the_likeliest_only():
    logits_BV = torch.log(torch.tensor([[0.1, 0.5, 0.05, 0.35]])).repeat(500, 1)
    random = torch.Generator().manual_seed(0)
    assert set(draw(logits_BV, 1.0, 0, 1.0, random).tolist()) == {0, 1, 2, 3}
    assert set(draw(logits_BV, 1.0, 2, 1.0, random).tolist()) == {1, 3}
    assert set(draw(logits_BV, 1.0, 0, 0.5, random).tolist()) == {1}
    assert set(draw(logits_BV, 1.0, 0, 0.6, random).tolist()) == {1, 3}
    assert set(draw(logits_BV, 1.0, 0, 1e-9, random).tolist()) == {1}


def test_draws_are_as_frequent_as_they_are_probable():
    p = torch.tensor([0.2, 0.5, 0.3])
    random = torch.Generator().manual_seed(0)
    drawn = draw(p.log().repeat(20_000, 1), 1.0, 0, 1.0, random)
    assert (drawn.bincount() / 20_000).tolist() == pytest.approx(p.tolist(), abs=0.02)


@pytest.mark.parametrize(
    ("prompts", "how", "message"),
    [
        ([[]], {}, r"prompts of \[0\] tokens; wanted one length of 1 or more"),
        ([[1], [1, 2]], {}, r"prompts of \[1, 2\] tokens"),
        ([[1, 500]], {}, "token 500 in the prompt; wanted 0 to 499"),
        ([[1]], {"temperature": -1}, "temperature = -1; wanted 0 or more"),
        ([[1]], {"temperature": float("nan")}, "temperature = nan; wanted 0 or more"),
        ([[1]], {"temperature": float("inf")}, "temperature = inf; wanted 0 or more"),
        ([[1]], {"top_p": float("nan")}, "top_p = nan; wanted more than 0, at most 1"),
        ([[1]], {"top_k": -1}, r"top_k = -1; wanted 0 \(all\) or more"),
        ([[1]], {"top_p": 0}, "top_p = 0; wanted more than 0, at most 1"),
    ],
)
def test_what_cannot_be_sampled_is_refused(gpt, prompts, how, message):
    with pytest.raises(UserError, match=message):
        next(generate_batch(gpt, prompts, 1, **how))


def test_a_run_gives_its_best_model_or_the_one_asked_for(tokens, tiny, settings, tmp_path):
    run = tmp_path / "run"
    train(run, tokens, tiny, settings, "cpu")
    best, early = load(run), load(run, step=9)
    assert not best.training
    assert not torch.equal(best.wte.weight, early.wte.weight)
    first = list(generate(best, PROMPT, 20, temperature=0))
    assert first == list(generate(load(run, step=12), PROMPT, 20, temperature=0))


def test_a_run_without_a_checkpoint_says_so(tokens, tiny, settings, tmp_path):
    from webtext.model.training.run import begin

    begin(tmp_path / "run", tokens, tiny, settings)
    with pytest.raises(UserError, match="no checkpoint yet; train it first"):
        load(tmp_path / "run")
