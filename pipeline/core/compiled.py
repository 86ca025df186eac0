"""Kernels compiled by numba, kept on disk for as long as all that they are made of stays the same.

Numba holds what it has kept against the kernel's own file alone, so machine code of a kernel whose
callees lie elsewhere outlives their changes. Here the key has a digest of every source file that
the kernel's module takes functions from, of the values of its constants, and of the versions of
what compiles them. It is kept under the user's cache and not beside the source, which may not be
writable; where no place is the user's alone to write to, each process compiles anew.
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

caching: Any = import_module("numba.core.caching")  # typed in some versions, and not in others

ROOT = "webtext."
CONSTANTS = (bool, int, float, str, bytes, tuple, np.generic)
VERSIONS = (
    *(sys.version, unicodedata.unidata_version),
    *(numba.__version__, llvmlite.__version__, np.__version__),
)


def njit(function: Function | None = None, **options: Any) -> Any:
    """Compile a function as `numba.njit` does with these options, and keep the machine code."""
    if function is None:
        return lambda given: njit(given, **options)
    kernel: Any = numba.njit(**options)(function)
    if isinstance(kernel, FunctionType):  # compiling is switched off
        return kernel
    if place() is not None:
        kernel._cache = Kept(function)  # noqa: SLF001 -- what numba does for cache=True
    return kernel


# --- what a kernel is made of -------------------------------------------------------------------


@cache
def stamp(module: str) -> str:
    """Return a digest of all that the machine code of a module's kernels follows from.

    Taken when the first of them is made, for by then the module has all that it imports, and what
    it makes of that itself is in its source.
    """
    found = hashlib.sha256(repr(VERSIONS).encode())
    for name in sorted(modules(module)):
        found.update(f"{name} {_digest(name)}\n".encode())
        for constant, value in constants(name):
            found.update(f"{constant} {value}\n".encode())
    return found.hexdigest()


def modules(name: str) -> set[str]:
    """Return the modules of ours that a module takes functions from, near or far, and itself."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in found and module in sys.modules:
            found.add(module)
            waiting += _neighbours(module)
    return found


def _neighbours(name: str) -> set[str]:
    """Return the modules of ours that those names lead to that a module has so far."""
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
    """Yield the names and values of the constants that a module has so far.

    Those that it has from modules without kernels are among them, and so those of its data files.
    """
    for name, value in sorted(vars(sys.modules[module]).items()):
        if name.startswith("__"):
            continue
        if isinstance(value, np.ndarray):
            content = hashlib.sha256(value.tobytes()).hexdigest()
            yield name, f"{value.dtype} {value.shape} {content}"
        elif isinstance(value, CONSTANTS):
            yield name, repr(value)


# --- where it is kept ----------------------------------------------------------------------------


@cache
def place() -> Path | None:
    """Return the folder that machine code is kept in, None where no place will do.

    What lies there is run, so it must be the user's own and nobody else's to write to.
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
    with suppress(RuntimeError):  # nobody by this number has a home
        yield Path.home() / ".cache" / "webtext" / "kernels"
    yield Path(tempfile.gettempdir()) / f"webtext-kernels-{os.getuid()}"


class Locator(caching._CacheLocator):  # type: ignore[misc]  # noqa: SLF001 -- numba has no other way
    """Where the machine code of one kernel lies, and what it must have been made of."""

    def __init__(self, function: Function, path: str) -> None:
        self._function = function
        self._path = path

    @classmethod
    def from_function(cls, function: Function, path: str) -> "Locator | None":
        found = cls(function, path)
        try:
            found.ensure_cache_path()
        except OSError:
            return None
        return found

    def get_cache_path(self) -> str:
        folder = place()
        assert folder is not None, "asked for only where there is a place"
        return str(folder / self.get_suitable_cache_subpath(self._path))

    def get_source_stamp(self) -> str:
        return stamp(self._function.__module__)

    def get_disambiguator(self) -> str:
        return str(self._function.__code__.co_firstlineno)


class _Impl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes: ClassVar[list[type]] = [Locator]


class Kept(caching.FunctionCache):  # type: ignore[misc]
    """The machine code of one kernel, on disk."""

    _impl_class = _Impl
