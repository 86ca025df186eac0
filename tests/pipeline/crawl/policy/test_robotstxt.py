import pytest

from webtext.pipeline.crawl.http.messages import Head
from webtext.pipeline.crawl.policy import optout, robots, robotstxt

DENY = "Disallow: /x\n"


def denied(text, path="/x", product="webtext"):
    body = text if isinstance(text, bytes) else text.encode()
    return not robots.judge(robots.parse(body, product), path).allowed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("User-agent: webtext\nCrawl-delay: 4\nUser-agent: other\n" + DENY, True),
        ("User-agent: webtext\nSitemap: http://h/s\nUser-agent: other\n" + DENY, True),
        ("User-agent: webtext\nnonsense\n\nUser-agent: other\n" + DENY, True),
        ("User-agent: webtext\nContent-Signal: ai-train=no\nUser-agent: b\n" + DENY, True),
        ("User-agent: webtext\nAllow: /y\nUser-agent: other\n" + DENY, False),
        ("User-agent: *bot*\n" + DENY, False),
        ("User-agent: *webtext*\n" + DENY, False),
        ("User-agent: * # all\n" + DENY, True),
        ("User-agent: * all of you\n" + DENY, True),
        ("User-agent: **\n" + DENY, False),
        ("User-agent: webtext/2.0 (+http://h/)\n" + DENY, True),
        ("User-agent: webtexts\n" + DENY, False),
        ("User-agent: *\n" + DENY + "User-agent: webtext\nAllow: /y", False),
        ("User-agent: webtext\nAllow: /y\nUser-agent: *\nAllow: /\nUser-agent: WebText\n" + DENY,
         True),
        (DENY, False),
        ("User-agent *\nDisallow /x\n", True),
        ("User-agent *\nDisallow /x and more\n", False),
        ("Useragent: *\nDissallow: /x\n", True),
        ("user agent: *\ndisalow: /x\n", True),
        ("\ufeffUser-agent: *\n" + DENY, True),
        ("\ufeff\ufeffUser-agent: *\n" + DENY, True),
        (b"\xef\xbbUser-agent: *\nDisallow: /x\n", True),
        (b"\xef\x11\xbfUser-agent: *\nDisallow: /x\n", False),
        ("\u200bUser-agent: *\n" + DENY, True),
        ("User-agent: *\rDisallow: /x\r", True),
        ("User-agent: *\nDisallow: /y\u2028Disallow: /x\n", False),
        ("User-agent: *\x0bDisallow: /x\n", False),
        ("User-agent: *\nDisallow:\n", False),
        ("User-agent: *\nDisallow: x\n", False),
        ("User-agent: *\nDisallow: /x#y\n", True),
        ("User-agent: *\nDisallow: /x\nAllow: /x\n", False),
        ("User-agent: *\nDisallow: /x\nAllow: /*\n", False),
        ("User-agent: *\nDisallow: /X\n", False),
        ("User-agent: *\nDisallow: /%78\n", True),
        ("User-agent:*\nDISALLOW:/x\n", True),
        ("User-agent: *\n\n\nDisallow: /x\n", True),
        ("User-agent: a\n\nUser-agent: *\n" + DENY, True),
        ("User-agent: *\nDisallow: /\nAllow: /x$\n", False),
        ("User-agent: *\nDisallow: *x\n", True),
        ("User-agent: *\nAllow: /\n" + DENY, True),
        ("User-agent: web\n" + DENY, False),
        ("User-agent: webtext-news\n" + DENY, False),
        ("User-agent: other\nUser-agent: webtext\n" + DENY, True),
        ("User-agent: *\nNoindex: /x\n", False),
        ("User-agent: *\nDisallow: /x/\n", False),
        ("User-agent: *\nDisallow: /x*y\n", False),
        ("Sitemap: http://h/s\nHost: h\nUser-agent: *\n" + DENY, True),
        ("<html><body>User-agent: *\nDisallow: /x\n", False),
        (b"\xff\xfe" + ("User-agent: *\n" + DENY).encode("utf-16-le"), True),
    ],
)  # fmt: skip
def test_a_file_is_read_as_it_was_meant(text, expected):
    assert denied(text) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "match"),
    [
        ("/a*b*c", "/a1b2c3", True),
        ("/a*b*c$", "/a1b2c3", False),
        ("/a*b*c$", "/abcbc", True),
        ("/a$", "/a", True),
        ("/a$", "/a?b", False),
        ("/a$b", "/a$b", True),
        ("*", "/", True),
        ("*.php", "/a/b.php?c", True),
        ("/caf\u00e9", "/caf%C3%A9", True),
        ("/a%2fb", "/a%2Fb", True),
        ("/a%2fb", "/a/b", False),
        ("/%7euser", "/~user", True),
    ],
)
def test_a_pattern_matches_what_it_should(pattern, path, match):
    assert robotstxt.matches(robotstxt.compared(pattern.encode()), path.encode()) is match


def test_an_index_page_that_is_allowed_allows_its_folder():
    text = "User-agent: *\nDisallow: /\nAllow: /a/index.html\n"
    assert [denied(text, path) for path in ("/a/", "/a/b", "/a/index.html")] == [False, True, False]


@pytest.mark.parametrize(
    ("said", "delay"),
    [("2", 2.0), ("0.5", 0.5), ("-1", None), ("soon", None), ("nan", None), ("10 # s", 10.0)],
)
def test_a_delay_is_a_number_of_seconds(said, delay):
    assert robots.parse(f"User-agent: *\nCrawl-delay: {said}".encode(), "webtext").delay == delay


@pytest.mark.parametrize(
    ("value", "reserves"),
    [
        ("ai-train=no", True),
        ("search=yes, ai-train=no", True),
        ("search=yes,ai-input=no", False),
        ("AI-Train = no", True),
        ("ai-train=yes", False),
    ],
)
def test_a_content_signal_says_whether_training_is_reserved(value, reserves):
    (told,) = optout.in_headers(Head.of(200, [("Content-Signal", value)]), "webtext")
    rules = robots.parse(f"User-agent: *\nContent-Signal: {value}".encode(), "webtext")
    (stated,) = robots.usage_signals(rules, "http://h.test/a")
    assert (told.reserves, stated.reserves) == (reserves, reserves)


@pytest.mark.parametrize(
    ("rule", "path", "is_denied"),
    [
        ("/", "/robots.txt", False),
        ("/robots", "/robots.txt", False),
        ("/robots", "/robots.txt?a", True),
        ("/a b", "/a%20b", True),
        ("/a%20b", "/a b", True),
        ("/a b", "/a", False),
        ("/a%2A.html", "/a*.html", True),
        ("/a%2a.html", "/a%2A.html", True),
        ("/a%2A.html", "/ab.html", False),
        ("/a%24", "/a$b", True),
        ("/a$b", "/a$b", True),
        ("/a$b", "/a", False),
        ("/a*b", "/a*b", True),
        ("/a$", "/a$", False),
        ("/caf%E9", "/caf\udce9", True),  # a byte of a command line that is not UTF-8
    ],
)
def test_a_rule_and_a_path_mean_the_same_however_they_are_spelt(rule, path, is_denied):
    assert denied(f"User-agent: *\nDisallow: {rule}\n", path) is is_denied
