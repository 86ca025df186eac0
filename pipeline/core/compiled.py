"""Kernels compiled by numba, cached on disk for as long as all their sources stay the same.

Numba checks its cache against the kernel's own file alone, so cached machine code stays in use
when functions that the kernel calls from other files have changed. Here the key has a digest of
every source file that the kernel's module takes functions from, of the values of its constants,
and of the compiler's versions. The cache is in the user's cache folder and not beside the source,
which may not be writable; if no folder is writable by the user alone, each process compiles again.
"""

import hashlib
import os
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, ClassVar

import llvmlite
import numba
import numpy as np

Function = Callable[..., Any]

caching: Any = import_module("numba.core.caching")  # typed in some versions of numba only

ROOT = "webtext."
CONSTANTS = (bool, int, float, str, bytes, tuple, np.generic)
VERSIONS = (
    *(sys.version, unicodedata.unidata_version),
    *(numba.__version__, llvmlite.__version__, np.__version__),
)


def njit(function: Function | None = None, **options: Any) -> Any:
    """Compile a function as `numba.njit` does with these options, and cache the machine code."""
    if function is None:
        return lambda given: njit(given, **options)
    kernel: Any = numba.njit(**options)(function)
    if isinstance(kernel, FunctionType):  # compiling is switched off
        return kernel
    if place() is not None:
        kernel._cache = Kept(function)  # noqa: SLF001 -- what numba does for cache=True
    return kernel


# --- the sources of a kernel --------------------------------------------------------------------


@cache
def stamp(module: str) -> str:
    """Return a digest of everything that decides the machine code of a module's kernels.

    It is computed when the first kernel is made: the module has then run all its imports, and all
    its own definitions are in its source.
    """
    found = hashlib.sha256(repr(VERSIONS).encode())
    for name in sorted(modules(module)):
        found.update(f"{name} {_digest(name)}\n".encode())
        for constant, value in constants(name):
            found.update(f"{constant} {value}\n".encode())
    return found.hexdigest()


def modules(name: str) -> set[str]:
    """Return a module and those of our modules that it takes functions from, also indirectly."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in found and module in sys.modules:
            found.add(module)
            waiting += _neighbours(module)
    return found


def _neighbours(name: str) -> set[str]:
    """Return those of our modules that the names defined in a module so far come from."""
    origins = (_origin(value) for value in list(vars(sys.modules[name]).values()))
    return {origin for origin in origins if origin and origin.startswith(ROOT)}


def _origin(value: Any) -> str | None:
    if isinstance(value, ModuleType):
        return value.__name__
    made_of = getattr(value, "py_func", getattr(value, "_defn", value))  # a kernel, an intrinsic
    found = getattr(made_of, "__module__", None)
    return found if isinstance(found, str) else None


@cache
def _digest(name: str) -> str:
    path = sys.modules[name].__file__
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""


def constants(module: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values of the constants that are defined in a module so far.

    These include constants imported from modules without kernels, and so those from data files.
    """
    for name, value in sorted(vars(sys.modules[module]).items()):
        if name.startswith("__"):
            continue
        if isinstance(value, np.ndarray):
            content = hashlib.sha256(value.tobytes()).hexdigest()
            yield name, f"{value.dtype} {value.shape} {content}"
        elif isinstance(value, CONSTANTS):
            yield name, repr(value)


# --- the cache folder ----------------------------------------------------------------------------


@cache
def place() -> Path | None:
    """Return the folder that machine code is cached in, None if no folder is suitable.

    Its files are executed, so it must be owned by the user and writable by nobody else.
    """
    for folder in _places():
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.stat()
            shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if found.st_uid == os.getuid() and not shared and os.access(folder, os.W_OK | os.X_OK):
                return folder
    return None


def _places() -> Iterator[Path]:
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(given)
    if given := os.environ.get("XDG_CACHE_HOME"):
        yield Path(given) / "webtext" / "kernels"
    with suppress(RuntimeError):  # this user id has no home
        yield Path.home() / ".cache" / "webtext" / "kernels"
    yield Path(tempfile.gettempdir()) / f"webtext-kernels-{os.getuid()}"


class Locator(caching._CacheLocator):  # type: ignore[misc]  # noqa: SLF001 -- numba has no other way
    """Where the machine code of one kernel is, and the digest of its sources."""

    def __init__(self, function: Function) -> None:
        self._function = function

    @classmethod
    def from_function(cls, function: Function, _path: str) -> "Locator | None":
        found = cls(function)
        try:
            found.ensure_cache_path()
        except OSError:
            return None
        return found

    def get_cache_path(self) -> str:
        folder = place()
        assert folder is not None, "asked for only where there is a place"
        module = self._function.__module__  # its folder is the same wherever it is installed
        return str(folder / f"{module.rpartition('.')[2]}-{stamp(module)[:16]}")

    def get_source_stamp(self) -> str:
        return stamp(self._function.__module__)

    def get_disambiguator(self) -> str:
        return str(self._function.__code__.co_firstlineno)


class _Impl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes: ClassVar[list[type]] = [Locator]


class Kept(caching.FunctionCache):  # type: ignore[misc]
    """The machine code of one kernel, on disk."""

    _impl_class = _Impl
