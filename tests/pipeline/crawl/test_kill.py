"""A crawl is stopped, killed and left to die at every step, and goes on each time."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest

from pipeline.crawl import loop
from pipeline.crawl.engine import crawl
from pipeline.crawl.settings import Crawl
from pipeline.crawl.sink import Sink
from pipeline.shards import Directory, read_shard
from tests.pipeline.crawl.fakes import EAGER, MANY, FakeWeb, archived, links, unsteady

ROOT = Path(__file__).resolve().parents[3]
BUSY = replace(EAGER, hosts_in_flight=5)


def run(tmp_path, web, settings=BUSY):
    (tmp_path / "pages").mkdir(exist_ok=True)
    made = links(tmp_path / "links", *MANY)
    return crawl(settings, made, Directory(tmp_path / "pages"), fetcher=web)


def conserved(tmp_path, urls):
    """Check that each URL has one outcome, and each outcome its one record; return the rows."""
    pages = Directory(tmp_path / "pages")
    rows = [row for path in pages.shards("outcomes") for row in read_shard(path).to_pylist()]
    assert [row["url"] for row in rows] == [url for shard in urls for url in shard]
    said = [
        (row["warc_file"], row["warc_offset"], row["final_url"]) for row in rows if row["warc_file"]
    ]
    assert sorted(said) == sorted(entry[:3] for entry in archived(pages.path))
    assert all(row["warc_file"] for row in rows if row["dropped_by"] is None)
    return rows


class Death(BaseException):
    """What no handler catches, as a kill is not caught."""


@pytest.mark.parametrize(
    ("owner", "step", "times"),
    [
        (loop.Frontier, "fill_shard", 2),
        (loop.Frontier, "lease", 2),
        (Sink, "write", 30),
        (Sink, "sync", 2),
        (loop.Frontier, "commit", 2),
        (loop.Frontier, "outcomes", 2),
        (loop.Frontier, "archived", 1),
        (loop.Frontier, "remove", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_crawl_that_dies_at_any_step_goes_on(tmp_path, monkeypatch, owner, step, times):
    whole, left = getattr(owner, step), times

    def dying(*args, **more):
        nonlocal left
        left -= 1
        if left == 0:
            raise Death
        return whole(*args, **more)

    monkeypatch.setattr(loop, "GATHER", 0.01)
    web = FakeWeb(unsteady, latency=0.002)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, dying)
        with pytest.raises(Death):
            run(tmp_path, web)
    run(tmp_path, web)
    conserved(tmp_path, MANY)


def test_a_crawl_that_is_asked_to_stop_keeps_what_it_has(tmp_path):
    web = FakeWeb(latency=0.02)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, web, replace(EAGER, hosts_in_flight=4))
    timer.join()
    asked = len(web.asked)
    assert asked < 200
    run(tmp_path, web, replace(EAGER, hosts_in_flight=50))
    rows = conserved(tmp_path, MANY)
    assert all(row["dropped_by"] is None for row in rows)
    assert len(web.asked) - len(rows) <= 4  # only what was in flight was fetched twice


class Server:
    """A web on loopback that answers by host, path, and how often it was asked."""

    def __init__(self) -> None:
        self.log: dict[str, list[float]] = defaultdict(list)  # host: when it was asked
        self.times: Counter[str] = Counter()
        self.asked = 0
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._answer, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _answer(self, reader, writer) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            writer.close()
            return
        path = head.split(" ", 2)[1]
        host = head.partition("Host: ")[2].partition("\r\n")[0]
        self.log[host].append(time.monotonic())
        self.asked += 1
        self.times[host + path] += 1
        writer.write(self.response(host, path, self.times[host + path]))
        writer.close()

    def response(self, host, path, times) -> bytes:
        luck = sum((host + path).encode()) % 10
        if path == "/robots.txt":
            return reply("404 Not Found", b"")
        if host == "h13.test":
            return b""
        if luck == 0:
            return reply("404 Not Found", b"gone")
        if luck == 1 and times == 1:
            return reply("503 Service Unavailable", b"soon")
        if luck == 2:
            return reply("302 Found", b"", f"Location: http://{host}/to{path}\r\n")
        return reply("200 OK", f"<p>{host}{path}".encode() * 40)


def reply(status, body, more="") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n{more}"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def crawl_in(tmp_path: Path, port: int) -> None:
    """Crawl in a process of its own."""
    loop.GATHER = 0.01
    settings = Crawl(
        delay=0.02,
        delay_per_ip=0,
        latency_factor=0,
        backoff=0.05,
        hosts_in_flight=20,
        connect_to=(f"*:80:127.0.0.1:{port}", f"*:443:127.0.0.1:{port}"),
    )
    crawl(settings, Directory(tmp_path / "links"), Directory(tmp_path / "pages"))


def start(tmp_path, port):
    code = (
        "import sys; from pathlib import Path; from tests.pipeline.crawl.test_kill import crawl_in;"
        "crawl_in(Path(sys.argv[1]), int(sys.argv[2]))"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(port)], cwd=ROOT)


def killed_and_resumed(tmp_path, urls, kills, rng):
    """Crawl `urls`, kill the process so many times; return the rows and what the server saw."""
    (tmp_path / "pages").mkdir()
    links(tmp_path / "links", *urls)
    each = sum(map(len, urls)) // (kills + 1)
    with Server() as server:
        for _ in range(kills):
            process = start(tmp_path, server.port)
            enough = server.asked + rng.randint(1, each)
            while process.poll() is None and server.asked < enough:
                time.sleep(0.005)
            time.sleep(rng.random() * 0.05)
            assert process.poll() is None, "it was done before it could be killed"
            process.kill()
            process.wait()
        process = start(tmp_path, server.port)
        assert process.wait(250) == 0
    return conserved(tmp_path, urls), server


def check(rows, server):
    fates = {row["url"]: row["dropped_by"] for row in rows}
    for row in rows:
        luck = sum(row["url"].removeprefix("http://").encode()) % 10
        if "h13.test" in row["url"]:
            assert row["dropped_by"] in ("crawl.connect", "crawl.host_given_up")
        else:
            assert fates[row["url"]] == ("crawl.http_4xx" if luck == 0 else None)
    for times in server.log.values():
        assert min((b - a for a, b in pairwise(times)), default=1) >= 0.02


def test_a_crawl_killed_at_random_moments_loses_and_doubles_nothing(tmp_path):
    check(*killed_and_resumed(tmp_path, MANY, 3, random.Random(7)))


@pytest.mark.slow
def test_two_thousand_hosts_survive_twenty_kills(tmp_path):
    urls = [
        [f"http://h{i}.test/{j}" for i in range(s, 2000, 8) for j in range(1 + i % 3)]
        for s in range(8)
    ]
    check(*killed_and_resumed(tmp_path, urls, 20, random.Random(8)))
