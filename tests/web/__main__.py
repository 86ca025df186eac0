"""Serve the hostile web, for any crawler to be tried against: `python -m tests.web`."""

import argparse
import asyncio
import sys

from tests.web.server import Authority, Web, ca_file
from tests.web.table import CASES, SITES


async def serve(port: int, tls_port: int) -> None:
    ca = Authority()
    async with Web(SITES, ca, port=port, tls_port=tls_port) as web:
        for case in CASES:
            print(case.number, case.url, case.fate or "kept", case.says, sep="\t")
        print(f"certificate authority: {ca_file(ca)}", file=sys.stderr)
        print(f"http on 127.0.0.1:{web.port}, https on {web.tls_port}; but for", file=sys.stderr)
        for rule in web.connect_to():
            if not rule.endswith((f":{web.port}", f":{web.tls_port}")):
                print(f"  {rule}", file=sys.stderr)
        await asyncio.Event().wait()


parser = argparse.ArgumentParser(prog="python -m tests.web", description=__doc__)
parser.add_argument("--port", type=int, default=8080)
parser.add_argument("--tls-port", type=int, default=8443)
if __name__ == "__main__":
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.port, arguments.tls_port))
    except KeyboardInterrupt:
        sys.exit(0)
