"""The web that crawls are measured on: bodies by the number in the path, under any host.

Reads the bodies from its input, each after a line with its length, up to a length of 0; writes the
port that it listens on; answers until it is killed. It closes the connection after each answer.
"""

import asyncio
import re
import sys

ROBOTS = b"""User-agent: *
Disallow: /admin/
Disallow: /search
Disallow: /*?sort=
Allow: /search/about

User-agent: BadBot
Disallow: /
"""
HEAD = b"""HTTP/1.1 200 OK\r
Server: nginx\r
Date: Tue, 24 Nov 2026 09:00:00 GMT\r
Content-Type: %s\r
Content-Length: %d\r
Last-Modified: Mon, 02 Nov 2026 10:11:12 GMT\r
ETag: "5a3-62c0"\r
Vary: Accept-Encoding\r
Connection: close\r
\r
"""
NUMBER = re.compile(rb"GET /(?:robots\.txt|\S*/(\d+)\.html) ")


class Server(asyncio.Protocol):
    """One connection."""

    bodies: tuple[bytes, ...] = ()  # answers, whole

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.asked = b""

    def data_received(self, data: bytes) -> None:
        self.asked += data
        if not self.asked.endswith(b"\r\n\r\n"):
            return
        found = NUMBER.match(self.asked)
        if found is None:
            self.transport.write(HEAD.replace(b"200 OK", b"404 Not Found") % (b"text/html", 0))
        elif found[1] is None:
            self.transport.write(HEAD % (b"text/plain", len(ROBOTS)) + ROBOTS)
        else:
            self.transport.write(self.bodies[int(found[1]) % len(self.bodies)])
        self.transport.close()


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    bodies = []
    while size := int(sys.stdin.buffer.readline()):
        bodies.append(HEAD % (b"text/html", size) + sys.stdin.buffer.read(size))
    Server.bodies = tuple(bodies)
    asyncio.run(serve())


if __name__ == "__main__":
    main()
