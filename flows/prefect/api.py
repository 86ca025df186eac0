"""A client of Prefect's REST API without Prefect, which takes 3 s of CPU to import."""

import base64
import hmac
import http.client
import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from webtext.flows.prefect.door import PROOF, proof

AUTH = "PREFECT_API_AUTH_STRING"


class ApiError(ConnectionError):
    """Prefect's server refused a request, or could not be reached."""

    def __init__(self, words: str, status: int | None = None) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Api:
    """The API of the server at `url`, which ends in /api."""

    url: str
    auth: str | None = field(default=None, repr=False)
    timeout: float = 30.0  # s; a restarting server answers after 10

    def ask(self, method: str, path: str, body: Any = None, timeout: float | None = None) -> Any:
        """Send a request; return the JSON of the answer, None if it has none.

        Raises:
            ApiError: no answer, one that reports an error, or one that is no Prefect server's.
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
            return json.loads(said) if said else None
        except urllib.error.HTTPError as error:
            with error:
                told = error.read(500).decode(errors="replace")
            raise ApiError(f"{method} {path}: HTTP {error.code} {told}", error.code) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ApiError(f"{without_password(self.url)}: {reason(error, self.url)}") from None

    def healthy(self, timeout: float = 2.0) -> bool:
        """Whether the server answers within `timeout` seconds."""
        try:
            self.ask("GET", "/health", timeout=timeout)
        except ApiError:
            return False
        return True


def without_password(url: str) -> str:
    """Return a URL without the user and the password that it may have.

    >>> without_password("http://me:secret@127.0.0.1/api")
    'http://127.0.0.1/api'
    """
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}"


def reason(error: Exception, url: str) -> str:
    """Return why a request failed; only the kind of error where its words could hold a password."""
    if "@" in url:
        return type(error).__name__
    return str(error.reason if isinstance(error, urllib.error.URLError) else error)


def proves(url: str, secret: str, timeout: float = 2.0) -> bool:
    """Whether the server at `url` knows the secret, which is not sent to it for this check."""
    challenge = secrets.token_urlsafe()
    ask = f"{url.removesuffix('/api')}{PROOF}?{challenge}"
    try:
        with urllib.request.urlopen(ask, timeout=timeout) as answer:  # noqa: S310 -- loopback
            return hmac.compare_digest(answer.read(100), proof(secret, challenge).encode())
    except (OSError, http.client.HTTPException):
        return False
