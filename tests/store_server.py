"""An object store on loopback: moto's S3, behind a proxy that fails as it is told."""

import http.client
import logging
import random
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

SECRET = "theverysecretkeyofthesetests"  # base64 too, as Azure's keys are
BUCKETS = "tests"
LISTS = re.compile(r"list-type|comp=list")  # in the path of a request for keys


class Faults:
    """What the proxy does to requests; a seed makes it the same each time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self.share, self.random = 0.0, random.Random(0)
        self.denied = False
        self.cut_answers = 0  # so many GET bodies break off in the middle
        self.cut_uploads = 0  # of so many PUTs half the body reaches the store, under its key
        self.cut_share = 0.0  # likewise, of so large a share of PUTs at random
        self.hold_puts_after = None  # so many PUTs of data go through; the others wait for ever
        self.hold_of = ""  # part of the keys that are meant
        self.count: Counter[str] = Counter()
        self.puts: list[str] = []  # keys in the order in which they were stored
        self.held = threading.Event()

    def verdict(self, method: str, path: str) -> str:
        with self.lock:
            self.count[method] += 1
            if self.denied:
                return "denied"
            if self.random.random() < self.share:
                self.count["failed"] += 1
                return self.random.choice(["500", "503", "drop"])
            if method == "GET" and self.cut_answers and not LISTS.search(path):
                self.cut_answers -= 1
                return "cut answer"
            small = "/." in path and "/.parts/" not in path
            data = method == "PUT" and not small and "latest" not in path
            if data and self.cut_uploads:
                self.cut_uploads -= 1
                return "cut upload"
            if data and self.cut_share and self.random.random() < self.cut_share:
                self.count["cut uploads"] += 1
                return "cut upload"
            if data and self.hold_of in path and self.hold_puts_after is not None:
                if self.hold_puts_after == 0:
                    self.held.set()
                    return "hold"
                self.hold_puts_after -= 1
            return "pass"


class Proxy(BaseHTTPRequestHandler):
    """Between a client and moto."""

    protocol_version = "HTTP/1.1"
    faults: Faults
    upstream: tuple[str, int]
    one_at_a_time = threading.Lock()  # moto looks at a condition and writes in two steps

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, headers=(), sent: int | None = None) -> None:
        self.send_response(status)
        given = {name.lower(): value for name, value in headers}
        length = given.pop("content-length", None)
        for name in given.keys() - {"transfer-encoding", "connection"}:
            self.send_header(name, given[name])
        head = self.command == "HEAD"
        self.send_header("Content-Length", str(length if head and length else len(body)))
        self.end_headers()
        if not head:
            self.wfile.write(body[:sent])

    def one(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        verdict = self.faults.verdict(self.command, unquote(self.path))
        if verdict == "denied":
            said = f"<Error><Code>InvalidAccessKeyId</Code><Key>{SECRET}</Key></Error>"
            self.answer(403, said.encode())
        elif verdict in {"500", "503"}:
            self.answer(int(verdict), b"<Error><Code>SlowDown</Code></Error>")
        elif verdict == "hold":
            time.sleep(600)
        else:
            self.passed(body[: size // 2] if verdict == "cut upload" else body, verdict)

    def asked(self, body: bytes, headers: dict[str, str]) -> tuple[int, list, bytes]:
        """Ask the store itself; return its status, headers and body."""
        connection = http.client.HTTPConnection(*self.upstream, timeout=60)
        connection.request(self.command, self.path, body, headers)
        found = connection.getresponse()
        content = found.read()
        connection.close()
        return found.status, found.getheaders(), content

    def passed(self, body: bytes, verdict: str) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() != "content-length"}
        with self.one_at_a_time:
            status, given, content = self.asked(body, headers)
        if self.command == "PUT" and status in {200, 201}:
            with self.faults.lock:
                self.faults.puts.append(unquote(self.path.partition("?")[0]))
        if verdict == "drop":  # it was done, and nobody is told
            self.close_connection = True
            return
        cut = len(content) // 2 if verdict == "cut answer" else None
        self.answer(status, content, given, cut)
        self.close_connection = self.close_connection or cut is not None

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = one  # noqa: N815


class Server(ThreadingHTTPServer):
    """Says nothing of clients that were killed."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


class Served:
    """The store's address, and what it is told to do wrong."""

    scheme = "s3"
    proxy = Proxy

    def __init__(self, upstream: int) -> None:
        self.upstream, self.faults, self.number = upstream, Faults(), 0
        about = {"faults": self.faults, "upstream": ("127.0.0.1", upstream)}
        self.server = Server(("127.0.0.1", 0), type("Handler", (self.proxy,), about))
        self.port = self.server.server_port

    def bucket(self) -> str:
        """Make an empty bucket; return its name."""
        self.number += 1
        name = f"{BUCKETS}-{self.scheme}-{self.number}"  # moto has one set for all its servers
        self.make(name)
        return name

    def place(self) -> str:
        """Make an empty bucket; return its address."""
        return f"{self.scheme}://{self.bucket()}"

    def make(self, name: str, path: str = "/{}", headers: dict[str, str] | None = None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream)
        connection.request("PUT", path.format(name), headers=headers or {})
        assert connection.getresponse().status in {200, 201}
        connection.close()

    @contextmanager
    def running(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which obstore finds it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "AKIDOFTHETESTS",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def served(kind: type[Served] = Served):
    """Serve an S3 on loopback, in memory, or what is made of one."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        with kind(moto.get_host_and_port()[1]).running() as found:
            yield found
    finally:
        moto.stop()
