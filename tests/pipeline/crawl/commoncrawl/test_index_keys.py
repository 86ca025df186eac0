"""The keys by which pages are sought are those of the package that indexes are made with."""

import json
import subprocess
import sys
from contextlib import suppress
from itertools import islice

import zstandard

from webtext.pipeline.crawl.commoncrawl.captures import index_key
from webtext.pipeline.urls import urls

ADDRESSES = [
    "https://www.example.com//a//b/?d=%252F&C&c=%41#x",
    "http://example.com:8080/A%20b/(c)?",
    "http://example.com./?&x=1",
    "http://192.0.2.7/a/",
    "http://www2.bücher.example/ü?q=ü%C3%BC&sid=0123456789abcdef0123456789abcdef",
    "http://example.com/a;jsessionid=0123456789ABCDEF0123456789ABCDEF?b=http%3A%2F%2Fc.d%2F",
    "http://example.com/%25?%26=%23",
]


def keys_of_surt(given):
    code = "import surt, sys\nfor line in sys.stdin: print(surt.surt(line[:-1]))"
    text = "".join(f"{url}\n" for url in given)
    command = [sys.executable, "-W", "ignore", "-c", code]
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return dict(zip(given, said.splitlines(), strict=True))


def test_a_page_is_sought_under_the_key_that_indexes_give_it():
    given = [*map(urls.normalise, ADDRESSES)]
    assert {url: index_key(url) for url in given} == keys_of_surt(given)


def test_real_links_are_sought_under_the_keys_that_indexes_give_them(shared):
    given = []
    with zstandard.open(shared / "links/RS_top2013_sample.jsonl.zst", "rt") as file:
        for line in islice(file, 0, None, 20):
            with suppress(ValueError):
                given.append(urls.normalise(json.loads(line)["url"]))
    assert len(given) > 1000
    assert {url: index_key(url) for url in given} == keys_of_surt(given)
