"""What a host may show instead of a good certificate, or of TLS."""

import asyncio
from typing import Any

from tests.web.case import Case, page
from tests.web.server import Site


async def no_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    await asyncio.sleep(3600)


async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(page())
    await writer.drain()


def tls(number: int, name: str, says: str, reason: str | None, **site: Any) -> Case:
    fate = f"crawl.{reason}" if reason else None
    return Case(number, name, says, Site(page(), **site), fate, scheme="https", never=None)


TLS = (
    tls(57, "trusted", "a good certificate", None),
    tls(57, "expired", "an expired certificate", "tls", certificate="expired"),
    tls(
        57, "self-signed", "a certificate of an unknown authority", "tls", certificate="self-signed"
    ),
    tls(57, "wrong-host", "a certificate for another host", "tls", certificate="wrong-host"),
    tls(57, "old-cipher", "no cipher in common", "tls", certificate="old-cipher"),
    tls(57, "not-yet", "a certificate that is not valid yet", "tls", certificate="not-yet"),
    tls(57, "sha1", "a certificate signed by SHA-1", "tls", certificate="sha1"),
    tls(57, "old-protocol", "no TLS later than 1.1", "tls", certificate="old-protocol"),
    tls(58, "no-handshake", "a TLS handshake that never ends", "timeout", raw_tls=no_handshake),
    tls(58, "no-tls", "plain HTTP where TLS should be", "tls", raw_tls=no_tls),
)
