"""Make the wheels of both distributions: python -m tests.wheels FOLDER.

`webtext` is what pyproject.toml says. `webtext-light` is made of the same files by the same tool,
with another name and with fewer dependencies, which are in extras: [tool.webtext.light].
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("webtext", "pipeline", "model", "flows")
EXTRAS = "[project.optional-dependencies]\n"


def light(text: str) -> str:
    """Return the pyproject.toml of webtext-light.

    Raises:
        KeyError: an extra names what is no dependency.
    """
    given = tomllib.loads(text)
    extras = given["tool"]["webtext"]["light"]
    lines = {Requirement(line).name: line for line in given["project"]["dependencies"]}
    moved = {name for names in extras.values() for name in names}
    asked = [line for name, line in lines.items() if name not in moved]
    more = {extra: [lines[name] for name in names] for extra, names in extras.items()}
    more["all"] = [f"webtext-light[{','.join(extras)}]"]
    said = "".join(f"{extra} = {json.dumps(found)}\n" for extra, found in more.items())
    text = text.replace('name = "webtext"\n', 'name = "webtext-light"\n', 1)
    text = re.sub(r"(?ms)^dependencies = \[.*?^\]", f"dependencies = {json.dumps(asked)}", text)
    return text.replace(EXTRAS, EXTRAS + said, 1)


def wheel(folder: Path, project: str, *options: str) -> Path:
    """Make a wheel of the package's files and this pyproject.toml; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as name:
        source = Path(name, "source")
        source.mkdir()
        for part in (*FOLDERS, "README.md", "LICENSE"):
            (source / part).symlink_to(ROOT / part)
        (source / "pyproject.toml").write_text(project, encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
        subprocess.run([*pip, "--no-deps", *options, "-w", "made", "."], cwd=source, check=True)
        [path] = source.glob("made/*.whl")
        return path.replace(folder / path.name)


if __name__ == "__main__":
    told = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for one in (told, light(told)):
        print(wheel(Path(sys.argv[1]), one))
