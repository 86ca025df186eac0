"""A crawl in a process of its own, from a web on loopback, and the ways in which it may end."""

import asyncio
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from warcio.checker import Checker

from tests.pipeline.crawl.fakes import archived
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier import outcomes
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import Sink

DELAY = 0.02  # s between requests to a host


def hosts(count: int, shards: int = 8) -> list[list[str]]:
    """Return links to so many hosts, two each on average, in shards of whole hosts."""
    return [
        [f"http://h{i}.test/{j}" for i in range(s, count, shards) for j in range(1 + i % 3)]
        for s in range(shards)
    ]


class Server:
    """A web on loopback that answers by host, path, and how often it was asked."""

    def __init__(self) -> None:
        self.log: dict[str, list[float]] = defaultdict(list)  # host: when it was asked
        self.times: Counter[str] = Counter()
        self.asked = 0
        self.head = ""  # of the request that is being answered
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
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        self.head, path = head, head.split(" ", 2)[1]
        host = head.partition("Host: ")[2].partition("\r\n")[0]
        self.log[host].append(time.monotonic())
        self.asked += 1
        self.times[host + path] += 1
        writer.write(self.response(host, path, self.times[host + path]))
        writer.close()

    def response(self, host, path, times) -> bytes:
        luck = luck_of(host + path)
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


def luck_of(url: str) -> int:
    return sum(url.encode()) % 10


def reply(status, body, more="") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n{more}"
    return head.encode() + b"Connection: close\r\n\r\n" + body


# ---- what is checked afterwards


def conserved(tmp_path: Path, urls: list[list[str]]) -> list[dict[str, Any]]:
    """Check that each URL has one outcome, and each outcome its one record; return the rows."""
    pages = Directory(tmp_path / "pages")
    rows = [row for path in pages.shards("outcomes") for row in read_shard(path).to_pylist()]
    assert [row["url"] for row in rows] == [url for shard in urls for url in shard]
    said = [
        (row["warc_file"], row["warc_offset"], row["final_url"]) for row in rows if row["warc_file"]
    ]
    assert sorted(said) == sorted(entry[:3] for entry in archived(pages.path))
    assert all(row["warc_file"] for row in rows if row["dropped_by"] is None)
    clean(pages.path)
    return rows


def clean(directory: Path) -> None:
    """Check that `warcio check` has nothing to say of the WARC files."""
    paths = sorted(map(str, directory.glob("*.warc.gz")))
    checker = Checker(type("Options", (), {"inputs": paths, "verbose": False}))
    with redirect_stdout(StringIO()) as said:
        checker.process_all()
    assert (checker.exit_value, said.getvalue()) == (0, "")


def check(rows: list[dict[str, Any]], server: Server) -> None:
    """Check that each URL met the fate that the server gave it, at a polite pace."""
    for row in rows:
        if "h13.test" in row["url"]:
            assert row["dropped_by"] in ("crawl.connect", "crawl.host_given_up")
        else:
            lost = luck_of(row["url"].removeprefix("http://")) == 0
            assert row["dropped_by"] == ("crawl.http_4xx" if lost else None)
    for times in server.log.values():
        assert min((b - a for a, b in pairwise(times)), default=1) >= DELAY


# ---- the crawl, and its deaths

ARMED = False


def die(tmp_path: Path, phase: str) -> None:
    """Note where death came, and let it come as `kill -9` does."""
    (tmp_path / "deaths").open("a").write(f"{phase}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def dying(owner: type, name: str, end: Callable[..., None], after: bool) -> None:
    """Have `owner.name` end the process before or after its work, once armed."""
    whole = getattr(owner, name)

    def doomed(*args, **more):
        if ARMED and not after:
            end(*args)
        found = whole(*args, **more)
        if ARMED and after:
            end(*args)
        return found

    setattr(owner, name, doomed)


def half_written(sink, series, data) -> None:
    os.write(series.descriptor, data[: len(data) // 2])


# From the start of a crawl to its end.
EARLY = ("fill",)
AMID = ("lease", "write", "sync", "archived", "acknowledge", "acknowledged", "anywhere")
LATE = ("outcomes", "index", "remove")


def doom(tmp_path: Path, phase: str) -> None:
    """Prepare the process to die in `phase`."""

    def end(*_: Any) -> None:
        die(tmp_path, phase)

    def torn(*args: Any) -> None:
        half_written(*args)
        end()

    def first_batch(self, *args, whole=Frontier.outcomes):
        for batch in whole(self, *args):
            yield batch
            end()

    deaths: dict[str, tuple[type, str, Callable[..., None], bool]] = {
        "fill": (Frontier, "fill_shard", end, True),  # before its transaction ends
        "lease": (Frontier, "lease", end, True),
        "write": (Sink, "_append", torn, False),
        "sync": (Sink, "sync", end, False),
        "archived": (Sink, "sync", end, True),  # in the WARC file, and nobody knows
        "acknowledged": (Frontier, "commit", end, True),
        "index": (outcomes, "archived", end, True),
        "remove": (Frontier, "close", end, True),
    }
    if phase in deaths:
        dying(*deaths[phase])
    elif phase == "acknowledge":
        before_commit(end)
    elif phase == "outcomes":
        Frontier.outcomes = first_batch  # type: ignore[method-assign]


def before_commit(end: Callable[[], None]) -> None:
    """Have the transaction in which outcomes are written end the process at its last moment."""
    whole, amid = Frontier.commit, threading.local()

    def commit(self, changes):
        amid.it = bool(changes.done)
        try:
            self.db.set_trace_callback(
                lambda statement: end() if ARMED and amid.it and statement == "COMMIT" else None
            )
            return whole(self, changes)
        finally:
            amid.it = False
            self.db.set_trace_callback(None)

    Frontier.commit = commit  # type: ignore[method-assign]


def arm(*_: Any) -> None:
    global ARMED  # noqa: PLW0603 - set from outside, by a signal
    ARMED = True


def settings(port: int) -> Crawl:
    return Crawl(
        delay=DELAY,
        delay_per_ip=0,
        latency_factor=0,
        backoff=0.05,
        hosts_in_flight=20,
        connect_to=(f"*:80:127.0.0.1:{port}", f"*:443:127.0.0.1:{port}"),
    )


def crawl_in(tmp_path: Path, port: int, phase: str = "") -> None:
    """Crawl, and die in `phase` once SIGUSR1 came, or as soon as it begins where none is to come.

    A mistake of the user's, such as a full disk, goes to the file `said`, and the exit code is 2.
    """
    loop.GATHER = 0.01
    signal.signal(signal.SIGUSR1, arm)
    if phase in EARLY + LATE:
        arm()
    doom(tmp_path, phase)
    try:
        crawl(settings(port), Directory(tmp_path / "links"), Directory(tmp_path / "pages"))
    except UserError as error:
        with (tmp_path / "said").open("a") as file:
            file.write(f"{error}\n")
        os._exit(2)


def start(tmp_path: Path, port: int, phase: str = "", target: Callable[..., None] = crawl_in):
    """Start a crawl in a process that no state of this one goes to."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, target.__module__])
    process = context.Process(target=target, args=(tmp_path, port, phase))
    process.start()
    return process


def die_in_each(
    tmp_path: Path,
    server: Server,
    deaths: list[str],
    each: int,
    rng: random.Random,
    target: Callable[..., None] = crawl_in,
) -> None:
    """Let a crawl die in each phase in turn, some of `each` requests apart, and come to its end."""
    for phase in deaths:
        process = start(tmp_path, server.port, phase, target)
        if phase in AMID:
            enough = server.asked + rng.randint(1, each)
            while process.is_alive() and server.asked < enough:
                time.sleep(0.002)
            time.sleep(rng.random() * 0.02)
            if phase == "anywhere":
                process.kill()
                with (tmp_path / "deaths").open("a") as file:
                    file.write("anywhere\n")
            else:
                os.kill(process.pid, signal.SIGUSR1)
        process.join(250)
        assert process.exitcode == -signal.SIGKILL, f"it did not die in {phase}"
    process = start(tmp_path, server.port, target=target)
    process.join(250)
    assert process.exitcode == 0
    assert (tmp_path / "deaths").read_text().split() == deaths
