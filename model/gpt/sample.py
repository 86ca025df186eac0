"""Text from a trained model, one token at a time."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import GPT

COLD: Final = 1e-6  # a temperature at which logits of 32 bits overflow, and chance has no part


def generate(
    model: GPT,
    prompt: Sequence[int],
    tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: int | None = None,
    cached: bool = True,
) -> Iterator[int]:
    """Yield up to `tokens` tokens that continue `prompt`, each as soon as it is drawn.

    This is `generate_batch` with a batch of one. It ends early if the model draws `stop`, which is
    not yielded.
    """
    for (token,) in generate_batch(
        model,
        [prompt],
        tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        cached=cached,
    ):
        if token == stop:
            return
        yield token


@torch.inference_mode()
def generate_batch(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    cached: bool = True,
) -> Iterator[list[int]]:
    """Yield, `tokens` times, one token for each prompt; the prompts have equal length.

    Temperature 0, or near it, takes the most likely token; with `top_k` 0 and `top_p` 1 all tokens
    can be drawn. `cached` keeps the keys and values of past tokens, which changes the speed but not
    the tokens.
    When the text exceeds the context, its first half is dropped; the rest is computed again,
    because positions are absolute.

    Raises:
        UserError: a prompt is empty, has another length, or is not in the vocabulary; a setting is
            out of its range.
    """
    _check(model, prompts, temperature, top_k, top_p)
    place = model.wte.weight.device
    random = torch.Generator().manual_seed(seed)
    context = model.settings.context
    x_BT = torch.tensor([list(prompt)[-context:] for prompt in prompts])
    caches = None
    for _ in range(tokens):
        if x_BT.shape[1] > context:
            x_BT, caches = x_BT[:, -(context - context // 2) :], None
        if cached and caches is not None:
            h_BTD = model.hidden(x_BT[:, -1:].to(place), caches)
        else:
            caches = model.caches(len(prompts)) if cached else None
            h_BTD = model.hidden(x_BT.to(place), caches)
        logits_BV = model.logits(h_BTD[:, -1:])[:, 0].float().cpu()
        next_B = draw(logits_BV, temperature, top_k, top_p, random)
        x_BT = torch.cat([x_BT, next_B[:, None]], dim=1)
        yield next_B.tolist()


def draw(
    logits_BV: Tensor, temperature: float, top_k: int, top_p: float, random: torch.Generator
) -> Tensor:
    """Return a token for each row of logits.

    Source: top-k, Fan et al. (2018), Hierarchical Neural Story Generation; top-p, Holtzman et al.
    (2020), The Curious Case of Neural Text Degeneration.
    """
    if temperature < COLD:
        return logits_BV.argmax(dim=-1)
    logits_BV, tokens_BV = (logits_BV / temperature).sort(dim=-1, descending=True, stable=True)
    if top_k:
        logits_BV = logits_BV[:, :top_k]
    p_BV = functional.softmax(logits_BV, dim=-1)
    # The most likely tokens are kept until their sum reaches top_p; the one that reaches it too.
    before_BV = p_BV.cumsum(dim=-1) - p_BV
    p_BV = p_BV.masked_fill((before_BV >= top_p) & (before_BV > 0), 0)
    drawn_B1 = torch.multinomial(p_BV, 1, generator=random)
    return tokens_BV.gather(1, drawn_B1)[:, 0]


def _check(
    model: GPT, prompts: Sequence[Sequence[int]], temperature: float, top_k: int, top_p: float
) -> None:
    lengths = sorted({len(prompt) for prompt in prompts})
    if len(lengths) != 1 or lengths[0] == 0:
        raise UserError(
            f"prompts of {lengths} tokens; wanted one length of 1 or more, "
            "for instance <|endoftext|> alone"
        )
    for token in (token for prompt in prompts for token in prompt):
        if not 0 <= token < model.settings.vocab:
            raise UserError(f"token {token} in the prompt; wanted 0 to {model.settings.vocab - 1}")
    if not 0 <= temperature < math.inf:
        raise UserError(f"temperature = {temperature}; wanted 0 or more")
    if top_k < 0:
        raise UserError(f"top_k = {top_k}; wanted 0 (all) or more")
    if not 0 < top_p <= 1:
        raise UserError(f"top_p = {top_p}; wanted more than 0, at most 1")
