import random

import numba
import numpy as np
import pytest

from webtext.pipeline.urls import domains, urls

EXCLUDED = ("example.com", "blogspot.com", "uk", "www.ck")
NAMES = domains.names(frozenset(EXCLUDED))
LABELS = ["a", "www", "b-c", "example", "ck", "com", "uk", "co", "kobe", "city", "blogspot", "jp"]


@numba.njit
def site(names, at, size):
    return domains.site(names, at, at + size)


def found(host):
    text = np.frombuffer(host.encode(), np.uint8)
    begin, excluded = site(NAMES, text.ctypes.data, len(text))
    return host[begin - text.ctypes.data :], excluded


def is_excluded(host):
    return any(f".{host}".endswith(f".{name}") for name in EXCLUDED)


@pytest.mark.parametrize(
    "host",
    ["com", "uk", "www.ck", "a.www.ck", "a.ck", "b.a.ck", "city.kobe.jp", "a.b.kobe.jp", "x.y"],
)
def test_a_site_is_what_the_public_suffix_list_says(host):
    assert found(host) == (urls.registrable(host), is_excluded(host))


def test_sites_under_every_public_suffix_are_those_of_tldextract():
    rng = random.Random(1)
    for rule in urls.public_suffixes():
        if rule.isascii():
            suffix = rule.replace("*", rng.choice(LABELS)).removeprefix("!")
            host = ".".join([*rng.choices(LABELS, k=rng.randrange(3)), suffix])
            assert found(host) == (urls.registrable(host), is_excluded(host))
