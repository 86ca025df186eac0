"""What hosts permit: robots.txt and the other files, when they are asked for and by whom."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.case import page, plain, to
from tests.web.fetching import fetched, run
from tests.web.server import Peer, Site
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.policy import wellknown

TDM = (
    b'[{"location": "/blog/*", "tdm-reservation": 1},'
    b' {"location": "/blog/free", "tdm-reservation": 0}]'
)


DELAYED = plain(b"User-agent: *\nCrawl-delay: 1e9\nUser-agent: webtext\nCrawl-delay: 7\n")


def said(url, tdm=b"", ai=b""):
    found = wellknown.read({wellknown.TDMREP: tdm, wellknown.AI_TXT: ai}, "webtext")
    return wellknown.signals(found, f"http://host.test{url}")


def test_the_longest_location_of_a_tdmrep_file_decides():
    assert [signal.reserves for signal in said("/blog/a", TDM)] == [True]
    assert [signal.reserves for signal in said("/blog/free", TDM)] == [False]
    assert said("/about", TDM) == ()


@pytest.mark.parametrize(
    ("ai", "reserves"),
    [
        (b"User-Agent: *\nDisallow: /\n", True),
        (b"User-Agent: *\nDisallow: *.html\n", True),
        (b"User-Agent: *\nDisallow: *.jpg\nAllow: *.html\n", False),
        (b"# My site\nThis is a page about my site, for assistants.", False),
    ],
)
def test_an_ai_txt_is_read_as_a_robots_txt_is(ai, reserves):
    assert any(signal.reserves for signal in said("/a.html", ai=ai)) is reserves


@given(
    st.binary(max_size=200)
    | st.sampled_from([b"[" * 100_000, b"[1]", b"{}", b'[{"location": "#"}]'])
)
def test_no_file_raises(body):
    said("/a", body, body)


def test_the_files_are_asked_for_only_where_the_recipe_says_so():
    site = Site(page(), paths={wellknown.TDMREP: plain(TDM), wellknown.AI_TXT: plain(b"")})
    asked = []

    async def gate(url):
        asked.append(url)

    async def visit(fetcher):
        return [await fetcher.fetch(f"http://a.test{path}") for path in ("/blog/1", "/about")]

    (blog, about), web = run({"a.test": site}, visit, gate=gate, opt_out_files=True)
    assert (blog.fate, about.fate) == (fates.OPTED_OUT, None)
    assert blog.signals == ("tdmrep.json: /blog/* 1",)
    assert [path for _, path in web.requests] == ["/robots.txt", *wellknown.FILES, "/about"]
    assert asked[:3] == [f"http://a.test{path}" for _, path in web.requests[:3]]
    (blog, _), web = run({"a.test": site}, visit)
    assert blog.fate is None
    assert [path for _, path in web.requests] == ["/robots.txt", "/blog/1", "/about"]


def test_files_that_cannot_be_had_reserve_nothing():
    site = Site(
        page(), paths={wellknown.TDMREP: b"nonsense", wellknown.AI_TXT: plain(b"", "500 No")}
    )
    found, _ = run(
        {"a.test": site}, lambda fetcher: fetcher.fetch("http://a.test/"), opt_out_files=True
    )
    assert found.fate is None


def test_robots_txt_is_asked_for_once_by_all_who_want_it_at_once():
    async def visit(fetcher):
        return await asyncio.gather(*(fetcher.fetch(f"http://a.test/{n}") for n in range(5)))

    found, web = run({"a.test": Site(page())}, visit)
    assert [one.fate for one in found] == [None] * 5
    assert web.requests.count(("a.test", "/robots.txt")) == 1


def test_one_who_leaves_while_robots_txt_comes_does_not_spoil_it_for_others():
    async def slowly(peer: Peer):
        await asyncio.sleep(0.2)
        await peer.send(plain(b""))

    async def visit(fetcher):
        first = asyncio.ensure_future(fetcher.fetch("http://a.test/1"))
        second = asyncio.ensure_future(fetcher.fetch("http://a.test/2"))
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    found, _ = run({"a.test": Site(page(), slowly)}, visit)
    assert found.fate is None


def test_the_gate_is_asked_before_every_request():
    asked = []

    async def gate(url):
        asked.append(url)

    sites = {
        "a.test": Site(page(), to("http://c.test/robots.txt"), paths={"/": to("http://b.test/x")}),
        "b.test": Site(page()),
        "c.test": Site(page(), plain(b"")),
    }
    found, web = run(sites, lambda fetcher: fetcher.fetch("http://a.test/"), gate=gate)
    assert found.redirects == ("http://a.test/",)
    assert asked == [f"http://{host}{path}" for host, path in web.requests]
    assert asked == [
        "http://a.test/robots.txt",
        "http://c.test/robots.txt",
        "http://a.test/",
        "http://b.test/robots.txt",
        "http://b.test/x",
    ]


def test_a_turn_that_another_trip_made_needless_serves_for_the_page():
    """Two trips wait for one host: the first learns its rules, the second need not."""
    turns = []
    first_done = asyncio.Event()

    async def gate(url):
        turns.append(url)
        if len(turns) == 2:  # the second trip's turn, for robots.txt, comes after the first trip
            await first_done.wait()

    async def visit(fetcher):
        first = asyncio.ensure_future(fetcher.fetch("http://a.test/1"))
        second = asyncio.ensure_future(fetcher.fetch("http://a.test/2"))
        await first
        first_done.set()
        await second

    _, web = run({"a.test": Site(page())}, visit, gate=gate)
    assert turns == ["http://a.test/robots.txt"] * 2 + ["http://a.test/1"]
    assert web.requests == [("a.test", path) for path in ("/robots.txt", "/1", "/2")]


def test_no_timeout_runs_while_the_gate_holds_a_request_back():
    async def gate(_):
        await asyncio.sleep(0.4)

    found, _ = fetched({"a.test": Site(page())}, "http://a.test/", gate=gate, timeout=0.3)
    assert found.fate is None


def test_crawl_delay_is_ours_and_clamped():
    async def visit(fetcher):
        before = fetcher.crawl_delay("http://a.test/")
        await fetcher.fetch("http://a.test/")
        await fetcher.fetch("http://b.test/")
        return before, fetcher.crawl_delay("http://a.test/x"), fetcher.crawl_delay("http://b.test/")

    endless = Site(page(), plain(b"User-agent: *\nCrawl-delay: 1e9\n"))
    delays, _ = run({"a.test": Site(page(), DELAYED), "b.test": endless}, visit)
    assert delays == (None, 7.0, 60.0)


@pytest.mark.parametrize("asked", ["-1", "nan", "inf", "0", "soon"])
def test_a_crawl_delay_that_is_none_is_ignored(asked):
    async def visit(fetcher):
        await fetcher.fetch("http://a.test/")
        return fetcher.crawl_delay("http://a.test/")

    site = Site(page(), plain(f"User-agent: *\nCrawl-delay: {asked}\n".encode()))
    assert run({"a.test": site}, visit)[0] is None


def test_an_unreachable_robots_txt_is_asked_for_again_later():
    answers = [plain(b"", "503 Busy"), plain(b"")]

    async def better(peer: Peer):
        await peer.send(answers.pop(0))

    async def visit(fetcher):
        first = await fetcher.fetch("http://a.test/")
        second = await fetcher.fetch("http://a.test/")  # at once: nobody is asked
        await asyncio.sleep(0.3)
        return first.fate, second.fate, (await fetcher.fetch("http://a.test/")).fate

    fates_met, _ = run({"a.test": Site(page(), better)}, visit, backoff=0.5)
    assert fates_met == (fates.ROBOTS_UNREACHABLE, fates.ROBOTS_UNREACHABLE, None)


def test_a_location_that_no_text_can_have_is_left_out():
    tdm = b'[{"location": "/\\ud800", "tdm-reservation": 1},'
    tdm += TDM[1:].replace(b"/blog/*", b"/a")
    assert [signal.reserves for signal in said("/a", tdm)] == [True]
    assert said("/b", tdm) == ()


def test_a_robots_txt_that_leads_to_a_forgotten_site_is_not_followed():
    sites = {
        "a.test": Site(page(), robots=to("http://gone.test/robots.txt")),
        "gone.test": Site(page(), robots=plain(b"User-agent: *\nAllow: /\n")),
    }
    found, web = fetched(sites, "http://a.test/", forgotten=lambda url: "gone.test" in url)
    assert found.fate is not None
    assert [host for host, _ in web.requests] == ["a.test"]
