"""The texts of the demo's pages: documentation of the installed distributions."""

import ast
import inspect
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from itertools import islice
from pathlib import Path

MIN_WORDS = (
    80  # a shorter docstring makes no page; of these about one in eleven passes Gopher's rules
)
MOST_IN_PYTHON = 400
MOST_PER_HOST = 60  # docstrings read from one distribution, so that torch does not take a minute


@dataclass(frozen=True)
class Text:
    """The text of one page, with its path and title."""

    path: str  # of the page, such as /numpy.linalg.norm.html
    title: str
    body: str


def sources(only: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[Text]]]:
    """Yield each distribution's name with its texts (or of `only` some), after Python's own."""
    yield "python", list(islice(_docstrings(_standard_library()), MOST_IN_PYTHON))
    named = {_name(dist): dist for dist in distributions() if dist.metadata["Name"]}
    for name, dist in sorted(named.items()):
        if name != "webtext" and (not only or name in only):
            yield name, [*_papers(dist), *islice(_docstrings(_modules(dist)), MOST_PER_HOST)]


def _name(dist: Distribution) -> str:
    """Return the name of a distribution as the first label of a host."""
    return re.sub(r"[^a-z0-9]+", "-", dist.metadata["Name"].lower()).strip("-")


def _papers(dist: Distribution) -> Iterator[Text]:
    """Yield a distribution's README and licences."""
    readme = str(dist.metadata.json.get("description", ""))
    if len(readme.split()) >= MIN_WORDS:
        yield Text("/readme.html", f"{dist.metadata['Name']}: read me", readme)
    for number, file in enumerate(sorted(dist.files or [], key=str)):
        if re.match(r"(LICEN[CS]E|COPYING|NOTICE)", file.name, re.IGNORECASE):
            path = Path(str(file.locate()))
            if path.is_file() and path.stat().st_size < 200_000:
                text = path.read_text(encoding="utf-8", errors="replace")
                yield Text(f"/licence-{number}.html", f"{file.name} of {_name(dist)}", text)


def _modules(dist: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield a distribution's modules: dotted name and source file."""
    for file in sorted(dist.files or [], key=str):
        if file.suffix == ".py" and "test" not in str(file) and ".." not in str(file):
            name = str(file.with_suffix("")).replace("/", ".").removesuffix(".__init__")
            yield name, Path(str(file.locate()))


def _standard_library() -> Iterator[tuple[str, Path]]:
    """Yield the standard library's modules."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.glob("*.py")) + sorted(root.glob("[a-z]*/*.py")):
        module = path.relative_to(root).with_suffix("")
        if module.parts[0] in sys.stdlib_module_names and "test" not in str(module):
            yield ".".join(module.parts).removesuffix(".__init__"), path


def _docstrings(modules: Iterator[tuple[str, Path]]) -> Iterator[Text]:
    """Yield the docstrings that are long enough, reading the sources without importing them."""
    for name, path in modules:
        for title, text in _in_file(name, path):
            yield Text(f"/{title}.html", title, text)


def _in_file(module: str, path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and docstring of a module and of its public classes and functions."""
    try:
        with warnings.catch_warnings(action="ignore"):  # other people's escapes in strings
            tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    seen = set()
    nodes: list[tuple[str, ast.AST]] = [(module, tree)]
    while nodes:
        name, node = nodes.pop()
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        text = ast.get_docstring(node)
        if text and name not in seen and len(text.split()) >= MIN_WORDS:
            seen.add(name)
            yield name, inspect.cleandoc(text)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nodes += [
                (f"{name}.{child.name}", child)
                for child in reversed(node.body)
                if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
                and not child.name.startswith("_")
            ]
