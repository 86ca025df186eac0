"""Which addresses a crawl may connect to, and what a host's name resolves to.

A link list is written by strangers, so any of its hosts may lead into the crawler's own network.
Every address is checked before a socket is opened, whatever its source: a link, a redirect,
robots.txt, a name server. Only checked addresses are given to the connector, so a name that
resolves differently the second time (DNS rebinding) does no harm.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp.abc import ResolveResult
from aiohttp.resolver import AsyncResolver

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.settings import Crawl

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""What asks a name server: a host's addresses, or OSError where it has none."""

Asked = tuple[str, bool]
"""A host, and whether it is a site of the user's own, which may be anywhere."""

KNOWN_SECONDS = 600.0  # s an answer is cached; all requests to a host are close in time
UNKNOWN_SECONDS = 60.0  # s a failure is cached; Source: BUbiNG's default for negative answers
KNOWN_HOSTS = 20_000  # answers cached, the least used forgotten first

# Every block in which no public web server has an address.
# Source: IANA IPv4 Special-Purpose Address Registry; RFC 1112 for 240.0.0.0/4; the last one is
# Azure's platform address, which answers every virtual machine there.
PRIVATE_4 = {
    IPv4Network(block): what
    for block, what in {
        "0.0.0.0/8": "this network",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "carrier-grade NAT",
        "127.0.0.0/8": "loopback",
        "169.254.0.0/16": "link-local",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "protocol assignments",
        "192.0.2.0/24": "documentation",
        "192.31.196.0/24": "AS112",
        "192.52.193.0/24": "AMT",
        "192.88.99.0/24": "6to4 relay",
        "192.168.0.0/16": "private",
        "192.175.48.0/24": "AS112",
        "198.18.0.0/15": "benchmarking",
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
        "168.63.129.16/32": "cloud platform",
    }.items()
}

# In IPv6 only one block is assigned to the public, so all others need no list.
# Source: IANA IPv6 Global Unicast Address Assignments; Special-Purpose Address Registry.
PUBLIC_6 = IPv6Network("2000::/3")
PRIVATE_6 = {
    IPv6Network(block): what
    for block, what in {
        "2001::/23": "protocol assignments, Teredo",
        "2001:db8::/32": "documentation",
        "2002::/16": "6to4",
        "3ffe::/16": "6bone",
        "3fff::/20": "documentation",
    }.items()
}
# These have names only for the report.
OTHER_6 = {
    IPv6Network(block): what
    for block, what in {
        "::/128": "unspecified",
        "::1/128": "loopback",
        "::ffff:0:0/96": "IPv4-mapped",
        "::/96": "IPv4-compatible",
        "64:ff9b::/96": "NAT64",
        "64:ff9b:1::/48": "NAT64",
        "fc00::/7": "private",
        "fe80::/10": "link-local",
        "fec0::/10": "site-local",
        "ff00::/8": "multicast",
    }.items()
}


def blocked(address: str) -> str | None:
    """Return why a connection to `address` is blocked, None if it is public.

    The standard library's `is_global` calls NAT64, 6to4 and site-local addresses public in some
    versions, though each can contain a private IPv4 address: so this module has its own lists.

    >>> blocked("169.254.169.254"), blocked("64:ff9b::a9fe:a9fe"), blocked("93.184.216.34")
    ('link-local', 'NAT64', None)

    Raises:
        ValueError: `address` is not an address.
    """
    found = ip_address(address.partition("%")[0])  # fe80::1%eth0 names an interface
    if isinstance(found, IPv4Address):
        return next((what for block, what in PRIVATE_4.items() if found in block), None)
    return _blocked_6(found)


def _blocked_6(found: IPv6Address) -> str | None:
    if found in PUBLIC_6:
        return next((what for block, what in PRIVATE_6.items() if found in block), None)
    return next((what for block, what in OTHER_6.items() if found in block), "not assigned")


def literal(host: str) -> str | None:
    """Return the address if `host` is written as one, None if it is a name.

    >>> literal("[::1]"), literal("127.0.0.1"), literal("example.com")
    ('::1', '127.0.0.1', None)
    """
    if not host.endswith(tuple("0123456789]")) and ":" not in host:
        return None  # nearly every host is a name, and a failed parse would cost more than all else
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return None


class BlockedError(OSError):
    """The host has addresses, but a crawl may not connect to any of them."""


class NoAddressError(OSError):
    """The host's name has no address.

    `temporary`: the name server could not answer, in contrast to "no such name".
    """

    def __init__(self, host: str, temporary: bool) -> None:
        super().__init__(f"{host}: no address")
        self.temporary = temporary


class Resolver:
    """Resolve hosts to addresses that may be connected to, with one lookup per name at a time.

    Also applies `connect_to`, with which a recipe sends all or some hosts to its own server.
    """

    def __init__(self, settings: Crawl, lookup: Lookup | None = None) -> None:
        self._allow_private = settings.allow_private
        self._patience = settings.connect_timeout
        self._lookup = lookup or self._ask
        self._names: AsyncResolver | None = None
        self._rules = [ConnectTo(rule) for rule in settings.connect_to]
        self._rule = lru_cache(KNOWN_HOSTS)(self._matching)  # called at every step of a visit
        self._known: OrderedDict[Asked, tuple[float, tuple[str, ...] | OSError]] = OrderedDict()
        self._asked: dict[Asked, asyncio.Task[tuple[str, ...] | OSError]] = {}
        self._own: set[tuple[str, int]] = set()  # where sites of the user's own have been asked

    async def vetted(self, host: str, port: int, own: bool = False) -> tuple[str, ...]:
        """Return the addresses that may be connected to for `host`.

        `own`: it is a site of the user's own, which may be anywhere.

        Raises:
            BlockedError: it has addresses, but none of them may be connected to.
            NoAddressError: it has no address.
        """
        if address := literal(host):
            if not (self._allow_private or own) and (why := blocked(address)):
                raise BlockedError(f"{host}: {why}")
            addresses: tuple[str, ...] = (address,)
        elif self.pretended(host, port):
            addresses = ()
        else:
            addresses = await self._resolved((host.lower().rstrip("."), own))
        rule = self._rule(host, port)
        return (rule.address,) if rule else addresses

    def pretended(self, host: str, port: int) -> bool:
        """Tell whether `connect_to` sends this host somewhere else."""
        return self._rule(host, port) is not None

    def _matching(self, host: str, port: int) -> "ConnectTo | None":
        for rule in self._rules:
            if rule.matches(host, port):
                return rule
        return None

    async def resolve(self, host: str, port: int, own: bool = False) -> list[ResolveResult]:
        """Return the checked addresses of `host`, each with the port that `connect_to` says.

        `own`: as for `vetted`.

        Raises:
            BlockedError, NoAddressError: as `vetted`.
        """
        rule = self._rule(host, port)
        addresses = await self.vetted(host, port, own)
        if own:
            self._own.update((address, port) for address in addresses)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=rule.port if rule else port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Open a socket to an address: the last check before a connection is made.

        Raises:
            BlockedError: this address was not checked.
        """
        family, kind, protocol, _, target = info
        known = target[:2] in self._own or any(rule.address == target[0] for rule in self._rules)
        if not self._allow_private and not known and (why := blocked(target[0])):
            raise BlockedError(f"{target[0]}: {why}")
        return socket.socket(family, kind, protocol)

    def forget_failures(self) -> None:
        """Forget which names had no address: the network was down during their lookup."""
        for key in [key for key, (_, found) in self._known.items() if isinstance(found, OSError)]:
            del self._known[key]

    async def close(self) -> None:
        """Close the resolver; lookups under way are cancelled."""
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        if self._names:
            await self._names.close()

    async def _resolved(self, key: "Asked") -> tuple[str, ...]:
        now = asyncio.get_running_loop().time()
        until, found = self._known.get(key, (now, None))
        if found is None or until <= now:
            task = self._asked.get(key)
            if task is None:
                task = asyncio.create_task(self._find(key))
                self._asked[key] = task
                task.add_done_callback(lambda _: self._asked.pop(key, None))
            # The first caller may be cancelled; the others that wait for this lookup should not be.
            found = await asyncio.shield(task)
        if isinstance(found, BlockedError):
            raise BlockedError(*found.args)
        if isinstance(found, NoAddressError):
            raise NoAddressError(key[0], found.temporary)
        assert isinstance(found, tuple)
        return found

    async def _find(self, key: "Asked") -> tuple[str, ...] | OSError:
        """Look up a host, check its addresses, and cache both good and bad answers."""
        host, own = key
        found: tuple[str, ...] | OSError
        try:
            async with asyncio.timeout(self._patience):
                found = self._judged(host, await self._addresses(host), own)
        except TimeoutError:
            found = NoAddressError(host, temporary=True)
        except OSError as error:
            found = NoAddressError(host, temporary(error))
        for_seconds = KNOWN_SECONDS if isinstance(found, tuple) else UNKNOWN_SECONDS
        self._known[key] = (asyncio.get_running_loop().time() + for_seconds, found)
        self._known.move_to_end(key)
        while len(self._known) > KNOWN_HOSTS:
            self._known.popitem(last=False)
        return found

    async def _addresses(self, host: str) -> Sequence[str]:
        if host == "localhost" or host.endswith(".localhost"):
            return ["127.0.0.1"]  # never sent to a name server. Source: RFC 6761, section 6.3
        return await self._lookup(host)

    def _judged(self, host: str, addresses: Sequence[str], own: bool) -> tuple[str, ...] | OSError:
        if not addresses:
            return NoAddressError(host, temporary=False)
        good = tuple(a for a in addresses if self._allow_private or own or not blocked(a))
        return good or BlockedError(f"{host}: {', '.join(f'{a} {blocked(a)}' for a in addresses)}")

    async def _ask(self, host: str) -> Sequence[str]:
        if self._names is None:
            self._names = AsyncResolver()
        # The final dot prevents the use of this machine's search domains.
        found = await self._names.resolve(f"{host}.", 0, family=socket.AF_UNSPEC)
        return [entry["host"] for entry in found]


def temporary(error: OSError) -> bool:
    """Tell whether a failed lookup may succeed later.

    "No such name" and "a name without addresses" are answers; all else means that none came.
    """
    if isinstance(error, socket.gaierror):
        return error.errno not in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5))
    code = getattr(error.__cause__, "args", (None,))[0]
    return code not in (1, 4)  # Source: c-ares, ares.h: ARES_ENODATA, ARES_ENOTFOUND


class ConnectTo:
    """One rule of `connect_to`, `HOST:PORT:ADDRESS:PORT`, where HOST and PORT may be `*`."""

    def __init__(self, rule: str) -> None:
        host, self._port, rest = rule.split(":", 2)
        self._host = host.lower()
        address, _, port = rest.rpartition(":")
        self.port = int(port)
        try:
            self.address = literal(address) or socket.gethostbyname(address)
        except OSError as error:
            raise UserError(
                f'crawl.connect_to: "{rule}" names {address}, whose address is not known '
                f"({error.strerror or error}); wanted an address, or a host that can be looked up"
            ) from error

    def matches(self, host: str, port: int) -> bool:
        """Tell whether the rule applies to this host and port."""
        if self._port not in ("*", str(port)):
            return False
        return self._host == "*" or self._host == host.strip("[]").rstrip(".").lower()
