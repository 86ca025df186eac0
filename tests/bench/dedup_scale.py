"""How clustering grows: synthetic signatures with planted clusters, from half a million to eight.

    python -m tests.bench.dedup_scale [--millions 0.5 1 2 4 8] [--workers 2] [--dir DIR]

Each size needs 0.45 GB of disk a million documents. Prints seconds, peak memory (all processes) and
how many of the planted pairs were found, by their similarity; of three sizes or more also the
exponent of growth, 1 where it is linear.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.bench.memory import Memory
from webtext.pipeline.core.shards import Directory, write_parquet
from webtext.pipeline.dedup.clusters.cluster import Cluster, clusters, passage
from webtext.pipeline.dedup.signatures.sign import Sign
from webtext.pipeline.dedup.signatures.signature_files import Signatures, write_signatures

SHARD = 100_000
WARM = 0.01  # million documents that are not measured
COPIES = 0.15  # of the documents are copies, of originals that are themselves documents
LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)  # similarity of a copy to its original, in turn


def mix(values: np.ndarray) -> np.ndarray:
    """Return 32 random bits for each number."""
    x = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(29)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return (x >> np.uint64(32)).astype(np.uint32)


def shard(number: int, rows: int, total: int, originals: int) -> pa.RecordBatch:
    """Make the signatures of documents number * SHARD and on; those from `originals` are copies."""
    rng = np.random.default_rng(number)
    document = np.arange(number * SHARD, number * SHARD + rows)
    copied = document >= originals
    # One copy each of a third of the originals that have any, two of another, four of the rest.
    source = np.where(copied, (document - originals) * 3 // 7, document)
    level = np.where(copied, np.array(LEVELS)[document % len(LEVELS)], 1.0)
    minima = np.empty((112, rows), np.uint32)
    for k in range(112):
        other = rng.random(rows) >= level
        minima[k] = mix(source * 128 + k)
        minima[k][other] = rng.integers(0, 2**32, int(other.sum()), np.uint32)
    exact = np.arange(rows * 2, dtype=np.uint64).reshape(rows, 2)
    exact[:, 0] = mix(document * 2 + 2**40).astype(np.uint64) << np.uint64(32)
    exact[:, 0] |= document.astype(np.uint64)
    schema = Sign().schema
    columns = [
        pa.array([f"{value:016x}" for value in mix64(document)]),
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(exact)]),
        pa.array(np.full(rows, 800)),
        pa.array(np.full(rows, 5000)),
        pa.array(rng.integers(3, 500, rows).astype(np.int32)),
        pa.nulls(rows, schema.field("linked").type),
        pa.nulls(rows, schema.field("page").type),
        *map(pa.array, minima),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def mix64(values: np.ndarray) -> list[int]:
    return (values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).tolist()


def generate(path: Path, total: int) -> int:
    """Write the signatures; return how many documents are originals, the rest copies."""
    originals = int(total * (1 - COPIES))
    for number in range(-(-total // SHARD)):
        rows = min(SHARD, total - number * SHARD)
        batch = shard(number, rows, total, originals)
        write_signatures(Directory(path / "signatures").shard(number), [batch], batch.schema)
    return originals


def recall(out: Directory, total: int, originals: int) -> dict[float, str]:
    """Return which of the planted copies lie in their original's cluster, by similarity."""
    import pyarrow.parquet as pq

    table = pq.read_table(out.shard(0), columns=["id", "cluster"])
    inverse = pow(0x9E3779B97F4A7C15, -1, 2**64)
    document = [int(name, 16) * inverse % 2**64 for name in table["id"].to_pylist()]
    cluster_of = dict(zip(document, table["cluster"].to_pylist(), strict=True))
    found = dict.fromkeys(LEVELS, 0)
    planted = dict.fromkeys(LEVELS, 0)
    for copy in range(originals, total):
        level = LEVELS[copy % len(LEVELS)]
        planted[level] += 1
        mine = cluster_of.get(copy)
        found[level] += mine is not None and mine == cluster_of.get((copy - originals) * 3 // 7)
    return {level: f"{found[level]}/{planted[level]}" for level in LEVELS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, nargs="+", default=[0.5, 1, 2, 4, 8])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dir", type=Path, default=None)
    options = parser.parse_args()
    curve = []
    for millions in [WARM, *options.millions]:  # the first one compiles
        total = int(millions * 1e6)
        with tempfile.TemporaryDirectory(dir=options.dir) as scratch:
            path = Path(scratch)
            originals = generate(path, total)
            out = Directory(path / "out")
            out.path.mkdir()
            given = Signatures(tuple(Directory(path / "signatures").shards()))
            started, used = time.perf_counter(), processor_seconds()
            with Memory(os.getpid()) as memory:
                table, _ = clusters(Cluster(), given, out.path / "pairs", options.workers, show)
                write_parquet(out.shard(0), [table], table.schema)
            elapsed, used = time.perf_counter() - started, processor_seconds() - used
            if millions == WARM:
                continue
            curve.append((millions, used))
            dropped = passage("duplicates", total, table).dropped
            print(
                f"{millions:4g} M: {elapsed:6.1f} s ({used:.1f} s of processors), peak "
                f"{memory.peak / 1e9:.2f} GB, dropped {dropped}, "
                f"found {recall(out, total, originals)}",
                flush=True,
            )
    if len(curve) > 2:
        exponent = np.polyfit(*np.log(np.array(curve).T), 1)[0]
        print(f"processor seconds grow with the documents to the power of {exponent:.2f}")


def processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def show(done: int, total: int | None, note: str = "") -> None:
    print(f"  {time.strftime('%X')} {done}/{total} {note}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
