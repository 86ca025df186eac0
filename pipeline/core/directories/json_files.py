"""Files of JSON that we wrote ourselves, and that a disk or an editor may have damaged since."""

import json
from pathlib import Path
from typing import Any

from webtext.pipeline.core.errors import UserError


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """Return the object that a file holds; `remedy` says how the file is made again.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged, not JSON ({error}); {remedy}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: damaged, holds no object of JSON; {remedy}")
    return found


def names_in(path: Path, remedy: str) -> dict[str, str]:
    """Return an object whose values are names, as `latest.json` holds.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it cannot be read, or holds something else.
    """
    found = read_object(path, remedy)
    if not all(isinstance(name, str) and "\0" not in name for name in found.values()):
        raise UserError(f"{path}: damaged, holds other things than names; {remedy}")
    return found
