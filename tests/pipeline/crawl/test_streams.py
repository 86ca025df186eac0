"""Whatever bytes a host sends, its URL ends in a fate, in time and within bounds: tests/streams."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.streams.trial import run
from webtext.pipeline.crawl.fetch import Fetcher

ROOT = Path(__file__).resolve().parents[3]


def test_hundreds_of_hostile_streams_end_in_fates_of_the_closed_list():
    met, wrong = run(0, 300)
    assert wrong == []
    assert met.total() == 300
    assert len(met) >= 8


def test_what_breaks_is_told_with_its_seed(monkeypatch):
    whole = Fetcher.fetch

    async def broken(self, url, *more):
        if url == "http://3.test/":
            raise ValueError("as a library might")
        return await whole(self, url, *more)

    monkeypatch.setattr(Fetcher, "fetch", broken)
    met, (wrong,) = run(0, 5)
    assert wrong.startswith("seed 3, http://3.test/")
    assert wrong.endswith("ValueError: as a library might")
    assert met.total() == 4


@pytest.mark.slow
def test_five_thousand_hostile_streams_end_in_fates_and_in_bounded_memory():
    command = [sys.executable, "-m", "tests.streams", "--count", "5000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing wrong" in done.stdout
