"""A Dask cluster of one worker, which the tests of this folder share: it takes 2 s of CPU."""

import pytest

from webtext.flows.cluster.connecting import opened


@pytest.fixture(scope="package")
def heard():
    return []


@pytest.fixture(scope="package")
def runner(tmp_path_factory, heard):
    """A worker on loopback, which many tests share."""
    with opened(None, 1, tmp_path_factory.mktemp("cluster") / "data", heard.append) as found:
        yield found
