"""The most probable last word of a passage that is not a stop word, as in the paper's LAMBADA.

The paper: most of GPT-2's errors "are valid continuations of the sentence, but are not valid final
words"; a stop-word filter "as an approximation to this" raises the accuracy to 63.24 %. Neither its
list nor its search was published. Ours: a word is tokens of letters after a blank, up to a token
that is none; its probability is that of its tokens times that of the end after them. A prefix that
is less probable than the right word cannot become a better one, so the search never follows it, and
needs no beam.
"""

# Shape suffixes: B = texts, T = tokens, D = width, V = vocabulary

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from webtext.model.eval.score import ROWS, Request, Tell, batches, score, untold
from webtext.model.gpt.gpt import GPT

BREADTH = 256  # how many of the most probable continuations of a prefix are tried
ROUND = 256  # passages that are searched at once

# English words of the closed classes: articles, pronouns, prepositions, conjunctions, auxiliaries,
# and the adverbs that behave like them. Ours; the paper's is not known.
STOP = """
a an the this that these those some any no none each every all both either neither such
i me my mine myself you your yours yourself he him his himself she her hers herself it its
itself we us our ours ourselves they them their theirs themselves one who whom whose which what
of in on at by for with about against between into through during before after above below to
from up down out off over under upon within without toward towards across along around behind
beside near since until like as than per via
and but or nor so yet if because while although though unless whether when where why how
am is are was were be been being have has had having do does did doing done can could will would
shall should may might must ought
not too very just only also again further then once here there now ever never even still more
most much many few less least other another own same almost already always
s t d m ll re ve don didn doesn isn wasn weren won wouldn couldn shouldn aren hasn haven hadn
"""
STOP_WORDS = frozenset(STOP.split())

Piece = Callable[[int], bytes]


@dataclass
class Search:
    """What is known of one passage."""

    context: tuple[int, ...]
    word: str  # the correct word
    bound: float  # its log-probability, the end's included
    heap: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)  # -logp, prefix
    right: bool | None = None  # None: not decided yet

    def next(self) -> tuple[int, ...] | None:
        """Return the most probable prefix that could still win; None where the search is over."""
        if self.right is None and (not self.heap or -self.heap[0][0] <= self.bound):
            self.right = True
        return None if self.right is not None else self.heap[0][1]


class Vocabulary:
    """Which tokens begin a word, and which continue one."""

    def __init__(self, piece: Piece, size: int) -> None:
        self.piece = piece
        pieces = [piece(token) for token in range(size)]
        self.begins_V = torch.tensor([p[:1] == b" " and lettered(p[1:]) for p in pieces])
        self.goes_on_V = torch.tensor([lettered(p) for p in pieces])

    def spell(self, tokens: Sequence[int]) -> str:
        """Return the word that the tokens spell."""
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace").strip()


def lettered(piece: bytes) -> bool:
    """Whether bytes begin with a letter or digit.

    >>> lettered(b"ing"), lettered(b" a"), lettered(b","), lettered("é".encode())
    (True, False, False, True)
    """
    return piece[:1].isalnum() or piece[:1] >= b"\x80"


def filtered(
    model: GPT, requests: Sequence[Request], piece: Piece, tell: Tell = untold
) -> list[bool]:
    """Return for each passage whether its word is the most probable one that is not a stop word."""
    vocabulary = Vocabulary(piece, model.settings.vocab)
    answers = score(model, requests)
    ends = expand(model, [r.context + r.target for r in requests], vocabulary.goes_on_V)
    found: list[bool] = []
    known = zip(requests, answers, ends, strict=True)
    searches = [
        Search(r.context, vocabulary.spell(r.target), answer.logp + end.logp)
        for r, answer, end in known
    ]
    for start in range(0, len(searches), ROUND):
        part = searches[start : start + ROUND]
        search(model, part, vocabulary)
        found += [bool(one.right) for one in part]
        tell(len(found), len(requests))
    return found


def search(model: GPT, searches: Sequence[Search], vocabulary: Vocabulary) -> None:
    """Decide passages, asking the model about one prefix of each at a time."""
    for one in searches:
        if one.word.lower() in STOP_WORDS:
            one.right = False
    asked = [one for one in searches if one.right is None]
    first = expand(model, [one.context for one in asked], vocabulary.begins_V, ends=False)
    for one, found in zip(asked, first, strict=True):
        push(one, 0.0, (), found)
    while asked := [one for one in asked if one.next() is not None]:
        prefixes = [heapq.heappop(one.heap) for one in asked]
        texts = [one.context + prefix for one, (_, prefix) in zip(asked, prefixes, strict=True)]
        expanded = expand(model, texts, vocabulary.goes_on_V)
        for one, (cost, prefix), found in zip(asked, prefixes, expanded, strict=True):
            word = vocabulary.spell(prefix)
            other = word.lower() not in STOP_WORDS and word != one.word
            if other and found.logp - cost > one.bound:
                one.right = False
            push(one, -cost, prefix, found)


def push(one: Search, logp: float, prefix: tuple[int, ...], found: "Expanded") -> None:
    """Add the continuations of a prefix that could still win to the search."""
    for more, token in zip(found.logps, found.tokens, strict=True):
        if logp + more > one.bound:
            heapq.heappush(one.heap, (-(logp + more), (*prefix, token)))


@dataclass(frozen=True)
class Expanded:
    """The probabilities of what comes after a text."""

    logp: float  # that the word ends here
    logps: list[float]  # of the most probable tokens that continue it, in falling order
    tokens: list[int]


@torch.no_grad()
def expand(
    model: GPT, texts: Sequence[tuple[int, ...]], goes_on_V: Tensor, ends: bool = True
) -> list[Expanded]:
    """Return the probabilities after each text: of tokens in `goes_on_V`, and of all others."""
    found: list[Expanded | None] = [None] * len(texts)
    allowed_V = goes_on_V.to(model.wte.weight.device)
    for numbers, logp_BV in after(model, texts):
        end_B = logp_BV.masked_fill(allowed_V, -torch.inf).logsumexp(1) if ends else logp_BV[:, 0]
        best = logp_BV.masked_fill(~allowed_V, -torch.inf).topk(min(BREADTH, len(allowed_V)))
        values = zip(
            numbers, end_B.tolist(), best.values.tolist(), best.indices.tolist(), strict=True
        )
        for number, end, logps, tokens in values:
            found[number] = Expanded(end, logps, tokens)
    return [one for one in found if one is not None]


def after(model: GPT, texts: Sequence[tuple[int, ...]]) -> Iterator[tuple[list[int], Tensor]]:
    """Yield the log-probabilities of the next token of the texts (BV), some texts at a time."""
    context = model.settings.context
    place = model.wte.weight.device
    for batch in batches([min(len(text), context) for text in texts]):
        for start in range(0, len(batch), ROWS):
            numbers = batch[start : start + ROWS]
            rows = [torch.tensor(texts[number][-context:]) for number in numbers]
            x_BT = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(place)
            last_B = torch.tensor([len(row) - 1 for row in rows], device=place)
            h_BD = model.hidden(x_BT)[torch.arange(len(rows), device=place), last_B]
            yield numbers, functional.log_softmax(model.logits(h_BD).float(), dim=-1)
