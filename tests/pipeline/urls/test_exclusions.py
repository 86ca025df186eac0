"""Entries of `links.exclude_domains` have an effect, or are refused."""

import pytest

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.urls.urls import normalise


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("münchen.de", "http://www.münchen.de/"),
        (" example.com\t", "http://example.com/"),
        ("*.Example.com.", "http://a.b.example.com/"),
        ("ru", "http://example.ru/"),
        ("[0:0::1]", "http://[::1]/"),
    ],
)
def test_an_entry_excludes_the_hosts_that_it_names_however_it_is_spelt(entry, url):
    settings = Harvest(exclude_domains=(entry,), lists=())
    assert settings.exclusions().objection(normalise(url)).reason == "domain"
    assert settings.exclusions().objection("http://example.org/") is None
    assert Harvest(exclude_domains=settings.exclude_domains) == Harvest(exclude_domains=(entry,))


@pytest.mark.parametrize(
    "entry",
    ["https://example.com", "example.com/", "example.com:80", "a b.com", "", "a@b.c", "a.*.com"],
)
def test_an_entry_that_no_host_could_match_is_refused(entry):
    with pytest.raises(UserError, match=r"no host name .*; wanted one such as example\.com"):
        Harvest(exclude_domains=(entry,))


def test_entries_that_had_an_effect_stay_as_they_are_and_so_do_the_names_of_directories():
    entries = ("wikipedia.org", "*.Example.COM", ".ads.test.", "127.0.0.1", "localhost")
    assert Harvest(exclude_domains=entries).exclude_domains == entries
