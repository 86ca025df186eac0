"""The picture of the rooms in ARCHITECTURE.md, made from the imports of the code.

    python -m tests.picture         (or `make picture`)

An arrow goes from a room to a room that it imports. One that a way over other rooms implies is
left out, so that the picture stays readable: flows -> insight -> core leaves out flows -> core.
"""

import ast
import re
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "ARCHITECTURE.md"
FOLDERS = ("flows", "pipeline", "model")
MARKS = re.compile(r"(<!-- made by `make picture` -->\n).*?(<!-- end -->)", re.DOTALL)

Graph = dict[str, set[str]]


def room(dotted: list[str]) -> str | None:
    """Return the room of a module without the package's name: `pipeline.core.pool` is in
    `pipeline.core`; what lies beside the rooms (`model.settings`) is a room of its own.
    """
    if len(dotted) < 2 or dotted[0] not in FOLDERS:
        return None
    inside = ROOT / dotted[0] / dotted[1]
    alone = inside.with_suffix(".py").exists()
    return ".".join(dotted[:2]) if inside.is_dir() or alone else None


def imports() -> Graph:
    """Return which room imports which, from the import statements of all modules."""
    graph: Graph = {}
    for path in chain.from_iterable(sorted((ROOT / name).rglob("*.py")) for name in FOLDERS):
        here = room([*path.relative_to(ROOT).with_suffix("").parts])
        if here is None or path.stem == "__init__":
            continue
        found = graph.setdefault(here, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("webtext."):
                for alias in node.names:
                    named = [*(node.module or "").split(".")[1:], alias.name]
                    if (there := room(named)) and there != here:
                        found.add(there)
    return graph


def reach(graph: Graph, start: str) -> set[str]:
    """Return all rooms that a way leads to."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for end in graph.get(waiting.pop(), set()) - seen:
            seen.add(end)
            waiting.append(end)
    return seen


def without_implied(graph: Graph) -> Graph:
    """Leave out each arrow that a longer way implies. The graph must have no circle."""
    return {
        start: {end for end in ends if not any(end in reach(graph, by) for by in ends - {end})}
        for start, ends in graph.items()
    }


def picture() -> str:
    """Return the rooms and arrows as a Mermaid chart, which GitHub and GitLab draw."""
    graph = without_implied(imports())
    rooms = set(graph).union(*graph.values())
    lines = ["```mermaid", "flowchart TD"]
    for folder in FOLDERS:
        lines.append(f"  subgraph {folder}")
        own = sorted(name for name in rooms if name.split(".")[0] == folder)
        for name in own:
            last = name.split(".")[1]
            shown = last if (ROOT / folder / last).is_dir() else f"{last}.py"
            lines.append(f"    {name}[{shown}]")
        lines.append("  end")
    lines += [f"  {start} --> {end}" for start in sorted(graph) for end in sorted(graph[start])]
    return "\n".join([*lines, "```"]) + "\n"


def main() -> None:
    """Put the picture where ARCHITECTURE.md has its marks."""
    before = FILE.read_text(encoding="utf-8")
    FILE.write_text(MARKS.sub(lambda m: m[1] + picture() + m[2], before), encoding="utf-8")


if __name__ == "__main__":
    main()
