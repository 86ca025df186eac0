import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.crawl.policy import robots


def allowed(text, path, product="webtext"):
    rules = robots.parse(text.encode(), product)
    return robots.judge(rules, f"http://host.test{path}")


# The examples of RFC 9309, section 5 and 2.2, and the matching table of section 2.2.3.
RFC = """User-agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-agent: barbot
User-agent: bazbot
Disallow: /example/page.html

User-agent: quxbot
"""


@pytest.mark.parametrize(
    ("product", "path", "verdict"),
    [
        ("webtext", "/a.gif", False),
        ("webtext", "/a.gif?x", True),
        ("webtext", "/example/a", False),
        ("webtext", "/publications/a", True),
        ("webtext", "/publications/a.gif", True),
        ("foobot", "/", False),
        ("FooBot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("barbot", "/example/page.html", False),
        ("bazbot", "/example/page.html", False),
        ("bazbot", "/a.gif", True),
        ("quxbot", "/example/page.html", True),
        ("foo", "/publications/", True),
        ("foobots", "/publications/", True),
    ],
)
def test_the_standards_own_example_is_read_as_it_says(product, path, verdict):
    assert allowed(RFC, path, product).allowed is verdict


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("webtext", True),
        ("WebText", True),
        ("webtext/1.0", True),
        ("web", False),
        ("webtextbot", False),
    ],
)
def test_a_group_is_ours_by_its_whole_name(name, ours):
    assert allowed(f"User-agent: {name}\nDisallow: /", "/a").allowed is not ours


def test_the_rule_that_decided_is_named():
    text = "User-agent: *\nDisallow: /a\nAllow: /a/b*c$\n"
    assert allowed(text, "/a/x").why == "disallow: /a (*)"
    assert allowed(text, "/a/bxc").why == "allow: /a/b*c$ (*)"
    assert allowed(text, "/z").why == "allow: no rule matches (*)"
    assert allowed("User-agent: otherbot\nDisallow: /", "/").why == "allow: no group for us"
    assert (
        allowed("User-agent: *\nDisallow: /caf\xe9", "/caf%C3%A9").why == "disallow: /caf\xe9 (*)"
    )


words = st.sampled_from(
    [
        "User-agent: *",
        "User-agent: webtext",
        "User-agent: web",
        "Disallow: /",
        "Allow: /a",
        "Disallow: /a*b$",
        "Crawl-delay: 3",
        "# x",
        "",
        "Sitemap: http://x/",
        "Disallow: /%7Ea",
        "Content-Usage: /a ai=n",
    ]
)


@given(st.lists(words).map("\n".join), st.sampled_from(["/", "/a", "/axb", "/~a", "/b?a"]))
def test_the_record_names_a_rule_that_says_what_was_decided(text, path):
    verdict = allowed(text, path)
    assert verdict.why.startswith("allow") is verdict.allowed


@given(
    st.binary(max_size=500),
    st.sampled_from([b"", b"\xff\xfe", b"\xef\xbb\xbf", b"User-agent: *\n"]),
)
def test_no_file_raises(body, start):
    rules = robots.parse(start + body, "webtext")
    robots.judge(rules, "http://host.test/a")
    robots.usage_signals(rules, "http://host.test/a")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, None),
        (204, None),
        (401, "allow"),
        (404, "allow"),
        (429, "unreachable"),
        (500, "unreachable"),
        (503, "unreachable"),
        (304, "unreachable"),
        (999, "unreachable"),
    ],
)
def test_a_status_says_what_the_standard_says(status, state):
    rules = robots.of_status(status, None)
    assert (rules.state if rules else None) == state


def test_half_a_mebibyte_is_read_up_to_the_last_whole_line():
    line = b"Disallow: /%07d\n"
    body = b"User-agent: *\n" + b"".join(line % n for n in range(50_000))
    cut = robots.cut(body)
    assert len(cut) <= robots.MAX_BYTES
    assert robots.MAX_BYTES - len(cut) < len(line % 0)
    assert cut.endswith(b"\n")
    assert robots.cut(b"x" * 600_000) == b""


@pytest.mark.parametrize(
    "rule",
    ["Disallow: /" + "*a" * 5000 + "b", "Disallow: /" + "*" * 9000, "Disallow: /a\n" * 40_000],
)
def test_no_rule_takes_long_to_apply(rule):
    rules = robots.parse(b"User-agent: *\n" + rule.encode(), "webtext")
    began = time.process_time()
    robots.judge(rules, "http://host.test/" + "a" * 5000)
    assert time.process_time() - began < 1.0  # s of CPU; in truth about a millisecond


def test_content_usage_is_read_from_our_group_and_the_longest_path_decides():
    text = (
        "User-agent: *\nContent-Usage: ai=n\nUser-agent: webtext\nAllow: /\n"
        "Content-Usage: /blog train-ai=n\nContent-Usage: train-ai=y\n"
    )
    rules = robots.parse(text.encode(), "webtext")
    (blog,) = robots.usage_signals(rules, "http://host.test/blog/1")
    (rest,) = robots.usage_signals(rules, "http://host.test/")
    assert blog.reserves
    assert not rest.reserves
    assert robots.usage_signals(robots.parse(text.encode(), "other"), "http://h/")[0].reserves


def test_rules_are_forgotten_after_a_day_and_failures_sooner():
    cache = robots.Cache(failure_seconds=30)
    cache.put("a", robots.parse(b"", "webtext"), now=0)
    cache.put("b", robots.unreachable("status 500"), now=0)
    cache.put("c", robots.unreachable("status 429", retry_after=100.0), now=0)
    assert [cache.get(key, 29) is not None for key in "abc"] == [True, True, True]
    assert [cache.get(key, 31) is not None for key in "abc"] == [True, False, True]
    assert [cache.get(key, 86_399) is not None for key in "abc"] == [True, False, False]
    assert cache.get("a", 86_400) is None


def test_the_cache_stays_within_its_memory():
    rules = robots.parse(b"User-agent: *\nDisallow: /a\n" * 1000, "webtext")
    cache = robots.Cache(failure_seconds=1, most=5 * robots.cost(rules))
    for number in range(20):
        cache.put(str(number), rules, now=0)
        cache.get("0", 0)  # used all the time, so kept
    assert [key for key in map(str, range(20)) if cache.get(key, 1)] == [
        "0",
        "16",
        "17",
        "18",
        "19",
    ]
