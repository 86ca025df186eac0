"""A small Common Crawl, which the tests of this folder share."""

import pytest

from tests.pipeline.crawl.commoncrawl.common_crawl import indexed, written


@pytest.fixture(scope="package")
def home(tmp_path_factory):
    """A Common Crawl of two crawls, with both kinds of index."""
    from tests.pipeline.crawl.commoncrawl.test_commoncrawl import RECORDS

    home = tmp_path_factory.mktemp("commoncrawl")
    for crawl, records in RECORDS.items():
        half = len(records) // 2
        for number, part in enumerate((records[:half], records[half:])):
            folder = home / f"crawl-data/{crawl}/segments/1/warc"
            written(folder / f"{crawl}-{number:05d}.warc.gz", part)
        indexed(home, crawl)
    return home
