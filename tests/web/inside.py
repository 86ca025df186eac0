"""Ways into the network that the crawler itself stands in.

Each leads to a port of this machine on which nobody should ever knock, the trap. What cannot be
listened on here, such as 10.0.0.1, is called with the same port, so that a crawler whose ports are
limited is not saved by that.
"""

from tests.web.case import Case, inward, linked, lost, page, ruled
from tests.web.names import NXDOMAIN, PUBLIC, SERVFAIL, Said
from tests.web.server import Site

# Name: the number in the table, the host as a link spells it, the address that a name may have.
WAYS: dict[str, tuple[int, str, str | None]] = {
    "metadata": (29, "169.254.169.254", "169.254.169.254"),
    "private": (29, "10.0.0.1", "10.0.0.1"),
    "loopback": (29, "127.0.0.1", "127.0.0.1"),
    "localhost": (29, "localhost", None),
    "decimal": (31, "2130706433", None),
    "hexadecimal": (31, "0x7f.1", None),
    "octal": (31, "0177.0.0.1", None),
    "short": (31, "127.1", None),
    "full-width": (31, "１２７.0.0.1", None),
    "mapped": (31, "[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
    "unspecified": (31, "[::]", "::"),
    "unspecified-4": (31, "0.0.0.0", "0.0.0.0"),
    "loopback-6": (31, "[::1]", "::1"),
    "nat64": (32, "[64:ff9b::a9fe:a9fe]", "64:ff9b::a9fe:a9fe"),
    "6to4": (32, "[2002:7f00:1::]", "2002:7f00:1::"),
    "site-local": (32, "[fec0::1]", "fec0::1"),
    "unique-local": (32, "[fd00::1]", "fd00::1"),
    "shared-space": (32, "100.64.0.1", "100.64.0.1"),
    "multicast": (32, "224.0.0.1", "224.0.0.1"),
    "protocol": (32, "192.0.0.8", "192.0.0.8"),
}

LINKS = tuple(
    linked(
        number, f"link-{name}", f"a link to {name}", f"http://{host}:{{trap}}/", "blocked_address"
    )
    for name, (number, host, _) in WAYS.items()
)
REDIRECTS = (
    *(
        lost(
            number,
            f"to-{name}",
            f"a redirect to {name}",
            inward(host.encode().decode("latin-1")),
            "blocked_address",
        )
        for name, (number, host, _) in WAYS.items()
    ),
    lost(
        29,
        "to-password",
        "a redirect with a password",
        inward("10.0.0.1", user="a:b@"),
        "blocked_address",
    ),
    ruled(
        29,
        "robots-inside",
        "robots.txt redirects into the crawler's network",
        inward("127.0.0.1"),
        "robots_unreachable",
        never="/",
    ),
)


def named(
    number: int, name: str, says: str, reason: str | None, *said: Said, **more: object
) -> Case:
    link = f"http://{name}.test:{{trap}}/"
    return linked(number, name, says, link, reason, names=said, **more)


def at(address: str) -> Said:
    return (address,)


NAMES = (
    *(
        named(32, f"name-{name}", f"a name for {name}", "blocked_address", at(address))
        for name, (_, _, address) in WAYS.items()
        if address
    ),
    named(
        33, "rebind", "a name that is public once, then loopback", None, at(PUBLIC), at("127.0.0.1")
    ),
    Case(
        33,
        "to-rebind",
        "a redirect to such a name",
        Site(inward("rebound.test")),
        None,
        hosts={"rebound.test": Site(page(), names=(at(PUBLIC), at("127.0.0.1")))},
    ),
    named(
        33,
        "rebind-back",
        "a name that is loopback once, then public",
        "blocked_address",
        at("127.0.0.1"),
        at(PUBLIC),
    ),
    named(
        34,
        "both",
        "a name with a public address among private ones",
        None,
        ("127.0.0.1", "10.0.0.1", PUBLIC, "::1"),
    ),
    named(
        34, "two-private", "a name with two private ones", "blocked_address", ("127.0.0.1", "::1")
    ),
    named(64, "name-unknown", "a name that does not exist", "dns", NXDOMAIN, again=False),
    named(64, "name-broken", "a name server that fails", "dns", SERVFAIL, again=True),
    named(64, "name-silent", "a name server that does not answer", "dns", None, again=True),
    named(64, "name-empty", "a name without an address", "dns", (), again=False),
    Case(
        65,
        "farm",
        "a domain whose every name has the same address",
        Site(page()),
        None,
        link="http://one-of-a-million.farm.test:{trap}/",
        hosts={"*.farm.test": Site(page(), names=(at(PUBLIC),))},
    ),
)
INSIDE: tuple[Case, ...] = (*LINKS, *REDIRECTS, *NAMES)
