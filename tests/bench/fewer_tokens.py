"""How many tokens the recipe `speedrun` takes to the loss that GPT-2 with AdamW ends at.

    python -m tests.bench.fewer_tokens [--processes 2]

Both learn from the same real text in the same order, on the CPU: WikiText-2 where ../shared/data
has it, else what Python and the installed packages say of themselves. GPT-2 has AdamW with a cosine
to a tenth, as Brown et al. (2020) and nanoGPT have it, at the best rate of a sweep that goes on
until the best is not the last. `speedrun` is the recipe as it is shipped but for its size and what
follows from that, and is trained to its end at two lengths; the tokens that it takes to the other's
final loss are on the line through both over their logarithm, between or next to them. Each of the
seeds draws weights and order anew, and both have the same. On two quiet cores it takes 7 minutes.
"""

import argparse
import math
import statistics
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tiktoken
import torch
import zstandard

from tests.bench.peers import ROOT
from webtext.flows.building.settings import load
from webtext.flows.demo.docstrings import sources
from webtext.model.batches.data import MAGIC, VERSION
from webtext.model.settings import GPT2, Train
from webtext.model.training.train import Line, train
from webtext.pipeline.tokens.bpe import PATTERN, ranks, vocabulary

WIKITEXT = ROOT.parent / "shared" / "data" / "eval"
VOCAB = 2048  # GPT-2's encoding after its first 1,791 merges; the last number parts documents
SHAPE = GPT2(layers=4, heads=4, width=128, context=128, vocab=VOCAB)
BATCH = 8 * SHAPE.context
STEPS = 600
RATES = (2e-3, 4e-3, 8e-3)  # of AdamW, the middle first; more are tried beyond the ends
SHARES = (0.25, 0.5)  # of AdamW's steps
SEEDS = (0, 1, 2)
WANTED = 0.75  # of AdamW's tokens, at most
T95 = 4.303  # Student's t for three seeds and 95 %


def adamw(rate: float) -> tuple[GPT2, Train]:
    """Return GPT-2, and how it is trained at a rate."""
    return SHAPE, Train(lr=rate, min_lr=rate / 10, steps=STEPS, warmup=STEPS // 20)


def speedrun(share: float) -> tuple[GPT2, Train]:
    """Return the recipe at this size, trained for a share of the other's steps.

    Muon's rate goes with one by the root of the width: the largest singular value of its update is
    in proportion to the rate times that root, and is to be the same.
    """
    recipe = load("speedrun")
    size = {name: getattr(SHAPE, name) for name in ("layers", "heads", "width", "context", "vocab")}
    told, steps = recipe.train, round(share * STEPS)
    rate = told.lr * math.sqrt(recipe.model.width / SHAPE.width)
    warmup = round(steps * told.warmup / told.steps)
    settings = replace(told, lr=rate, steps=steps, warmup=warmup)
    return replace(recipe.model, **size), settings


def final_loss(tokens: Path, seed: int, how: tuple[GPT2, Train]) -> float:
    """Train a model; return its loss on val, in nats a token."""
    torch.set_num_threads(1)
    gpt, settings = how
    settings = replace(
        settings, seed=seed, batch_tokens=BATCH, microbatch=BATCH // gpt.context, precision="fp32",
        eval_every=0, eval_tokens=1 << 16, checkpoint_every=0,
    )  # fmt: skip
    losses: list[float] = []

    def watch(line: Line) -> None:
        if line["val_loss"] is not None:
            losses.append(line["val_loss"])

    with TemporaryDirectory() as run:
        train(Path(run) / "run", tokens, gpt, settings, "cpu", watch, tell=lambda _: None)
    return losses[-1]


def best_rate(pool: Executor, tokens: Path) -> tuple[float, float]:
    """Return the rate at which AdamW ends best with the first seed, and its loss there."""
    asked = list(RATES)
    found: dict[float, float] = {}
    while asked:
        jobs = {rate: pool.submit(final_loss, tokens, SEEDS[0], adamw(rate)) for rate in asked}
        found |= {rate: job.result() for rate, job in jobs.items()}
        best = min(found, key=lambda rate: found[rate])
        asked = [best / 2] if best == min(found) else [best * 2] if best == max(found) else []
    for rate, loss in sorted(found.items()):
        print(f"  AdamW at {rate:.1e}   {loss:.4f}{'   taken' * (rate == best)}", flush=True)
    return best, found[best]


def tokens_to(loss: float, losses: dict[float, float]) -> float:
    """Return the share of tokens at which a loss is reached, from the losses at some shares.

    >>> round(tokens_to(2.0, {0.25: 3.0, 0.5: 2.5, 1.0: 1.5}), 3)
    0.707
    """
    shares = sorted(losses)
    pairs = list(pairwise(shares))
    a, b = next((pair for pair in pairs if losses[pair[1]] <= loss), pairs[-1])
    way = (losses[a] - loss) / (losses[a] - losses[b])
    return math.exp(math.log(a) + way * math.log(b / a))


def texts() -> Iterator[str]:
    """Yield real texts, in an order by chance that is always the same."""
    files = [WIKITEXT / f"wikitext2_{split}.txt.zst" for split in ("valid", "test")]
    if all(path.exists() for path in files):
        for path in files:
            raw = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
            yield from raw.decode().split("\n = ")
        return
    bodies = {
        text.body: None  # each once
        for _, found in sources()
        for text in found
        if not text.path.startswith("/licence")
    }
    names = np.array(list(bodies), dtype=object)
    yield from np.random.default_rng(0).permutation(names)


def write(folder: Path, wanted: int) -> str:
    """Write train and val shards of at least so many tokens; return what text they hold."""
    every = ranks(vocabulary()["encoder.json"])
    first = {piece: number for piece, number in every.items() if number < VOCAB - 1}
    encoding = tiktoken.Encoding(
        "first merges", pat_str=PATTERN, mergeable_ranks=first, special_tokens={}
    )
    parts: dict[str, list[int]] = {"train": [], "val": []}
    for number, text in enumerate(texts()):
        split = "val" if number % 20 == 0 else "train"
        if len(parts[split]) < (wanted if split == "train" else 1 << 17):
            parts[split] += [VOCAB - 1, *encoding.encode_ordinary(text)]
    for split, tokens in parts.items():
        header = np.zeros(256, "<i4")
        header[:3] = MAGIC, VERSION, len(tokens)
        data = header.tobytes() + np.array(tokens, "<u2").tobytes()
        (folder / f"{split}-00000.bin").write_bytes(data)
    where = "WikiText-2" if (WIKITEXT / "wikitext2_test.txt.zst").exists() else "docstrings"
    return f"{where}: {len(parts['train']):,} tokens to train on, {len(parts['val']):,} held out"


def main() -> None:
    """Compare, and say so by the exit code if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    processes = parser.parse_args().processes
    with (
        TemporaryDirectory() as scratch,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        tokens = Path(scratch)
        print(f"  {write(tokens, STEPS * BATCH)}", flush=True)
        rate, first = best_rate(pool, tokens)
        run = partial(pool.submit, final_loss, tokens)
        others = {seed: run(seed, adamw(rate)) for seed in SEEDS[1:]}
        ours = {seed: {share: run(seed, speedrun(share)) for share in SHARES} for seed in SEEDS}
        shares = []
        for seed in SEEDS:
            theirs = others[seed].result() if seed in others else first
            losses = {share: job.result() for share, job in ours[seed].items()}
            shares.append(tokens_to(theirs, losses))
            told = ", ".join(f"{loss:.4f} at {share:.2f}" for share, loss in losses.items())
            print(
                f"  seed {seed}   AdamW {theirs:.4f}   speedrun {told}   same at {shares[-1]:.3f}",
                flush=True,
            )
    mean, spread = statistics.fmean(shares), statistics.stdev(shares)
    error = T95 * spread / math.sqrt(len(shares))
    told = f"{mean:.3f} +- {error:.3f} of AdamW's (95 %, {len(SEEDS)} seeds)"
    print(f"  tokens to AdamW's loss: {told}")
    if mean + error > WANTED:
        raise SystemExit(f"wanted: at most {WANTED}")


if __name__ == "__main__":
    main()
