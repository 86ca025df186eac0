"""Which distribution has installed this package, and what to install for a library that is missing.

`webtext` asks for every library. `webtext-light` has the same files and asks for what texts need;
the other libraries are its extras (pyproject.toml, [tool.webtext.light]). Both say what they ask
for in their metadata, which is the only list that is read here.
"""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec

from webtext.pipeline.core.errors import UserError

NAMES = ("webtext", "webtext-light")  # if both are installed, the files are those of both
CALLED = {"sklearn": "scikit-learn", "fasttext": "fasttext-wheel"}  # modules of other names


def installed() -> Distribution:
    """Return the distribution that has installed this package.

    Raises:
        PackageNotFoundError: none has, as where the source is only on the path.
    """
    for name in NAMES[:-1]:
        try:
            return distribution(name)
        except PackageNotFoundError:
            continue
    return distribution(NAMES[-1])


def asked_for(module: str) -> tuple[str, str] | None:
    """Return what the installed distribution asks for by a module: the requirement, and its extra.

    The extra is "" for a requirement of all; None is returned for a module that it never asks for.
    """
    wanted = _plain(CALLED.get(module, module))
    for line in installed().requires or []:
        requirement, _, marker = line.partition(";")
        if _plain(re.split(r"[^\w.-]", requirement)[0]) == wanted:
            extra = re.search(r"""extra == ["'](.+?)["']""", marker)
            return requirement.strip(), extra[1] if extra else ""
    return None


def _plain(name: str) -> str:
    """Return a name as names of distributions are compared. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lacking(*modules: str) -> str:
    """Say that modules are needed and not installed, and the command that installs them.

    >>> lacking("obstore")
    "needs obstore, which is not installed: pip install 'webtext[s3]'"
    """
    verb = "is" if len(modules) == 1 else "are"
    return f"needs {', '.join(modules)}, which {verb} not installed: {_command(modules)}"


def need(who: str, *modules: str) -> None:
    """Check that modules are installed, where it would else be found out later.

    Raises:
        UserError: some are not; says how to install them.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        raise UserError(f"{who} {lacking(*missing)}")


def _command(modules: tuple[str, ...]) -> str:
    extras, others = [], []
    for module in modules:
        requirement, extra = asked_for(module) or (CALLED.get(module, module), "")
        if extra:
            extras.append(extra)
        else:
            others.append(requirement)
    ours = [f"{installed().name}[{','.join(dict.fromkeys(extras))}]"] if extras else []
    return "pip install " + " ".join(f"'{one}'" for one in [*ours, *others])
