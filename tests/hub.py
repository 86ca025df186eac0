"""A stand-in of the Hugging Face hub's API on loopback: repositories of files, by its own protocol.

As the hub does, it takes small texts in the commit and large files by Git LFS, asks who writes,
and keeps what was committed. Source: huggingface_hub 2.4, which speaks to it.
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

TOKEN = "hf_a_secret_of_somebody"
COMMIT = "0" * 40


class Hub:
    """What has been put there."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Any]] = {}  # by kind and name; what they were made with
        self.files: dict[str, dict[str, bytes]] = {}
        self.stored: dict[str, bytes] = {}  # LFS objects by sha256
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()
        self.broken = ""  # a path that answers 400
        self.address = ""

    def commit(self, files: dict[str, bytes], body: bytes) -> None:
        """Change the files of a repository as a commit says."""
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.stored[value["oid"]]
                assert hashlib.sha256(files[value["path"]]).hexdigest() == value["oid"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, said: Any, status: int = 200) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_PUT(self) -> None:
        self.hub.stored[self.path.rpartition("/")[2]] = self.body()
        self.answer({})

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid username or password."}, 401)
        found = re.match(r"/api/(\w+/[\w-]+/[\w-]+)/tree/main", self.path)
        if not found:
            return self.answer({"error": f"nobody knows {self.path}"}, 404)
        names = sorted(self.hub.files[found[1]])
        return self.answer(
            [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in names]
        )

    def do_POST(self) -> None:
        hub, path, body = self.hub, self.path, self.body()
        hub.asked.append(path)
        hub.tokens.add(self.headers.get("Authorization"))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid username or password."}, 401)
        if hub.broken and hub.broken in path:
            return self.answer({"error": "Internal Error - We're working on it"}, 400)
        if path == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith("---\n")
            return self.answer({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            told = json.loads(body)
            kind = told.get("type", "model")
            name = f"{kind}s/{told['organization']}/{told['name']}"
            url = f"{hub.address}/{name.removeprefix('models/')}"
            if name in hub.repos:
                return self.answer({"error": "You already created this", "url": url}, 409)
            private = told.get("private", told.get("visibility") == "private")
            hub.repos[name] = {**told, "private": private}
            hub.files[name] = {}
            return self.answer({"url": url})
        if found := re.fullmatch(r"/api/(\w+/[\w-]+/[\w-]+)/preupload/main", path):
            files = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs"
                    if one["path"].endswith((".parquet", ".safetensors"))
                    else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {"oid": one["oid"], "size": one["size"]}
                | (
                    {}
                    if one["oid"] in hub.stored
                    else {"actions": {"upload": {"href": f"{hub.address}/lfs/{one['oid']}"}}}
                )
                for one in json.loads(body)["objects"]
            ]
            return self.answer({"transfer": "basic", "objects": objects})
        if found := re.fullmatch(r"/api/(\w+/[\w-]+/[\w-]+)/commit/main", path):
            place = found[1].removeprefix("models/")
            hub.commit(hub.files[found[1]], body)
            return self.answer(
                {
                    "success": True,
                    "commitOid": COMMIT,
                    "commitUrl": f"{hub.address}/{place}/commit/{COMMIT}",
                }
            )
        return self.answer({"error": f"nobody knows {path}"}, 404)


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch):
    """Run a hub to which `huggingface_hub` speaks while the block runs."""
    import huggingface_hub.constants as constants

    hub = Hub()
    handler = type("Here", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub.address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # which other tests ask for
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # what it speaks is Git LFS
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        yield hub
        server.shutdown()
