"""The tokens step against the bare library with as many threads, on the same texts, in one run.

    python -m tests.bench.tokenising [--megabytes 150] [--workers 2] [--own]

Bare tiktoken has the texts in memory and does nothing but `encode_ordinary_batch`; the step reads
them from Parquet, splits, counts, writes shards and the index. With --own the tokenizer is a
byte-level BPE of 32,000 tokens trained on the first texts, and the library is tokenizers. Wall and
CPU time, taken in turn.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from tokenizers import Tokenizer

from tests.bench.peers import ROOT
from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import Directory, row_count, write_parquet
from webtext.pipeline.tokens import bpe, encoders
from webtext.pipeline.tokens.tokens import Tokens, tokens
from webtext.pipeline.urls import urls

Bare = Callable[[], int]  # encodes; returns how many tokens there are


def texts(data: Path, megabytes: int) -> list[str]:
    """Return texts of that size: the labelled ones of the shared data, else made of words."""
    path = data / "dedup" / "miniweb_texts.jsonl.zst"
    if path.exists():
        with zstandard.open(path, "rt", encoding="utf-8") as file:
            found = [json.loads(line)["text"] for line in file]
    else:
        rng = random.Random(0)
        words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(1, 9))) for _ in range(9999)]
        found = [" ".join(rng.choices(words, k=900)) for _ in range(500)]
    size, many = 0, []
    while size < megabytes * 1e6:
        text = found[len(many) % len(found)]
        many.append(text)
        size += len(text.encode())
    return many


def corpus_of(many: list[str], home: Path) -> Directory:
    """Write a corpus of these texts, in eight shards."""
    directory = Directory(home)
    home.mkdir(parents=True)
    for shard in range(8):
        rows = []
        for number in range(shard, len(many), 8):
            url = f"http://site{number % 999}.example/{number}"
            row = dict.fromkeys(CORPUS.names) | {"url": url, "id": urls.url_id(url)}
            row |= {"domain": urls.domain(url), "text": many[number]}
            row |= {"bytes": len(many[number].encode()), "duplicates": 0}
            rows.append({name: row[name] for name in CORPUS.names})
        batches = [
            pa.RecordBatch.from_pylist(rows[start : start + 1000], CORPUS)
            for start in range(0, len(rows), 1000)
        ]
        write_parquet(directory.shard(shard), batches, CORPUS)
    directory.finish({"stage": "corpus", "stages": {}, "inputs": {}, "passages": []})
    return directory


def peer(many: list[str], scratch: Path, options: argparse.Namespace) -> tuple[Bare, Tokens]:
    """Return what encodes all texts by the library alone, and the step's settings."""
    if not options.own:
        gpt2 = bpe.encoding()
        return lambda: sum(
            map(len, gpt2.encode_ordinary_batch(many, num_threads=options.workers))
        ), Tokens()
    path = scratch / "tokenizer.json"
    path.write_text(encoders.train(iter(many[:3000]), 32_000), encoding="utf-8")
    inner = Tokenizer.from_file(str(path))
    inner.encode_special_tokens = True

    def encoded() -> int:
        batches = (many[start : start + 256] for start in range(0, len(many), 256))
        return sum(len(one.ids) for texts in batches for one in inner.encode_batch_fast(texts))

    return encoded, Tokens(tokenizer=str(path))


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those of its children that have ended."""
    return sum(os.times()[:4])


def main() -> None:
    """Print the rates of both and their ratio, three times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=150)
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    many = texts(options.data, options.megabytes)
    size = sum(len(text.encode()) for text in many) / 1e6
    os.environ["RAYON_NUM_THREADS"] = str(options.workers)
    with tempfile.TemporaryDirectory() as scratch:
        bare, settings = peer(many, Path(scratch), options)
        corpus = corpus_of(many, Path(scratch) / "corpus-1")
        assert sum(row_count(path) for path in corpus.shards()) == len(many)
        ratios = []
        for turn in range(3):
            started, cpu = time.perf_counter(), cpu_seconds()
            count = bare() + len(many)
            alone, alone_cpu = time.perf_counter() - started, cpu_seconds() - cpu
            out = Directory(Path(scratch) / f"tokens-{turn}")
            out.path.mkdir()
            started, cpu = time.perf_counter(), cpu_seconds()
            tokens(settings, corpus, out, options.workers)
            step, step_cpu = time.perf_counter() - started, cpu_seconds() - cpu
            ratios.append(alone / step)
            index = pq.read_table(out.path / "documents.parquet", columns=["length"])
            assert sum(index["length"].to_pylist()) == count
            print(
                f"  {size:.0f} MB, {count:,} tokens, {options.workers} workers: library "
                f"{size / alone:.1f} MB/s, webtext {size / step:.1f} MB/s, ratio "
                f"{alone / step:.2f}; of CPU {alone_cpu:.1f} and {step_cpu:.1f} s"
            )
        print(f"  median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
