"""Deduplication against other libraries, in one run: signing, the whole job, accuracy.

    python -m tests.bench.dedup [--documents 20000] [--data DIR] [--parts sign job labelled]
        [--only webtext rensa] [--dir DIR]

Texts are the labelled ones of the shared data where they are, else generated. For the whole job
they are repeated in many worlds (in each, other words are renamed, so worlds do not resemble each
other), and a third of each world is a copy edited to a known similarity. Every contender gets the
same file; wall time on all cores, processor seconds, peak memory (all processes) and the share of
planted pairs found are printed. `--dir` keeps the file from run to run, so that a long comparison
can be made in pieces.
"""

import argparse
import itertools
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import zstandard

from tests.bench import peers
from tests.bench.memory import Memory

ROOT = peers.ROOT
BY_TEXT = "by text"  # ours, where the texts themselves verify a pair
PARTS = ("sign", "job", "labelled")
PEERS = ("datasketch", "rensa", "text_dedup", "datatrove")
WORD = re.compile(r"\w+")
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.01)


def jaccard(one: str, other: str) -> float:
    """Return the true similarity: word 5-grams, as the labelled pairs were made."""
    first, second = (
        {tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4))}
        for words in (WORD.findall(text.lower()) for text in (one, other))
    )
    return len(first & second) / max(1, len(first | second))


def edited(text: str, rate: float, rng: random.Random) -> str:
    """Return a copy with typos, words left out, a new beginning, or paragraphs in other order."""
    words = text.split(" ")
    kind = rng.randrange(4)
    if kind == 0:  # typos
        for at in range(len(words)):
            if rng.random() < rate / 4:
                words[at] += rng.choice("aeiou")
    elif kind == 1:  # cut off
        words = words[: max(5, int(len(words) * (1 - rate)))]
    elif kind == 2:  # boilerplate put in front
        front = [f"menu{rng.randrange(5000)}" for _ in range(int(len(words) * rate))]
        words = front + words
    else:  # parts in another order
        cut = rng.randrange(1, max(2, len(words)))
        words = words[cut:] + words[:cut]
        words = [word for word in words if rng.random() > rate / 8]
    return " ".join(words)


def material(texts: list[str], count: int, path: Path) -> list[tuple[str, str, float]]:
    """Write `count` documents; return the planted pairs with their true similarity."""
    rng = random.Random(1)
    pairs = []
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            world, which = divmod(number, len(texts) * 3 // 2)
            copy = which >= len(texts)
            text = texts[which % len(texts)]
            text = WORD.sub(lambda match, world=world: renamed(match[0], world), text)
            if copy:
                whole = text
                text = edited(text, rng.random() ** 2 * 0.6, rng)
                first = number - len(texts)
                pairs.append((str(first), str(number), jaccard(whole, text)))
            file.write(json.dumps({"id": str(number), "text": text}, ensure_ascii=False) + "\n")
    return pairs


def renamed(word: str, world: int) -> str:
    """Give two words in five another name in each world."""
    return f"{word}x{world}" if world and zlib.crc32(f"{word} {world}".encode()) % 5 < 2 else word


def texts_of(data: Path) -> list[str]:
    path = data / "dedup" / "miniweb_texts.jsonl.zst"
    if path.exists():
        with zstandard.open(path, "rt", encoding="utf-8") as file:
            return [text for line in file if len(text := json.loads(line)["text"]) > 400]
    rng = random.Random(2)
    return [" ".join(f"w{rng.randrange(20000)}" for _ in range(600)) for _ in range(1000)]


def run(command: list[str]) -> tuple[float, float, float]:
    """Run a contender; return its seconds, its processor seconds and its peak bytes."""
    started, used = time.perf_counter(), processor_seconds()
    one_thread = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "0"}
    with (
        subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **one_thread},
            cwd=ROOT,
        ) as process,
        Memory(process.pid) as memory,
    ):
        _, errors = process.communicate()
    if process.returncode:
        print(errors.decode(errors="replace")[-800:], file=sys.stderr)
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}")
    return time.perf_counter() - started, processor_seconds() - used, memory.peak


def processor_seconds() -> float:
    """Return what all processes that have ended used."""
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def found(groups: list[list[str]], pairs: list[tuple[str, str, float]]) -> str:
    """Say which share of the planted pairs is in one group, by similarity."""
    where = {name: number for number, group in enumerate(groups) for name in group}
    parts = []
    for low, high in itertools.pairwise(LEVELS):
        these = [pair for pair in pairs if low <= pair[2] < high]
        hits = sum(where.get(one, -1) == where.get(other, -2) for one, other, _ in these)
        parts.append(f">={low}: {hits / max(1, len(these)):.3f}")
    return "  ".join(parts)


def ours_sign(path: Path, out: Path) -> None:
    """Sign as the peers' `sign` does: texts in memory, one core."""
    import pyarrow as pa

    from webtext.pipeline.dedup.signatures.sign import Sign, sign_batches

    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    batches = pa.Table.from_pylist(rows).to_batches(256)
    sign_batches(Sign(), batches[:1], out.with_suffix(".warm"))
    started, used = time.perf_counter(), time.process_time()
    sign_batches(Sign(), batches, out.with_suffix(".parquet"))
    took = {"wall": time.perf_counter() - started, "cpu": time.process_time() - used}
    out.write_text(json.dumps(took))


def ours_job(path: Path, out: Path, verify: str) -> None:
    from webtext.pipeline.dedup.clusters.cluster import Cluster
    from webtext.pipeline.dedup.files.file import dedup_files
    from webtext.pipeline.dedup.signatures.sign import Sign

    dedup_files([path], out.with_suffix(".parquet"), Sign(), Cluster(verify=verify))
    groups: dict[str, list[str]] = {}
    for row in pq.read_table(out.with_suffix(".parquet"), columns=["id", "cluster"]).to_pylist():
        groups.setdefault(str(row["cluster"]), []).append(str(row["id"]))
    found_ = [group for group in groups.values() if len(group) > 1]
    out.write_text(json.dumps({"groups": found_}))


def contenders(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the command that each contender is, but for what it is to do; ours first."""
    script = str(Path(__file__).with_name("dedup_peers.py"))
    ours = [sys.executable, "-m", "tests.bench.dedup", "--ours"]
    theirs = {peer: [str(peers.python(peer)), script] for peer in PEERS if peer in names}
    return {"webtext": ours} | theirs


def signing(options: argparse.Namespace, commands: dict[str, list[str]], scratch: Path) -> None:
    """Print how fast each makes signatures."""
    sample, out = scratch / "sample.jsonl", scratch / "out.json"
    material(texts_of(options.data), min(6000, options.documents), sample)
    size = sum(len(json.loads(line)["text"].encode()) for line in sample.open()) / 1e6
    print(f"signing {size:.1f} MB of text on one core (CPU seconds)")
    speed = {}
    for name, command in commands.items():
        run([*command, "sign", name, str(sample), str(out)])
        speed[name] = size / json.loads(out.read_text())["cpu"]
        times = speed["webtext"] / speed[name]
        print(f"  {name:11} {speed[name]:7.2f} MB/s  {times:6.1f}x as long", flush=True)


def whole_job(options: argparse.Namespace, commands: dict[str, list[str]], scratch: Path) -> None:
    """Print what each takes from a file to clusters."""
    whole, out = scratch / f"whole-{options.documents}.jsonl", scratch / "out.json"
    planted = whole.with_suffix(".pairs.json")
    if not planted.exists():
        planted.write_text(json.dumps(material(texts_of(options.data), options.documents, whole)))
    pairs = json.loads(planted.read_text())
    print(f"whole job, {options.documents} documents, {whole.stat().st_size / 1e6:.0f} MB")
    for name, command in commands.items():
        elapsed, used, peak = run([*command, "job", name, str(whole), str(out)])
        groups = json.loads(out.read_text())["groups"]
        print(
            f"  {name:11} {elapsed:7.1f} s ({used:.1f} s of processors)  {peak / 1e9:5.2f} GB  "
            f"{found(groups, pairs)}",
            flush=True,
        )


def labelled(data: Path, commands: dict[str, list[str]], scratch: Path) -> None:
    """Print precision and recall on the labelled pairs."""
    pairs_path = data / "dedup" / "miniweb_pairs.tsv.zst"
    if not pairs_path.exists():
        return
    with zstandard.open(pairs_path, "rt", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file][1:]
    similar = {tuple(sorted((one, other))): float(value) for value, one, other in lines}
    path, out = scratch / "labelled.jsonl", scratch / "out.json"
    with zstandard.open(data / "dedup" / "miniweb_texts.jsonl.zst", "rb") as file:
        path.write_bytes(file.read())
    for least in (0.7, 0.8):
        print(f"labelled web pages, pairs of Jaccard {least} or more")
        true = {pair for pair, value in similar.items() if value >= least}
        for name, command in commands.items():
            run([*command, "job", name, str(path), str(out)])
            groups = json.loads(out.read_text())["groups"]
            guessed = {
                pair for group in groups for pair in itertools.combinations(sorted(group), 2)
            }
            precision = len(guessed & true) / max(1, len(guessed))
            recall = len(guessed & true) / len(true)
            f1 = 2 * precision * recall / max(1e-9, precision + recall)
            print(f"  {name:11} precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}")


def main() -> None:
    if sys.argv[1:2] == ["--ours"]:
        what, name, path, out = sys.argv[2:]
        if what == "sign":
            ours_sign(Path(path), Path(out))
        else:
            verify = "jaccard" if name == BY_TEXT else "signature"
            ours_job(Path(path), Path(out), verify)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--only", nargs="+", choices=("webtext", *PEERS))
    parser.add_argument("--dir", type=Path, help="where files are made, and kept")
    options = parser.parse_args()
    commands = contenders(options.only or ("webtext", *PEERS))
    with tempfile.TemporaryDirectory() as temporary:
        scratch = options.dir or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        if "sign" in options.parts:
            signing(options, commands, scratch)
        if "job" in options.parts:
            whole_job(options, commands, scratch)
        if "labelled" in options.parts:
            both = {"webtext": commands["webtext"], BY_TEXT: commands["webtext"]}
            labelled(options.data, both | commands, scratch)


if __name__ == "__main__":
    main()
