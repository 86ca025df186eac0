"""kill -9 at any moment of signing and clustering changes nothing; a damaged file is named."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.dedup.material import documents, edited, prose, rows, signed
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.dedup.clusters.cluster import Cluster, cluster
from webtext.pipeline.dedup.signatures.sign import Sign
from webtext.pipeline.dedup.signatures.signature_files import Signatures

ROOT = Path(__file__).resolve().parents[3]

# One process compiles and then forks a child for each try, so that a try takes as long as the work.
TRIES = """
import os, random, signal, sys, time
from pathlib import Path
import pyarrow as pa
from webtext.pipeline.dedup.clusters.cluster import Cluster, cluster
from webtext.pipeline.dedup.signatures.sign import Sign, sign
from webtext.pipeline.core.shards import Directory

found, place, seeds = Directory(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])

def work(path, settings):
    homes = [Directory(path / name) for name in ("signatures", "duplicates")]
    for home in homes:
        home.path.mkdir(parents=True, exist_ok=True)
        home.sweep()
    sign(Sign(), found, homes[0], 0)
    cluster(settings, homes[0], found, homes[1], 0)

def child(path, settings):
    number = os.fork()
    if number == 0:
        try:
            work(path, settings)
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    return number

pa.set_cpu_count(1)
os.fsync = lambda descriptor: None  # a kill, unlike a power cut, loses nothing that was written
for name in ("signature", "jaccard"):
    settings = Cluster(verify=name)
    started = time.monotonic()
    assert os.waitpid(child(place / f"whole-{name}", settings), 0)[1] == 0
    took = time.monotonic() - started
    for seed in range(seeds if name == "signature" else 1):
        rng, kills = random.Random(f"{name} {seed}"), 0
        while True:
            number = child(place / f"{name}-{seed}", settings)
            time.sleep(rng.uniform(0, took / 2))
            os.kill(number, signal.SIGKILL)
            if os.waitpid(number, 0)[1] == 0:
                break
            kills += 1
            if kills == 4:  # enough of them: now to the end
                assert os.waitpid(child(place / f"{name}-{seed}", settings), 0)[1] == 0
                break
        print(name, seed, kills, flush=True)
"""


def crowd():
    texts = [prose(n, 120) for n in range(160)]
    texts += [edited(texts[n], 1 + n % 3, n) for n in range(60)]
    texts += [edited(prose(999, 200), 4, n) for n in range(30)]
    return rows(texts)


def contents(path):
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_kills_at_random_moments_change_no_byte(tmp_path):
    found = documents(tmp_path / "documents", crowd(), shards=6)
    done = subprocess.run(
        [sys.executable, "-c", TRIES, found.path, tmp_path / "tries", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills = {tuple(line.split()[:2]): int(line.split()[2]) for line in done.stdout.splitlines()}
    assert len(kills) == 4
    assert sum(kills.values()) > 4
    for name, seed in kills:
        whole = contents(tmp_path / "tries" / f"whole-{name}")
        assert set(whole) >= {"duplicates/00000.parquet", "signatures/00005.parquet"}
        assert contents(tmp_path / "tries" / f"{name}-{seed}") == whole


def test_a_flipped_bit_is_a_named_error_or_no_harm(tmp_path):
    """Whatever bit it is: pages have checksums, and what a footer says is compared."""
    found = documents(tmp_path / "documents", crowd()[:80], shards=2)
    made = signed(tmp_path / "signatures", found)
    good = made.shard(1).read_bytes()

    def table():
        out = Directory(tmp_path / "out")
        out.path.mkdir(exist_ok=True)
        for path in out.path.rglob("*"):
            if path.is_file():
                path.unlink()
        cluster(Cluster(), made, found, out, 0)
        return out.shard(0).read_bytes()

    wanted, named = table(), 0
    rng = random.Random(5)
    places = [rng.randrange(len(good)) for _ in range(40)]
    places += [len(good) - 1 - n for n in range(0, 400, 20)]  # the footer, and its length
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << rng.randrange(8)
        made.shard(1).write_bytes(bad)
        try:
            assert table() == wanted
        except UserError as error:
            assert str(made.shard(1)) in str(error)  # noqa: PT017 -- either is right
            named += 1
    assert named > 30  # of 60; the others did no harm


CUTS = (0, 3, 100, 0.5, -1)


@pytest.mark.parametrize("cut", CUTS)
def test_a_file_that_was_cut_short_is_named_and_says_what_to_do(tmp_path, cut):
    found = documents(tmp_path / "documents", crowd()[:20])
    made = signed(tmp_path / "signatures", found)
    data = made.shard(0).read_bytes()
    made.shard(0).write_bytes(data[: int(len(data) * cut) if isinstance(cut, float) else cut])
    with pytest.raises(UserError, match=r"signatures/00000\.parquet: damaged .*; move it .* again"):
        cluster(Cluster(), made, found, Directory(tmp_path / "out"), 0)


KINDS = {
    "seed": (Sign(seed=2), "seed is 2 and not 1"),
    "permutations": (Sign(permutations=128), "permutations is 128 and not 112"),
    "shingles": (Sign(ngram=4), "ngram is 4 and not 5"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_signed_in_another_way_is_named_and_says_what_differs(tmp_path, kind):
    found = documents(tmp_path / "documents", crowd()[:20], shards=2)
    made = signed(tmp_path / "signatures", found)
    other = signed(tmp_path / "other", found, KINDS[kind][0])
    made.shard(1).write_bytes(other.shard(1).read_bytes())
    with pytest.raises(UserError, match=rf"00001\.parquet: .* {KINDS[kind][1]} .*; sign both"):
        cluster(Cluster(), made, found, Directory(tmp_path / "out"), 0)


def test_a_file_of_another_version_is_named_and_says_what_to_do(tmp_path, monkeypatch):
    found = documents(tmp_path / "documents", crowd()[:20])
    with monkeypatch.context() as patched:
        patched.setattr("webtext.pipeline.dedup.signatures.signature_files.VERSION", 1)
        made = signed(tmp_path / "signatures", found)
    wanted = r"00000\.parquet: signatures by .* version 1; .* sign those"
    with pytest.raises(UserError, match=wanted):
        Signatures(tuple(made.shards()))


def test_a_damaged_file_of_candidate_pairs_is_named(tmp_path):
    found = documents(tmp_path / "documents", crowd()[:20])
    made = signed(tmp_path / "signatures", found)
    pairs = tmp_path / "out" / "pairs" / "00003.npy"
    pairs.parent.mkdir(parents=True)
    pairs.write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match=r"pairs/00003\.npy: damaged .*; move .*/pairs else"):
        cluster(Cluster(), made, found, Directory(tmp_path / "out"), 0)
