"""Checkpoints of sharded weights: each process writes its shards, and none ever holds all weights.

The folder has the format of torch.distributed.checkpoint: `__0_0.distcp` holds the shards of the
first process, `.metadata` says where each shard is. Any number of processes can read it, sharded or
not, even a single one: each reads the parts that it needs. The names in it are flat:
"weights/wte.weight", "moments/wte.weight/exp_avg". Unlike a .pt file it contains the vocabulary's
padding, because shards are written unchanged.
"""

import hashlib
import os
import pickle
import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata

from webtext.model.errors import UserError
from webtext.model.machine import parallel
from webtext.model.machine.parallel import Group

Moments = Iterable[tuple[str, nn.Parameter, dict[str, Tensor]]]

METADATA = ".metadata"
# All types in torch's metadata. It is a pickle, and a checkpoint may come from an unknown source.
INNOCENT = {
    *(("torch", name) for name in ("Size", "float32", "float16", "bfloat16", "float64", "int64")),
    ("torch.serialization", "_get_layout"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib._local", "PosixPath"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            "Metadata", "MetadataIndex", "TensorStorageMetadata", "TensorProperties",
            "ChunkStorageMetadata", "BytesStorageMetadata", "StorageMeta", "_MEM_FORMAT_ENCODING",
        )
    ),
}  # fmt: skip


def save(folder: Path, model: nn.Module, moments: Moments, us: Group) -> dict[str, str]:
    """Write weights and moments; return the sha256 of each file. All processes must call it.

    The folder appears only when it is complete; until then, a folder that it replaces stays.

    Raises:
        UserError: a shard could not be written.
    """
    partial = folder.with_name(folder.name + ".partial")
    if us.leads:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    us.wait()
    state: dict[str, Any] = {f"weights/{n}": p.detach() for n, p in model.named_parameters()}
    state |= {f"moments/{n}/{key}": v for n, _, live in moments for key, v in live.items()}
    try:
        state_dict_saver.save(
            state, storage_writer=FileSystemWriter(partial), no_dist=not _together()
        )
    except CheckpointException as error:
        reasons = {str(reason) for reason, _ in error.failures.values()}
        raise UserError(
            f"{partial}: could not be written ({'; '.join(sorted(reasons))}); make room, start "
            "again, and the run goes on from its last checkpoint"
        ) from None
    mine = [path for path in partial.iterdir() if path.name.startswith(f"__{us.rank}_")]
    digests = {path.name: _sha256(path) for path in mine}
    if us.leads:
        digests[METADATA] = _sha256(partial / METADATA)
    digests = {name: digest for part in _from_all(digests) for name, digest in part.items()}
    if us.leads:
        _sync(partial)
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
        _sync(folder.parent)
    return dict(sorted(digests.items()))


def damaged(folder: Path, digests: Mapping[str, str]) -> list[str]:
    """Return the files that are missing or damaged; the processes divide the check among them."""
    rank, size = (dist.get_rank(), dist.get_world_size()) if _together() else (0, 1)
    bad = []
    for name, wanted in list(digests.items())[rank::size]:
        path = folder / name
        if not path.exists() or _sha256(path) != wanted:
            bad.append(name)
    return sorted(name for part in _from_all(bad) for name in part)


@torch.no_grad()
def restore(folder: Path, model: nn.Module, moments: Moments) -> None:
    """Load the weights and the states of the optimisers. All processes must call it.

    Each process reads only its current shards; weights of equal shape are read in place.
    """
    reader = Reader(folder)
    there = {
        name: found
        for name, found in reader.read_metadata().state_dict_metadata.items()
        if isinstance(found, TensorStorageMetadata)
    }
    wanted: dict[str, Tensor] = {}
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        found = there[f"weights/{name}"]
        same = found.size == parameter.shape
        wanted[f"weights/{name}"] = parameter.detach() if same else _empty(found)
    places = {}
    for name, parameter, live in moments:
        prefix = f"moments/{name}/"
        for full in (full for full in there if full.startswith(prefix)):
            found = there[full]
            same = found.size == parameter.shape
            wanted[full] = torch.empty_like(parameter) if same else _empty(found)
            places[full] = live, full.removeprefix(prefix), parameter
    with warnings.catch_warnings():  # torch warns a single process that it is not distributed
        warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable")
        state_dict_loader.load(wanted, storage_reader=reader, no_dist=not _together())
    for name, parameter in parameters.items():
        found_now = wanted[f"weights/{name}"]
        if found_now.shape != parameter.shape:
            parameter.copy_(parallel.like(parallel.fitted(found_now, parameter.shape), parameter))
    for full, (live, key, parameter) in places.items():
        value = wanted[full]
        if value.shape != parameter.shape:
            value = parallel.like(parallel.fitted(value, parameter.shape), parameter)
        live[key] = value


class Reader(FileSystemReader):
    """Reads metadata safely: a pickle that contains anything else is refused."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:  # noqa: ARG002
        """Return the metadata, which says where each shard is.

        Raises:
            UserError: it would run code, or is damaged.
        """
        path = Path(self.path) / METADATA
        try:
            with path.open("rb") as file:
                found: Metadata = _Unpickler(file).load()
        except (OSError, EOFError, ValueError, AttributeError, pickle.UnpicklingError) as error:
            raise UserError(f"{path}: no metadata of a checkpoint ({error})") from None
        found.storage_meta = found.storage_meta or StorageMeta()
        found.storage_meta.load_id = self.load_id
        return found


class _Unpickler(pickle.Unpickler):
    """Creates only objects of the types in `INNOCENT`."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in INNOCENT:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _empty(found: TensorStorageMetadata) -> Tensor:
    return torch.empty(found.size, dtype=found.properties.dtype)


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()


def _from_all(value: Any) -> list[Any]:
    """Return the values of all processes, in every process (all-gather)."""
    if not _together():
        return [value]
    said: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(said, value)
    return said


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Flush the names in a folder to the disk, so that they survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
