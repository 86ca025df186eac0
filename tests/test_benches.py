"""Benchmarks, which no test runs, ask for names that exist."""

import ast
import importlib
from types import ModuleType

import pytest

from tests.picture import ROOT

FILES = sorted(
    path for folder in ("bench", "gpu", "chaos") for path in (ROOT / "tests").glob(f"{folder}/*.py")
)


def named(module: str, name: str) -> object:
    """Return what `from module import name` gives."""
    found = importlib.import_module(module)
    if hasattr(found, name):
        return getattr(found, name)
    return importlib.import_module(f"{module}.{name}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_all_names_that_it_takes_from_our_modules_are_there(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.module.partition(".")[0] in {"webtext", "tests"}:
            for alias in node.names:
                found = named(node.module, alias.name)
                if isinstance(found, ModuleType):
                    modules[alias.asname or alias.name] = found
    asked = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for node in asked:
        if isinstance(node.value, ast.Name) and node.value.id in modules:
            assert hasattr(modules[node.value.id], node.attr), f"line {node.lineno}: {node.attr}"
