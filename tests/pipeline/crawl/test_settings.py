from dataclasses import fields, replace

import pytest

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stage import settings
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.settings import Crawl

HOME = ("*:80:127.0.0.1:8080", "*:443:127.0.0.1:8443")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delay": -1}, r"crawl\.delay: found -1, wanted 0 or more"),
        ({"delay": float("nan")}, r"crawl\.delay: found nan"),
        ({"delay": 90.0}, r"crawl\.max_delay: found 60\.0, wanted 90 or more"),
        ({"timeout": 0}, r"crawl\.timeout: found 0"),
        ({"hosts_in_flight": 0}, r"crawl\.hosts_in_flight: found 0, wanted 1"),
        ({"max_redirects": -1}, r"crawl\.max_redirects"),
        ({"connect_to": ("localhost:80",)}, r'connect_to: found "localhost:80", wanted HOST:PORT'),
        ({"user_agent": "(nobody)"}, r"user_agent: found"),
        (
            {"connect_to": ("*:80:127.0.0.1:99999",)},
            r"connect_to: found .*wanted a port up to 65535",
        ),
        ({"contact": "https://example.org/bot\n"}, r"contact: found .*wanted a single line"),
        ({"user_agent": "bot\r\nX: y"}, r"user_agent: found .*wanted a single line"),
    ],
)
def test_a_setting_that_cannot_work_is_named(change, message):
    with pytest.raises(UserError, match=message):
        replace(Crawl(), **change)


def test_a_crawl_that_leaves_home_names_who_crawls():
    with pytest.raises(UserError, match=r"crawl\.contact: empty.*contact = "):
        Crawl().check_contact()
    with pytest.raises(UserError, match="contact"):
        Crawl(connect_to=HOME[:1]).check_contact()
    for fine in (
        Crawl(contact="me@example.org"),
        Crawl(connect_to=HOME),
        Crawl(connect_to=("*:*:127.0.0.1:80",)),
        Crawl(allow_private=True),
    ):
        fine.check_contact()


def test_the_user_agent_carries_the_contact():
    assert (
        Crawl(contact="https://example.org/bot").agent == "webtext/0.1 (+https://example.org/bot)"
    )
    assert Crawl().agent == "webtext/0.1"
    assert Crawl(user_agent="own-bot/2").agent == "own-bot/2"
    assert Crawl(user_agent="own-bot/2").product == "own-bot"


def test_how_fast_a_crawl_runs_is_no_part_of_what_it_makes():
    slow = Crawl(contact="x", delay=9, delay_per_ip=9, hosts_in_flight=3, connect_to=HOME)
    assert settings(slow, identity=True) == settings(Crawl(), identity=True)
    assert settings(Crawl(max_body=5), identity=True) != settings(Crawl(), identity=True)
    assert settings(slow) != settings(Crawl())
    assert {f.name for f in fields(Crawl)} == set(settings(Crawl()))


def test_every_fate_has_a_meaning():
    named = {
        value for name, value in vars(fates).items() if name.isupper() and value != fates.MEANING
    }
    assert {fate for fate in named if isinstance(fate, str)} == set(fates.MEANING)
    assert set(fates.MEANING) >= fates.HOST_FAULTS
    assert all(fate.startswith("crawl.") for fate in fates.MEANING)
