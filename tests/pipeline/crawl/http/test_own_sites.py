"""Sites of the user's own, allowed by name: any port and address, but by no redirect of others."""

import asyncio
import doctest
import json
import socket

import pytest

from tests.web.case import page
from tests.web.server import Site, Web
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stage import settings
from webtext.pipeline.crawl import fates, step
from webtext.pipeline.crawl import settings as crawl_settings
from webtext.pipeline.crawl.fetch import Fetcher
from webtext.pipeline.crawl.http.address_guard import BlockedError, Resolver
from webtext.pipeline.crawl.profile import Profile
from webtext.pipeline.crawl.settings import Crawl


async def at_home(_name):
    return ["127.0.0.1"]


def visited(sites, visit, *names, public=("open.test",), ports=()):
    """Serve sites on a port of loopback, with which `names` are allowed.

    `{port}` in an answer is that port; `public` are sites of others, on port 80.
    """

    async def whole():
        web = Web({})
        async with web:
            for host, site in sites.items():
                answers = {path: said.replace(b"{port}", b"%d" % web.port)
                           for path, said in {**site.paths, "": site.page}.items()}  # fmt: skip
                robots = site.robots.replace(b"{port}", b"%d" % web.port)
                web.sites[host] = Site(answers.pop(""), robots, answers)
            chosen = Crawl(
                contact="me",
                allow=tuple(f"{name}:{web.port}" for name in names),
                connect_to=tuple(f"{host}:80:127.0.0.1:{web.port}" for host in public),
                ports=(80, 443, *(web.port for _ in ports)),
            )
            async with Fetcher(chosen, None, at_home) as fetcher:
                return await visit(fetcher, web.port), web

    return asyncio.run(whole())


def to(where):
    return f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()


def paths(web):
    return [path for _, path in web.requests if path != "/robots.txt"]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "wiki.intern"])
def test_a_site_that_is_named_is_fetched_wherever_it_is(name):
    async def visit(fetcher, port):
        url = f"http://{name}:{port}/"
        return await fetcher.fetch(url), await fetcher.addresses(url)

    (found, addresses), web = visited({name: Site(page())}, visit, name)
    assert (found.fate, addresses) == (None, ("127.0.0.1",))
    assert paths(web) == ["/"]


@pytest.mark.parametrize("named", [True, False])
def test_whether_a_host_is_there_is_asked_of_a_site_that_is_named_alone(named):
    """The question that an outage of the network brings up."""

    async def whole():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            here = f"localhost:{listening.getsockname()[1]}"
            async with Fetcher(Crawl(allow=(here,) if named else ()), None, at_home) as fetcher:
                return await fetcher.reachable(f"http://{here}/")

    assert asyncio.run(whole()) is named


def test_neither_another_name_nor_another_port_is_allowed_with_it():
    async def visit(fetcher, port):
        hosts = (f"other.intern:{port}", f"127.0.0.1:{port}", f"sub.wiki.intern:{port}",
                 f"wiki.intern.:{port}", "wiki.intern", "wiki.intern:9")  # fmt: skip
        return [await fetcher.fetch(f"http://{host}/") for host in hosts]

    found, web = visited({}, visit, "wiki.intern")
    port = web.port
    assert [(one.fate, one.value) for one in found] == [
        *[(fates.BAD_URL, port)] * 4, (fates.BLOCKED_ADDRESS, None), (fates.BAD_URL, 9),
    ]  # fmt: skip
    assert web.requests == []


SECRET = "http://wiki.intern:{port}/secret"
META = f'<meta http-equiv="refresh" content="0; url={SECRET}">'.encode()
WAYS = {
    "a redirect": to(SECRET),
    "a page": page(META),
    "by way of the site itself": to("http://open.test/again"),
    "robots.txt": page(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ports", [(), ("its",)], ids=["its port alone", "the port for all"])
def test_no_other_site_leads_to_one_that_is_named(way, ports):
    robots = to(SECRET) if way == "robots.txt" else page()
    sites = {
        "open.test": Site(WAYS[way], robots, {"/again": to(SECRET)}),
        "wiki.intern": Site(page()),
    }
    found, web = visited(
        sites, lambda fetcher, _: fetcher.fetch("http://open.test/"), "wiki.intern", ports=ports
    )
    assert "/secret" not in paths(web)
    if way in ("a redirect", "by way of the site itself"):
        assert found.fate == (fates.BLOCKED_ADDRESS if ports else fates.BAD_REDIRECT)


def test_sites_that_are_named_lead_to_each_other_until_another_site_comes_between():
    sites = {
        "one.intern": Site(to("http://two.intern:{port}/")),
        "two.intern": Site(page(), paths={"/out": to("http://open.test/")}),
        "open.test": Site(to(SECRET)),
        "wiki.intern": Site(page()),
    }

    async def visit(fetcher, port):
        urls = (f"http://one.intern:{port}/", f"http://two.intern:{port}/out")
        return [await fetcher.fetch(url) for url in urls]

    (between, out), web = visited(sites, visit, "one.intern", "two.intern", "wiki.intern")
    assert (between.fate, between.final_url) == (None, f"http://two.intern:{web.port}/")
    assert out.fate == fates.BAD_REDIRECT
    assert "/secret" not in paths(web)


@pytest.mark.parametrize(
    "site", ["*:80", "*.intern", "http://wiki.intern", "wiki.intern/x", "a b", "a:99999", "a:b", ""]
)
def test_what_names_no_site_is_refused(site):
    with pytest.raises(UserError, match=r'crawl\.allow: found ".*wanted a host by its name'):
        Crawl(allow=(site,))


def test_a_refusal_says_which_setting_allows_it():
    assert all("crawl.allow" in fates.MEANING[f] for f in (fates.BAD_URL, fates.BLOCKED_ADDRESS))
    assert doctest.testmod(step).failed == doctest.testmod(crawl_settings).failed == 0


def test_a_crawl_that_names_sites_is_another_one_and_all_others_keep_their_names():
    plain, own = Crawl(), Crawl(allow=("b.intern:81", "a.intern"))
    assert "allow" not in settings(plain, identity=True)
    assert settings(own, identity=True)["allow"] == ["b.intern:81", "a.intern"]
    assert "allow" not in json.loads(Profile.of(plain).note()[1])
    there = Profile.read(Profile.of(own).note()[1])
    assert there == Profile.of(own)
    assert there
    assert there.pages_serve(Profile.of(own))
    assert not there.pages_serve(Profile.of(plain))
    assert Profile.of(plain).pages_serve(there)


def test_the_address_of_a_site_that_is_named_may_be_one_of_version_6():
    async def whole():
        async def names(_name):
            return ["fd00::5"]

        resolver = Resolver(Crawl(contact="me", allow=("wiki.intern:8080",)), names)
        (found,) = await resolver.resolve("wiki.intern", 8080, own=True)
        info = (socket.AF_INET6, socket.SOCK_STREAM, 0, "")
        resolver.socket((*info, (found["host"], found["port"], 0, 0))).close()
        with pytest.raises(BlockedError):
            resolver.socket((*info, (found["host"], 80, 0, 0)))
        await resolver.close()

    asyncio.run(whole())
