"""Prefect's REST interface, spoken without Prefect, which takes 3 s of CPU to import."""

import base64
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AUTH = "PREFECT_API_AUTH_STRING"
SECRET = "secret"  # noqa: S105 -- the file below PREFECT_HOME that holds the text for AUTH, if any


class ApiError(ConnectionError):
    """Prefect's server refused a request, or could not be asked."""

    def __init__(self, words: str, status: int | None = None) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Api:
    """The interface of the server at `url`, which ends in /api."""

    url: str
    auth: str | None = field(default=None, repr=False)
    timeout: float = 30.0  # s; a server that is being started again answers after 10

    def ask(self, method: str, path: str, body: Any = None, timeout: float | None = None) -> Any:
        """Send a request; return the JSON of the answer, None where there is none.

        Raises:
            ApiError: no answer, or one that says what is wrong.
        """
        data = None if body is None else json.dumps(body, default=str).encode()
        headers = {"Content-Type": "application/json"}
        if self.auth:
            headers["Authorization"] = "Basic " + base64.b64encode(self.auth.encode()).decode()
        request = urllib.request.Request(  # noqa: S310 -- http or https, checked by `home`
            self.url + path, data, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout or self.timeout) as answer:  # noqa: S310
                said = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                told = error.read(500).decode(errors="replace")
            raise ApiError(f"{method} {path}: HTTP {error.code} {told}", error.code) from None
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise ApiError(f"{self.url}: {reason}") from None
        return json.loads(said) if said else None

    def healthy(self, timeout: float = 2.0) -> bool:
        """Whether the server answers within `timeout` seconds."""
        try:
            self.ask("GET", "/health", timeout=timeout)
        except ApiError:
            return False
        return True


def auth_of(home: Path) -> str | None:
    """Return what the server that keeps its state in `home` wants to be told, if anything."""
    if told := os.environ.get(AUTH):
        return told
    try:
        return (home / SECRET).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
