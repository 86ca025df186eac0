"""Serve the hostile web, for any crawler to be tried against: `python -m tests.web`."""

import argparse
import asyncio
import sys
from functools import partial

from tests.web.case import Case
from tests.web.rows import markdown
from tests.web.server import Authority, Web, ca_file
from tests.web.table import CASES, SITES

tell = partial(print, file=sys.stderr, flush=True)


def line(case: Case, trap: int) -> str:
    """Return a case as a line of a table; a URL that would not fit there in escapes."""
    url = case.url(trap)
    shown = url if url.isprintable() and "\\" not in url else ascii(url)[1:-1]
    return "\t".join((str(case.number), shown, case.outcome, case.says))


async def serve(port: int, tls_port: int, trap: int, dns_port: int) -> None:
    ca = Authority()
    web = Web(SITES, ca, port=port, tls_port=tls_port, trap=trap, dns_port=dns_port)
    web.on_trapped = partial(tell, "TRAPPED: somebody got inside, from")
    async with web:
        for case in CASES:
            print(line(case, web.trap))
        sys.stdout.flush()
        tell(f"certificate authorities: {ca_file(ca)}")
        tell(f"trap on port {web.trap}, names on 127.0.0.1:{web.dns_port} (UDP)")
        tell(f"http on 127.0.0.1:{web.port}, https on {web.tls_port}; but for")
        for rule in web.connect_to():
            if not rule.endswith((f":{web.port}", f":{web.tls_port}")):
                tell(f"  {rule}")
        await asyncio.Event().wait()


parser = argparse.ArgumentParser(prog="python -m tests.web", description=__doc__)
parser.add_argument("--port", type=int, default=8080, help="for http (%(default)s)")
parser.add_argument("--tls-port", type=int, default=8443, help="for https (%(default)s)")
parser.add_argument("--trap", type=int, default=8099, help="nobody should come here (%(default)s)")
parser.add_argument("--dns-port", type=int, default=8053, help="of the name server (%(default)s)")
parser.add_argument("--rows", action="store_true", help="print the table of rows, serve nothing")
if __name__ == "__main__":
    arguments = parser.parse_args()
    if arguments.rows:
        print("\n".join(markdown()))
        sys.exit(0)
    try:
        asyncio.run(serve(arguments.port, arguments.tls_port, arguments.trap, arguments.dns_port))
    except OSError as error:
        sys.exit(f"cannot listen: {error.strerror or error}; choose other ports, see --help")
    except KeyboardInterrupt:
        sys.exit(0)
