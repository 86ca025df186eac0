"""Serve the demo's web on loopback, in a process of its own, for as long as the demo runs."""

import asyncio
import multiprocessing
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web as http

from webtext.flows.demo.site import PAGES, Answer, Web, web, write_dump
from webtext.pipeline.core.errors import PipelineError
from webtext.pipeline.core.pool import die_with


@contextmanager
def serving(dump: Path, pages: int = PAGES, only: frozenset[str] = frozenset()) -> Iterator[int]:
    """Serve the demo's web, write its submissions to `dump`; give the port.

    Raises:
        OSError: they cannot be written there.
        PipelineError: the process that serves has died.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, dump, pages, only), daemon=True)
    process.start()
    theirs.close()
    try:
        try:
            told = ours.recv()
        except EOFError:
            raise PipelineError(
                "the process that serves the demo's web has died; run the same command again"
            ) from None
        if isinstance(told, OSError):
            raise told
        yield int(told)
    finally:
        process.terminate()
        process.join()


def _serve(parent: Connection, dump: Path, pages: int, only: frozenset[str]) -> None:
    """Run the server until the parent ends it, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    table = web(pages, only)
    try:
        write_dump(table, dump)
    except OSError as error:  # the parent says so, in a line
        parent.send(error)
        return
    asyncio.run(_forever(table, parent))


async def _forever(table: Web, parent: Connection) -> None:
    """Listen on a free port of loopback and answer from the table."""
    server = http.Server(_handler(table))
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await asyncio.get_running_loop().create_server(server, sock=listening)
    parent.send(listening.getsockname()[1])
    born_of = multiprocessing.parent_process()
    assert born_of is not None
    assert born_of.pid is not None
    await asyncio.to_thread(die_with, born_of.pid)


def _handler(table: Web):  # type: ignore[no-untyped-def]
    """Return what answers a request by its Host header and path."""
    missing = Answer(b"<h1>404 Not Found</h1>", 404)

    async def answer(request: http.BaseRequest) -> http.StreamResponse:
        host = (request.host or "").split(":")[0].lower()
        found = table.get((host, request.path), missing)
        await asyncio.sleep(found.wait)
        headers = {"Content-Type": found.content_type}
        if found.location:
            headers["Location"] = found.location
        if found.repeat == 1:
            return http.Response(body=found.body, status=found.status, headers=headers)
        response = http.StreamResponse(status=found.status, headers=headers)
        await response.prepare(request)
        with suppress(ConnectionError):  # the client may close the connection before the end
            for _ in range(found.repeat):
                await response.write(found.body)
        return response

    return answer
