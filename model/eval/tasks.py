"""The tasks: which texts are compared, and what is reported of them.

Each follows one or more protocols, which a row names: "paper" is the paper's, as far as it was
published, and the note of the row says where we had to choose; "lm-eval" is that of
lm-evaluation-harness 0.4, to the character; "partial" and "full" are the two ways with Winograd's
schemas of Trinh and Le (2018), A Simple Method for Commonsense Reasoning.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Protocol

from webtext.model.eval import detok, sets
from webtext.model.eval.last_word import filtered
from webtext.model.eval.paper import TABLE_3, Numbers
from webtext.model.eval.score import Answer, Request, Tell, pair, score, untold, windows
from webtext.model.gpt.gpt import GPT


class Tokenizer(Protocol):
    """What the tasks need of GPT-2's encoding."""

    def encode(self, text: str) -> Sequence[int]:
        """Return a text's tokens, none of them special."""

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""


@dataclass(frozen=True)
class Row:
    """One number."""

    task: str
    protocol: str
    metric: str  # acc and acc_norm in per cent; ppl; bits
    value: float
    error: float | None  # standard error of the mean over the items, where they are independent
    items: int
    note: str = ""

    @property
    def paper(self) -> Numbers | None:
        """Return what the paper has for its four sizes."""
        metric = "ppl" if self.metric == "ppl_token" else self.metric
        found = TABLE_3.get((self.task, metric))
        return found if self.protocol in {"paper", "partial", "full"} else None


@dataclass(frozen=True)
class Judge:
    """What every task needs."""

    model: GPT
    tokenizer: Tokenizer
    stride: int
    limit: int | None = None  # items at most; of running text, lines, or thousands of characters
    tell: Tell = untold

    def pair(self, context: str, target: str) -> Request:
        """Return the question how probable a target is after a context."""
        return pair(self.tokenizer.encode, context, target, self.model.settings.end)

    def score(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer questions."""
        return score(self.model, requests, self.tell)

    def rolling(self, texts: Sequence[str], stride: int) -> tuple[float, int]:
        """Return the log-probability of texts of any length, and how many tokens they are."""
        context = self.model.settings.context
        end = self.model.settings.end
        cut = [windows(self.tokenizer.encode(text), context, stride, end) for text in texts]
        requests = [window for text in cut for window in text]
        logp = math.fsum(answer.logp for answer in self.score(requests))
        return logp, sum(len(request.target) for request in requests)


# --- the last word of a passage -------------------------------------------------------------------


def lambada(judge: Judge, path: Path) -> list[Row]:
    """Predict the word that ends a passage."""
    passages = sets.lambada(path, judge.limit)
    plain = [judge.pair(before, f" {word}") for before, word in passages]
    answers = judge.score(plain)
    rows = [
        perplexity("lambada", "lm-eval", answers),
        accuracy("lambada", "lm-eval", "acc", [a.greedy for a in answers]),
    ]
    bare = [straight(f"{before} {word}").rpartition(" ") for before, word in passages]
    requests = [judge.pair(before, f" {word}") for before, _, word in bare]
    answers = judge.score(requests)
    right = filtered(judge.model, requests, judge.tokenizer.piece, judge.tell)
    chosen = "likeliest last word but stop words; list and search are ours"
    last = "last token alone, as some count"
    return [
        perplexity("lambada", "paper", answers),
        accuracy("lambada", "paper", "acc", right, chosen),
        accuracy("lambada", "paper", "acc_token", [a.last_greedy for a in answers], last),
        *rows,
    ]


def straight(text: str) -> str:
    r"""Return a passage as GPT-2's authors fed it. Source: github.com/openai/gpt-2/issues/131.

    >>> straight(" “It’s him,” ")
    '\n"It\'s him,"'
    """
    for quotes, plain in (("“”", '"'), ("‘’", "'"), ("`", "'")):
        for quote in quotes:
            text = text.replace(quote, plain)
    return "\n" + text.replace("''", '"').strip()


# --- running text ---------------------------------------------------------------------------------


def wikitext(judge: Judge, path: Path, task: str) -> list[Row]:
    """Score Wikipedia's articles: as one text, and article by article as lm-eval does."""
    text = "".join(sets.read_text(path).splitlines(keepends=True)[: judge.limit])
    rows = running(judge, task, text, detok.WIKITEXT)
    pages = articles(text)
    logp, _ = judge.rolling(
        [wikitext_lm_eval(page) for page in pages], judge.model.settings.context
    )
    words = sum(len(re.split(r"\s+", page)) for page in pages)
    size = sum(len(page.encode()) for page in pages)
    note = "its set has the rare words that ours has as <unk>" if "<unk>" in text else ""
    return [
        *rows,
        Row(task, "lm-eval", "ppl_word", math.exp(-logp / words), None, words, note),
        Row(task, "lm-eval", "ppl_byte", math.exp(-logp / size), None, size),
        Row(task, "lm-eval", "bits", -logp / size / math.log(2), None, size),
    ]


def articles(text: str) -> list[str]:
    """Cut WikiText at the headings of its articles."""
    return [part for part in re.split(r"(?m)^(?= = [^=].* = $)", text) if part.strip()]


def wikitext_lm_eval(page: str) -> str:
    """Join words as lm-eval does. Source: lm-eval 0.4, tasks/wikitext/preprocess_wikitext.py."""
    page = page.replace("s '", "s'")
    page = re.sub(r"/' [0-9]/", r"/'[0-9]/", page)
    for mark in "-,.":
        page = page.replace(f" @{mark}@ ", mark)
    for mark in ":;.!?,":
        page = page.replace(f" {mark} ", f"{mark} ")
    for left, right, inside in (("\\(", "\\)", "\\)"), ("\\[", "\\]", "\\]"), ("{", "}", "}")):
        plain = left.removeprefix("\\"), right.removeprefix("\\")
        page = re.sub(rf"{left}\s*([^{inside}]*?)\s*{right}", rf"{plain[0]}\1{plain[1]}", page)
    for quote in "\"'":
        page = re.sub(rf"{quote}\s*([^{quote}]*?)\s*{quote}", rf"{quote}\1{quote}", page)
    for before, after in (
        ("= = = =", "===="),
        ("= = =", "==="),
        ("= =", "=="),
        (" ° ", "°"),
        (" \n", "\n"),
        ("\n ", "\n"),
        (" N ", " 1 "),
        (" 's", "'s"),
    ):
        page = page.replace(before, after)
    return page


def ptb(judge: Judge, path: Path) -> list[Row]:
    """Score the Penn treebank's Wall Street Journal, as Mikolov prepared it."""
    text = "".join(sets.read_text(path).splitlines(keepends=True)[: judge.limit])
    return running(judge, "ptb", text, detok.PTB)


def running(judge: Judge, task: str, text: str, style: detok.Style) -> list[Row]:
    """Score a text as one; per word of the original, line ends counted, and per token."""
    joined = style.join(text)
    logp, tokens = judge.rolling([joined], judge.stride)
    words = len(text.split()) + text.count("\n")
    note = f"per word, line ends too; stride {judge.stride}; de-tokeniser ours"
    return [
        Row(task, "paper", "ppl", math.exp(-logp / words), None, words, note),
        Row(task, "paper", "ppl_token", math.exp(-logp / tokens), None, tokens, "per token"),
    ]


def billion(judge: Judge, path: Path) -> list[Row]:
    """Score the One Billion Word Benchmark's sentences, which are shuffled, one by one."""
    lines = [line for line in sets.read_text(path).split("\n") if line][: judge.limit]
    texts = [detok.BILLION.join(line) + "\n" for line in lines]
    logp, tokens = judge.rolling(texts, judge.stride)
    words = sum(len(line.split()) + 1 for line in lines)
    note = "per word, line ends too; each sentence alone; de-tokeniser ours"
    return [
        Row("1bw", "paper", "ppl", math.exp(-logp / words), None, words, note),
        Row("1bw", "paper", "ppl_token", math.exp(-logp / tokens), None, tokens, "per token"),
    ]


def characters(judge: Judge, path: Path, task: str) -> list[Row]:
    """Score enwik8 by its bytes or text8 by its characters: the last five million of them."""
    text = sets.tail(path)
    text = text[: judge.limit * 1_000] if judge.limit else text
    units = len(text.encode()) if task == "enwik8" else len(text)
    logp, _ = judge.rolling([text], judge.stride)
    name = "byte" if task == "enwik8" else "character"
    note = f"per {name} of the last five million; stride {judge.stride}"
    return [Row(task, "paper", "bits", -logp / units / math.log(2), None, units, note)]


# --- choices --------------------------------------------------------------------------------------


def book(judge: Judge, path: Path, task: str) -> list[Row]:
    """Fill the gap of the Children's Book Test with one of ten words."""
    items = sets.cbt(path, judge.limit)
    join = detok.CBT.join
    requests = [
        judge.pair(join(item.context), " " + join(f"{item.before} {option} {item.after}".strip()))
        for item in items
        for option in item.options
    ]
    logps = [answer.logp for answer in judge.score(requests)]
    right, start = [], 0
    for item in items:
        part = logps[start : start + len(item.options)]
        right.append(best(part) == item.gold)
        start += len(item.options)
    note = "the whole last sentence, after the twenty; de-tokeniser ours"
    return [accuracy(task, "paper", "acc", right, note)]


def winograd(judge: Judge, path: Path) -> list[Row]:
    """Find what a pronoun means: by the rest of the sentence, or by the whole of it."""
    items = sets.choices(path, judge.limit)
    partial = asked(judge, [(c, f" {t}") for i in items for c, t in zip(*texts(i), strict=True)])
    full = asked(judge, [("", f"{c} {t}") for i in items for c, t in zip(*texts(i), strict=True)])
    return [
        accuracy("winograd", "partial", "acc", picked(items, partial), "lm-eval's too"),
        accuracy("winograd", "full", "acc", picked(items, full)),
    ]


def multiple(judge: Judge, path: Path, task: str) -> list[Row]:
    """Choose the likeliest of several texts, also by characters (acc_norm)."""
    items = [PREPARED.get(task, as_it_is)(item) for item in sets.choices(path, judge.limit)]
    logps = asked(judge, [(c, f" {t}") for i in items for c, t in zip(*texts(i), strict=True)])
    rows = [accuracy(task, "lm-eval", "acc", picked(items, logps))]
    if task not in WITHOUT_NORM:
        lengths = [float(len(choice)) for item in items for choice in item.choices]
        by_length = [logp / length for logp, length in zip(logps, lengths, strict=True)]
        rows.append(accuracy(task, "lm-eval", "acc_norm", picked(items, by_length)))
    return rows


def asked(judge: Judge, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Return how probable each target is after its context."""
    return [answer.logp for answer in judge.score([judge.pair(*both) for both in pairs])]


def texts(item: sets.Choice) -> tuple[list[str], list[str]]:
    """Return a context and what follows it for each choice."""
    contexts = item.contexts if item.substituted else item.contexts * len(item.choices)
    return list(contexts), list(item.choices)


def picked(items: Sequence[sets.Choice], scores: Sequence[float]) -> list[bool]:
    """Return of each item whether its right choice has the highest score."""
    right, start = [], 0
    for item in items:
        right.append(best(scores[start : start + len(item.choices)]) == item.gold)
        start += len(item.choices)
    return right


def best(scores: Sequence[float]) -> int:
    """Return the place of the highest score, the first of equals, as numpy's argmax does."""
    return max(range(len(scores)), key=lambda place: (scores[place], -place))


def as_it_is(item: sets.Choice) -> sets.Choice:
    """Return an item unchanged."""
    return item


def answered(item: sets.Choice) -> sets.Choice:
    """Ask as lm-eval asks PIQA's and ARC's questions: "Question: ...", "Answer:"."""
    return sets.Choice((item.contexts[0].rstrip("\n") + "\nAnswer:",), item.choices, item.gold)


def hellaswag(item: sets.Choice) -> sets.Choice:
    """Clean an item of WikiHow's marks. Source: lm-eval 0.4, tasks/hellaswag/utils.py."""

    def clean(text: str) -> str:
        text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
        return text.replace("  ", " ")

    context = clean(f"{item.subject}: {item.contexts[0]}")
    return sets.Choice((context,), tuple(map(clean, item.choices)), item.gold)


def copa(item: sets.Choice) -> sets.Choice:
    """Ask as lm-eval does: no comma before the connector, and two blanks after it."""
    context = re.sub(r", (because|therefore)$", r" \1", item.contexts[0])
    return sets.Choice((context,), tuple(f" {choice}" for choice in item.choices), item.gold)


PREPARED = {"piqa": answered, "arc_easy": answered, "hellaswag": hellaswag, "copa": copa}
WITHOUT_NORM = frozenset({"copa", "winogrande"})  # lm-eval reports none for these


# --- figures --------------------------------------------------------------------------------------


def accuracy(task: str, protocol: str, metric: str, right: Sequence[bool], note: str = "") -> Row:
    """Return a share in per cent, with its standard error."""
    n, per_cent = len(right), 100 * sum(right) / len(right)
    error = math.sqrt(per_cent * (100 - per_cent) / (n - 1)) if n > 1 else None
    return Row(task, protocol, metric, per_cent, error, n, note)


def perplexity(task: str, protocol: str, answers: Sequence[Answer], note: str = "") -> Row:
    """Return the perplexity of targets, each counted as one, with its standard error."""
    logps = [answer.logp for answer in answers]
    n, mean = len(logps), fmean(logps)
    ppl = math.exp(-mean)
    spread = math.sqrt(math.fsum((p - mean) ** 2 for p in logps) / (n - 1) / n) if n > 1 else None
    return Row(task, protocol, "ppl", ppl, None if spread is None else ppl * spread, n, note)
