"""Ratios against the tools that one would take instead, each pair in one run: `make bench`.

python -m tests.bench [PART ...]    only the benchmarks whose module's name has one of these in it
"""

import subprocess
import sys

from tests.bench.peers import ROOT

BENCHES = (
    ("harvest against merely parsing", "tests.bench.harvest", ()),
    ("the frontier at ten thousand and at a million URLs", "tests.bench.frontier", ()),
    ("a crawl against Scrapy and bare aiohttp", "tests.bench.crawl", ()),
    ("six months of a corpus that grows", "tests.bench.months", ()),
    ("what Prefect costs a build, in pairs", "tests.bench.prefect_cost", ()),
    ("deduplication against four libraries", "tests.bench.dedup", ("--documents", "20000")),
    (
        "200,000 documents, against the fastest of them",
        "tests.bench.dedup",
        ("--documents", "200000", "--parts", "job", "--only", "webtext", "rensa"),
    ),
    ("copies found by true similarity, beside the S-curve", "tests.bench.dedup_recall", ()),
    ("clustering of millions of signatures", "tests.bench.dedup_scale", ()),
    ("from a page to a judged document against datatrove", "tests.bench.extraction", ()),
    ("texts of one's own, by FineWeb's rules, against datatrove", "tests.bench.own_texts", ()),
    ("what language a text is in, seven engines", "tests.bench.language", ()),
    ("main texts of seven kinds of pages", "tests.bench.wcxb", ()),
    ("main texts of sixty pages of manuals, code and books", "tests.bench.own_pages", ()),
    ("what checking the files costs a build", "tests.bench.checks", ()),
    ("memory over ten thousand pages", "tests.bench.flat", ()),
    ("tokens against bare tiktoken", "tests.bench.tokenising", ()),
    ("others read our token shards: llm.c and nanoGPT", "tests.bench.readers", ()),
    ("a training step against nanoGPT's, on this CPU", "tests.bench.training", ()),
    ("fewer tokens for a loss: speedrun against GPT-2 with AdamW", "tests.bench.fewer_tokens", ()),
    ("our scores against lm-eval's own", "tests.bench.agreement", ()),
)


def main() -> None:
    """Run every benchmark in turn, or those asked for; one that fails is told at the end."""
    wanted = sys.argv[1:]
    failed = []
    for title, module, options in BENCHES:
        if wanted and not any(part in module for part in wanted):
            continue
        print(f"\n== {title}", flush=True)
        done = subprocess.run([sys.executable, "-m", module, *options], cwd=ROOT, check=False)
        if done.returncode:
            failed.append(module)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
