"""Which source files and which libraries a module uses, by its import statements.

Nothing is imported for this. Imports inside functions count as well.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = "webtext"
FOLDERS = Path(__file__).parents[3]  # the folder that holds `pipeline`


def file_of(module: str) -> Path | None:
    """Return the source file of a module of the package, None if no module has this name."""
    base = FOLDERS.joinpath(*module.split(".")[1:])
    return next(
        (path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None
    )


@cache
def imported(module: str) -> frozenset[str]:
    """Return the modules that a module of the package names in import statements."""
    path = file_of(module)
    tree = ast.parse(path.read_bytes()) if path else ast.Module([], [])
    return frozenset(name for node in ast.walk(tree) for name in _named(node))


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        if node.module.partition(".")[0] == ROOT:  # an imported name may be a module too
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def reached(module: str) -> tuple[str, ...]:
    """Return a module and all modules of the package that it imports, also indirectly, sorted.

    >>> "webtext.pipeline.core.stage" in reached("webtext.pipeline.core.step")
    True
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name.partition(".")[0] == ROOT and file_of(name):
            found.add(name)
            waiting += imported(name)
    return tuple(sorted(found))


def outside(module: str) -> frozenset[str]:
    """Return the top-level modules outside the package that it imports, also indirectly.

    >>> "pyarrow" in outside("webtext.pipeline.core.shards")
    True
    """
    names = {name.partition(".")[0] for one in reached(module) for name in imported(one)}
    return frozenset(names - {ROOT})


def forget() -> None:
    """Clear the caches, so that all files are read again."""
    for known in (imported, reached, digest_of):
        known.cache_clear()


@cache
def digest_of(module: str) -> str:
    """Return the sha256 of all source files that a module uses, in hexadecimal."""
    found = hashlib.sha256()
    for name in reached(module):
        path = file_of(name)
        assert path is not None, "only modules with a file are reached"
        found.update(f"{name} {path.stat().st_size}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()
