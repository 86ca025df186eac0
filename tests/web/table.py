"""The whole table of the hostile web, and the hosts that serve it."""

from tests.web.case import page, plain
from tests.web.encoding import ENCODING
from tests.web.framing import FRAMING
from tests.web.inside import INSIDE
from tests.web.links import LINKS
from tests.web.markup import MARKUP
from tests.web.pages import OPT_OUTS, STATUSES, TYPES
from tests.web.redirects import REDIRECTS
from tests.web.robots import ROBOTS
from tests.web.server import Site
from tests.web.transport import TLS

CASES = (
    *FRAMING,
    *ENCODING,
    *REDIRECTS,
    *INSIDE,
    *ROBOTS,
    *STATUSES,
    *TYPES,
    *MARKUP,
    *TLS,
    *LINKS,
    *OPT_OUTS,
)

# Hosts that others lead to.
BESIDE = {"denying.test": Site(page(), plain(b"User-agent: *\nDisallow: /secret\n"))}
SITES = {host: site for case in CASES for host, site in case.sites.items()} | BESIDE
