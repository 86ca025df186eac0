"""Stores of Google's and Azure's kind on loopback, behind the proxy that fails as it is told.

Azure's is Azurite, Microsoft's own emulator. It is no Python package, so it must be at hand: in the
path, or where WEBTEXT_AZURITE says (`npm install azurite` makes `node_modules/.bin/azurite-blob`).

No emulator of Google's that can be installed speaks the part of its XML API that obstore writes by,
so moto's S3 stands in for it. Both APIs have the same requests and answers but for what `Google`
adds: generations. https://cloud.google.com/storage/docs/xml-api/reference-headers
"""

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from email.utils import formatdate
from urllib.parse import quote, unquote

import pytest

from tests.store_server import SECRET, Proxy, Served, served

AZURE = pytest.param("az", marks=pytest.mark.slow)  # node takes seconds to start
EACH = ("s3", "gs", AZURE)  # for the requests themselves
KINDS = ("s3", pytest.param("gs", marks=pytest.mark.slow), AZURE)  # for what is made of them
ACCOUNT = "webtexttests"
KNOWN = "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request"  # to moto
WANTED = "x-goog-if-generation-match"


class GoogleProxy(Proxy):
    """Adds to an S3 what Google's store has beyond it."""

    generations: dict[str, int]
    newest: list[int]

    def refused(self, status: int, code: str) -> tuple[int, list, bytes]:
        return status, [], f"<Error><Code>{code}</Code></Error>".encode()

    def asked(self, body: bytes, headers: dict[str, str]) -> tuple[int, list, bytes]:
        key, mark, query = self.path.partition("?")
        self.path = quote(unquote(key)) + mark + query  # as moto wants it
        headers = {name.lower(): value for name, value in headers.items()}
        headers["authorization"] = KNOWN
        wanted = headers.get(WANTED)
        there = self.generations.get(key, 0)
        if wanted is not None and int(wanted) != there:
            return self.refused(412, "PreconditionFailed")
        if self.command == "DELETE" and not query and not there:
            return self.refused(404, "NoSuchKey")
        status, given, content = super().asked(body, headers)
        whole = self.command == "PUT" and not query
        joined = self.command == "POST" and query.startswith("uploadId=")
        if status == 200 and (whole or joined):
            self.newest[0] += 1
            self.generations[key] = self.newest[0]
        elif status == 204 and not query:
            self.generations.pop(key, None)
        if there := self.generations.get(key):
            given = [*given, ("x-goog-generation", str(there))]
        return status, given, content


class Google(Served):
    """Where a store of Google's kind is."""

    scheme = "gs"

    def __init__(self, upstream: int) -> None:
        about = {"generations": {}, "newest": [1_700_000_000_000_000]}
        self.proxy = type("OneGoogle", (GoogleProxy,), about)
        super().__init__(upstream)

    @property
    def environment(self) -> dict[str, str]:
        # A key file as obstore takes it for servers that ask for no token.
        key = {"gcs_base_url": f"http://127.0.0.1:{self.port}", "disable_oauth": True}
        key |= {"client_email": "", "private_key": SECRET, "private_key_id": ""}
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key), "GOOGLE_ALLOW_HTTP": "true"}


def signed(method: str, path: str, headers: dict[str, str], length: int) -> dict[str, str]:
    """Return the headers of a request, with a signature of Azure's kind SharedKey.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """
    given = {name.lower(): value for name, value in headers.items()}
    given |= {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    given.pop("authorization", None)
    plain = ["content-encoding", "content-language", "", "content-md5", "content-type", "date"]
    plain += ["if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"]
    said = [str(length or "") if name == "" else given.get(name, "") for name in plain]
    place, _, query = path.partition("?")
    lines = [method, *said, *(f"{k}:{given[k]}" for k in sorted(given) if k.startswith("x-ms-"))]
    lines += [f"/{ACCOUNT}{place}", *sorted(p.replace("=", ":", 1) for p in query.split("&") if p)]
    key, text = base64.b64decode(SECRET), "\n".join(lines).encode()
    sign = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return given | {"authorization": f"SharedKey {ACCOUNT}:{sign}"}


class AzureProxy(Proxy):
    """Signs a body anew that it has cut short: Azure's signatures have the length."""

    def asked(self, body: bytes, headers: dict[str, str]) -> tuple[int, list, bytes]:
        if len(body) != int(self.headers.get("Content-Length") or 0):
            headers = signed(self.command, self.path, headers, len(body))
        return super().asked(body, headers)


class Azure(Served):
    """Where a store of Azure's kind is."""

    scheme, proxy = "az", AzureProxy

    def make(self, name: str, path: str = "", headers: dict[str, str] | None = None) -> None:
        path = path or f"/{ACCOUNT}/{name}?restype=container"
        super().make(name, path, headers or signed("PUT", path, {}, 0))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{self.port}/{ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": SECRET,
        }


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as one:
        return not one.connect_ex(("127.0.0.1", port))


@contextmanager
def azurite():
    """Serve an Azure on loopback, in memory; skip where Azurite is not at hand."""
    program = os.environ.get("WEBTEXT_AZURITE") or shutil.which("azurite-blob")
    if program is None:
        pytest.skip("needs Azurite: npm install azurite, and name it by WEBTEXT_AZURITE")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    words = ["--blobPort", str(port), "--inMemoryPersistence", "--silent", "--disableTelemetry"]
    process = subprocess.Popen(
        [program, *words],
        env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{SECRET}"},
        stdout=subprocess.DEVNULL,
    )
    try:
        while not answers(port):
            assert process.poll() is None, "Azurite has ended"
            time.sleep(0.1)
        with Azure(port).running() as found:
            yield found
    finally:
        process.terminate()
        process.wait()


def of_kind(kind: str):
    """Return what serves a store of a kind."""
    return {"s3": served, "gs": lambda: served(Google), "az": azurite}[kind]()
