"""Log-likelihoods of texts under a model, many at a time.

Every evaluation asks one question: how probable are these tokens after those. It is answered
in float32 on every device, and in batches that depend on the questions alone, so that the
same model gives the same scores.
"""

# Shape suffixes:
#   B = texts, T = tokens, padded on the right, N = tokens asked for, D = width, V = vocabulary

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import GPT
from webtext.model.settings import END_OF_TEXT

TOKENS = 8_192  # tokens of a batch, padding included
ROWS = 1_024  # tokens whose logits are held at once: 206 MB of them
CPU_ROWS = 128  # on a CPU, so that a chunk stays in its caches

Encode = Callable[[str], Sequence[int]]
Tell = Callable[[int, int], None]


def untold(done: int, total: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True)
class Request:
    """A question: how probable is `target` after `context`?"""

    context: tuple[int, ...]  # tokens that are given, not scored; at least one
    target: tuple[int, ...]  # tokens that are scored; at least one


@dataclass(frozen=True)
class Answer:
    """How probable a target is."""

    logp: float  # nats, the sum over the target
    greedy: bool  # whether each of its tokens is the most probable one at its place
    last_greedy: bool  # whether its last token is


def pair(encode: Encode, context: str, target: str, end: int = END_OF_TEXT) -> Request:
    """Return the question about two texts, which are encoded as one text.

    Blanks that end the context go to the target, for GPT-2's tokens begin with their blank; what
    follows nothing follows `<|endoftext|>`. Source: lm-eval 0.4, api/model.py, `_encode_pair`.
    """
    bare = context.rstrip()
    target = context[len(bare) :] + target
    if not bare:
        return Request((end,), tuple(encode(target)))
    whole, before = encode(bare + target), encode(bare)
    return Request(tuple(before), tuple(whole[len(before) :]))


def windows(
    tokens: Sequence[int], context: int, stride: int, end_of_text: int = END_OF_TEXT
) -> list[Request]:
    """Cut a text of any length into questions that together score each token once.

    The first is scored after `<|endoftext|>`. A window has `context` tokens of which the last
    `stride` are scored, the others only seen; the first window is scored whole. With `stride` equal
    to `context` no token is seen twice, which is what lm-eval does.

    >>> [(w.context, w.target) for w in windows([1, 2, 3, 4, 5], 3, 2)]
    [((50256,), (1, 2, 3)), ((2, 3), (4, 5))]

    Raises:
        UserError: the stride is not within the context.
    """
    within(stride, context)
    stream = [end_of_text, *tokens]
    found = []
    done, size = 1, context
    while done < len(stream):
        end = min(done + size, len(stream))
        start = max(0, end - context - 1)
        found.append(Request(tuple(stream[start:done]), tuple(stream[done:end])))
        done, size = end, stride
    return found


def within(stride: int, context: int) -> None:
    """Check a stride, in tokens.

    Raises:
        UserError: it is not within the context.
    """
    if not 1 <= stride <= context:
        raise UserError(f"stride = {stride}; wanted 1 to the model's context of {context} tokens")


def score(model: GPT, requests: Sequence[Request], tell: Tell = untold) -> list[Answer]:
    """Answer questions in order; `tell` is called with the tokens done and their total.

    A text longer than the context loses its beginning.
    """
    context = model.settings.context
    lengths = [min(len(r.context) + len(r.target) - 1, context) for r in requests]
    answers: list[Answer | None] = [None] * len(requests)
    done, total = 0, sum(lengths)
    for batch in batches(lengths):
        found = answer(model, [requests[number] for number in batch])
        for number, one in zip(batch, found, strict=True):
            answers[number] = one
        done += sum(lengths[number] for number in batch)
        tell(done, total)
    return [one for one in answers if one is not None]


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of the texts of each batch: the longest first, to fail early if at all."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > TOKENS:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


@torch.no_grad()
def answer(model: GPT, requests: Sequence[Request]) -> list[Answer]:
    """Answer the questions of one batch."""
    hidden_ND, wanted_N, sizes = targets(model, requests)
    logps, best = [], []
    rows = ROWS if hidden_ND.is_cuda else CPU_ROWS
    for h_ND, y_N in zip(torch.split(hidden_ND, rows), torch.split(wanted_N, rows), strict=True):
        logits_NV = model.logits(h_ND).float()
        wanted_NV = logits_NV.gather(1, y_N[:, None])[:, 0]
        logps.append(wanted_NV - logits_NV.logsumexp(dim=-1))
        best.append(logits_NV.argmax(dim=-1) == y_N)
    logp_N, best_N = torch.cat(logps).double().cpu(), torch.cat(best).cpu()
    return [
        Answer(float(logp_T.sum()), bool(best_T.all()), bool(best_T[-1]))
        for logp_T, best_T in zip(
            torch.split(logp_N, sizes), torch.split(best_N, sizes), strict=True
        )
    ]


def targets(model: GPT, requests: Sequence[Request]) -> tuple[Tensor, Tensor, list[int]]:
    """Return the states that predict the targets (ND), the targets (N), and how many per text."""
    context, vocab = model.settings.context, model.settings.vocab
    x_BT, spans = padded(requests, context)
    if int(x_BT.max()) >= vocab or any(max(r.target) >= vocab for r in requests):
        raise UserError(
            f"the text has tokens beyond the model's vocabulary of {vocab}; "
            "wanted the model of this tokenizer"
        )
    place = model.wte.weight.device
    h_BTD = model.hidden(x_BT.to(place))
    rows = [h_BTD[row, start:end] for row, (start, end) in enumerate(spans)]
    kept = [r.target[-(end - start) :] for r, (start, end) in zip(requests, spans, strict=True)]
    wanted_N = torch.tensor([token for target in kept for token in target], device=place)
    return torch.cat(rows), wanted_N, [len(target) for target in kept]


def padded(requests: Iterable[Request], context: int) -> tuple[Tensor, list[tuple[int, int]]]:
    """Return the texts without their last token (BT), and the places that predict the target."""
    texts, spans = [], []
    for request in requests:
        text = [*request.context, *request.target][-(context + 1) :][:-1]
        texts.append(torch.tensor(text))
        spans.append((max(0, len(text) - len(request.target)), len(text)))
    return torch.nn.utils.rnn.pad_sequence(texts, batch_first=True), spans
