"""What other libraries do with the same job; run by `dedup.py`, each in the peers' environment.

    python dedup_peers.py sign|job PEER INPUT.jsonl OUTPUT.json

`sign` prints the seconds that signatures of all documents take on one core, shingles included.
`job` finds the clusters and writes them, as lists of ids. All peers use word 5-grams, 14 bands of 8
rows where they can be told, and the shortest code that their own documentation shows.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORD = re.compile(r"\w+")
BANDS, ROWS, NGRAM = 14, 8, 5
PERMUTATIONS = BANDS * ROWS


def read(path):
    with Path(path).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row["id"] for row in rows], [row["text"] for row in rows]


def shingles(text):
    words = WORD.findall(text.lower())
    return [" ".join(words[at : at + NGRAM]) for at in range(max(1, len(words) - NGRAM + 1))]


class Union:
    """Which documents are connected."""

    def __init__(self, count):
        self.parent = list(range(count))

    def find(self, x):
        while self.parent[x] != x:
            self.parent[x] = x = self.parent[self.parent[x]]
        return x

    def join(self, x, y):
        self.parent[self.find(x)] = self.find(y)

    def groups(self, ids):
        by_root = {}
        for number, name in enumerate(ids):
            by_root.setdefault(self.find(number), []).append(name)
        return [group for group in by_root.values() if len(group) > 1]


def sign_datasketch(texts):
    from datasketch import MinHash

    start = MinHash(num_perm=PERMUTATIONS)
    made = []
    for text in texts:
        sketch = start.copy()
        sketch.update_batch([shingle.encode() for shingle in shingles(text)])
        made.append(sketch)
    return made


def job_datasketch(path):
    from datasketch import MinHashLSH

    ids, texts = read(path)
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS))
    union = Union(len(ids))
    for number, sketch in enumerate(sign_datasketch(texts)):
        for other in index.query(sketch):
            union.join(number, other)
        index.insert(number, sketch, check_duplication=False)
    return union.groups(ids)


def sign_rensa(texts):
    from rensa import RMinHash

    made = []
    for at in range(0, len(texts), 1000):
        sets = [shingles(text) for text in texts[at : at + 1000]]
        made += RMinHash.from_token_sets(sets, num_perm=PERMUTATIONS, seed=1)
    return made


def job_rensa(path):
    from rensa import RMinHashLSH

    ids, texts = read(path)
    sketches = sign_rensa(texts)
    index = RMinHashLSH(threshold=0.7, num_perm=PERMUTATIONS, num_bands=BANDS)
    index.insert_many(sketches)
    union = Union(len(ids))
    for number, found in enumerate(index.query_all(sketches)):
        for other in found:
            union.join(number, other)
    return union.groups(ids)


def sign_datatrove(texts):
    from datatrove.pipeline.dedup import MinhashDedupSignature

    with tempfile.TemporaryDirectory() as scratch:
        step = MinhashDedupSignature(scratch)
        return [
            step.get_signature(found) for text in texts if (found := step.get_shingles(text)).size
        ]


def job_datatrove(path):
    import struct

    from datatrove.executor import LocalPipelineExecutor as Executor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.readers import JsonlReader

    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as scratch:
        halves = Path(scratch, "in")
        halves.mkdir()
        ids = [[] for _ in range(workers)]
        lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
        for number in range(workers):
            mine = lines[number::workers]
            ids[number] = [json.loads(line)["id"] for line in mine]
            (halves / f"{number}.jsonl").write_text("".join(mine), encoding="utf-8")

        def run(tasks, name, *steps):
            Executor(
                list(steps), tasks=tasks, workers=workers, logging_dir=f"{scratch}/log-{name}"
            ).run()

        run(workers, 1, JsonlReader(str(halves)), MinhashDedupSignature(f"{scratch}/sig"))
        run(BANDS, 2, MinhashDedupBuckets(f"{scratch}/sig", f"{scratch}/buckets"))
        run(1, 3, MinhashDedupCluster(
            f"{scratch}/buckets", f"{scratch}/remove", save_cluster_id=True
        ))  # fmt: skip
        groups = {}
        for number in range(workers):
            found = Path(scratch, "remove", f"{number:06d}.clusters")
            if found.exists():
                for document, cluster in struct.iter_unpack("<II", found.read_bytes()):
                    groups.setdefault(cluster, []).append(ids[number][document])
        return [group for group in groups.values() if len(group) > 1]


def sign_text_dedup(texts):
    import numpy as np
    from text_dedup.minhash import RNG, embed_func
    from text_dedup.utils import xxh3_32hash

    # Its own defaults: 64-bit arithmetic modulo a Mersenne prime.
    prime, dtype = np.uint64((1 << 61) - 1), np.uint64
    more = {
        "num_perm": PERMUTATIONS,
        "ngram_size": NGRAM,
        "min_length": 1,
        "hashranges": [(band * ROWS, (band + 1) * ROWS) for band in range(BANDS)],
        "permutations": (
            RNG.randint(1, prime, size=(PERMUTATIONS,), dtype=dtype),
            RNG.randint(0, prime, size=(PERMUTATIONS,), dtype=dtype),
        ),
        "hash_func": xxh3_32hash,
        "dtype": dtype,
        "max_hash": np.uint32((1 << 32) - 1),
        "modulo_prime": prime,
    }
    return [embed_func(text, number, **more) for number, text in enumerate(texts)]


def job_text_dedup(path):
    import pickle

    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable, "-m", "text_dedup.minhash", "--path", "json", "--data_files", str(path),
            "--split", "train", "--cache_dir", f"{scratch}/cache", "--output", f"{scratch}/out",
            "--column", "text", "--ngram", str(NGRAM), "--num_perm", str(PERMUTATIONS),
            "--b", str(BANDS), "--r", str(ROWS), "--min_length", "1", "--hash_func", "xxh3",
            "--batch_size", "10000", "--debug", "--num_proc", str(os.cpu_count() or 1),
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=sys.stderr)
        found = pickle.loads(Path(scratch, "out", "uf.pkl").read_bytes())
    ids, _ = read(path)
    parent = found["parent"] if isinstance(found, dict) and "parent" in found else found
    parent = getattr(parent, "parent", parent)
    union = Union(len(ids))
    for number, other in parent.items():
        union.join(number, other)
    return union.groups(ids)


def main():
    what, peer, path, out = sys.argv[1:]
    if what == "sign":
        _, texts = read(path)
        sign = globals()[f"sign_{peer}"]
        sign(texts[:20])  # imports and warm-up
        started = time.perf_counter()
        used = time.process_time()
        sign(texts)
        found = {"wall": time.perf_counter() - started, "cpu": time.process_time() - used}
    else:
        started = time.perf_counter()
        groups = globals()[f"job_{peer}"](path)
        found = {"wall": time.perf_counter() - started, "groups": groups}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
