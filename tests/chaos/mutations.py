"""Ways in which a file on a disk comes to be another one, and what must notice each.

A mutation changes one file of a data directory and says which paths name it when it is found out.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from webtext.pipeline.core.directories.checked import ABOUT


@dataclass(frozen=True)
class Mutation:
    """A change of one file, and how it is undone."""

    kind: str
    path: Path
    do: Callable[[], None]
    undo: Callable[[], None]
    seen: tuple[Path, ...]  # one of these is to be named

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


def files(data: Path) -> list[Path]:
    """Return every file that a step has made."""
    homes = (*data.glob("*-*"), *data.glob(f"{ABOUT}/*-*"))
    return sorted(path for home in homes for path in home.rglob("*") if path.is_file())


def kind_of(path: Path) -> str:
    """Return what kind of file it is: its step, folder and suffix.

    >>> kind_of(Path("data/corpus-1c0de5aa/dropped/00003.parquet"))
    'corpus/dropped/*.parquet'
    """
    folder = "" if "-" in path.parent.name else f"{path.parent.name}/"
    home = path.parent.parent if folder else path.parent
    stem = "*" if path.stem[:1].isdigit() else path.stem.partition("-")[0]
    return f"{home.name.rpartition('-')[0]}/{folder}{stem}{path.suffix}"


def of_each_kind(paths: list[Path]) -> list[Path]:
    """Return one file of each kind, the largest."""
    largest: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: path.stat().st_size):
        largest[kind_of(path)] = path
    return [largest[kind] for kind in sorted(largest)]


def mutations(path: Path, places: int, rng: random.Random) -> Iterator[Mutation]:
    """Yield changes of one file: flipped and cut at so many places, and gone, longer, swapped."""
    data = path.read_bytes()
    said = len(data.rstrip(b"\n")) or 1  # without its last line end, a text says the same
    for _ in range(places):
        at, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        spoilt = bytearray(data)
        spoilt[at] ^= bit
        yield _written(f"flipped at {at}", path, data, bytes(spoilt))
        end = rng.randrange(said)
        yield _written(f"cut at {end}", path, data, data[:end])
    yield _written("emptied", path, data, b"")
    yield _written("longer", path, data, data + b"\0")
    seen = (path, path.parent) if path.name == "manifest.json" else (path,)
    yield Mutation("missing", path, path.unlink, lambda: _write(path, data), seen)
    extra = path.with_name(f"9{path.name[1:]}")
    yield Mutation("extra", extra, lambda: _write(extra, data), extra.unlink, (extra,))
    alike = [other for other in path.parent.glob(f"*{path.suffix}") if other != path]
    others = [other for other in alike if other.read_bytes() != data]
    if others:
        other = rng.choice(others)

        def swap() -> None:
            shutil.move(path, path.with_name("swapping"))
            shutil.move(other, path)
            shutil.move(path.with_name("swapping"), other)

        yield Mutation(f"swapped with {other.name}", path, swap, swap, (path, other))


def _written(kind: str, path: Path, data: bytes, spoilt: bytes) -> Mutation:
    return Mutation(kind, path, lambda: _write(path, spoilt), lambda: _write(path, data), (path,))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
