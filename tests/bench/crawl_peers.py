"""The crawlers that ours is measured against; `crawl.py` runs each in its own environment.

Scrapy, doing as much of what ours does as it can: robots.txt obeyed; the queue on disk (JOBDIR);
no cookies; one connection a host, 300 in all; the WARC written by warcio in an item pipeline, a
request and a response record a page, gzipped, digests included. Not done by it: addresses are
not judged, opt-outs not looked for, outcomes of pages not written, nothing acknowledged on disk.
Keep-alive is its default and stays; the server closes every connection, which comes to the same.

aiohttp, bare: GET and read, 300 at a time, nothing written; as installed for ours.
"""

import asyncio
import json
import resource
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

AT_ONCE = 300


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def scrapy(folder: Path, urls: list[str]) -> tuple[int, int, float]:
    """Crawl with Scrapy; return pages, bytes of bodies and CPU seconds."""
    from io import BytesIO

    from scrapy import Request, Spider
    from scrapy.crawler import CrawlerProcess
    from scrapy.resolver import CachingThreadedResolver
    from twisted.internet import defer
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    class Here(CachingThreadedResolver):  # type: ignore[misc]
        """Every host is this machine."""

        def getHostByName(self, name: str, timeout: Any = ()) -> Any:  # noqa: N802
            return defer.succeed("127.0.0.1")

    class Warc:
        """Writes what comes as WARC records."""

        count = size = 0

        def open_spider(self) -> None:
            self.file = (folder / "scrapy.warc.gz").open("wb")
            self.writer = WARCWriter(self.file, gzip=True, warc_version="1.1")

        def close_spider(self) -> None:
            self.file.close()

        def process_item(self, item: dict[str, Any]) -> dict[str, Any]:
            response = item["response"]
            fields = text(response.headers)
            line = f"{response.status} OK"
            answer = self.writer.create_warc_record(
                response.url,
                "response",
                payload=BytesIO(response.body),
                http_headers=StatusAndHeaders(line, fields, protocol="HTTP/1.1"),
                warc_headers_dict={"WARC-IP-Address": str(response.ip_address)},
            )
            path = "/" + response.url.split("/", 3)[3]
            asked = self.writer.create_warc_record(
                response.url,
                "request",
                payload=BytesIO(b""),
                http_headers=StatusAndHeaders(
                    f"GET {path} HTTP/1.1", text(response.request.headers), is_http_request=True
                ),
            )
            self.writer.write_request_response_pair(asked, answer)
            Warc.count += 1
            Warc.size += len(response.body)
            return item

    class Pages(Spider):  # type: ignore[misc]
        name = "pages"

        async def start(self) -> AsyncIterator[Any]:
            for url in urls:
                yield Request(url)

        def parse(self, response: Any, **_: Any) -> Iterator[dict[str, Any]]:
            yield {"response": response}

    settings = {
        "ROBOTSTXT_OBEY": True,
        "JOBDIR": str(folder / "job"),
        "COOKIES_ENABLED": False,
        "CONCURRENT_REQUESTS": AT_ONCE,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
        "DOWNLOAD_DELAY": 0,
        "DNS_RESOLVER": Here,
        "ITEM_PIPELINES": {Warc: 100},
        "LOG_LEVEL": "ERROR",
        "TELNETCONSOLE_ENABLED": False,
        "USER_AGENT": "bench (+http://127.0.0.1/)",
    }
    process = CrawlerProcess(settings)
    process.crawl(Pages)
    started = cpu()
    process.start()
    return Warc.count, Warc.size, cpu() - started


def text(headers: Any) -> list[tuple[str, str]]:
    """Return Scrapy's headers as warcio wants them."""
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in headers.items()
        for value in values
    ]


def aiohttp(_: Path, urls: list[str]) -> tuple[int, int, float]:
    """Get every URL with aiohttp; return pages, bytes of bodies and CPU seconds."""
    import aiohttp as client
    from aiohttp.abc import AbstractResolver

    class Here(AbstractResolver):
        """Every host is this machine."""

        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
            return [
                {
                    "hostname": host,
                    "host": "127.0.0.1",
                    "port": port,
                    "family": socket.AF_INET,
                    "proto": 0,
                    "flags": socket.AI_NUMERICHOST,
                }
            ]

        async def close(self) -> None:
            pass

    async def work(session: Any, left: Iterator[str], got: list[int]) -> None:
        for url in left:
            async with session.get(url) as response:
                got.append(len(await response.read()))

    async def crawl() -> list[int]:
        left, got = iter(urls), list[int]()
        connector = client.TCPConnector(resolver=Here(), force_close=True, limit=AT_ONCE)
        async with client.ClientSession(connector=connector) as session:
            await asyncio.gather(*(work(session, left, got) for _ in range(AT_ONCE)))
        return got

    started = cpu()
    got = asyncio.run(crawl())
    return len(got), sum(got), cpu() - started


def main() -> None:
    _, name, folder, _ = sys.argv[1:]
    urls = Path(folder, "urls.txt").read_text(encoding="utf-8").split("\n")
    contender = {"scrapy": scrapy, "aiohttp": aiohttp}[name]
    print(json.dumps(contender(Path(folder), urls)))


if __name__ == "__main__":
    main()
