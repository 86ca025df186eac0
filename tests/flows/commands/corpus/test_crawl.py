"""The crawl as a command of its own."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest
import zstandard

from tests.flows.conftest import command, environment, webtext
from webtext.flows.building.settings import load
from webtext.flows.commands.corpus.crawl import next_round
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError


@pytest.fixture(scope="module")
def urls(small_web, tmp_path_factory) -> Path:
    """A list of pages of the small web, most of them of one host."""
    with zstandard.open(small_web.dump, "rt", encoding="utf-8") as file:
        found = dict.fromkeys(re.findall(r'"url": ?"(http://[\w./-]+)"', file.read(), re.ASCII))
    hosts = Counter(urlsplit(url).netloc for url in found)
    busy, _ = hosts.most_common(1)[0]
    path = tmp_path_factory.mktemp("urls") / "urls.txt"
    of_busy = [url for url in found if urlsplit(url).netloc == busy][:12]
    others = [url for url in found if urlsplit(url).netloc != busy][:8]
    path.write_text("".join(f"{url}\n" for url in of_busy + others))
    return path


def options(small_web, *more: str) -> list[str]:
    found = [part for part in small_web.options if "links." not in part and "tokens." not in part]
    paired = [part for part in found if part != "--set"]
    quick = ["crawl.attempts = 1", "crawl.backoff = 0.2", "crawl.delay_per_ip = 0"]
    return [part for line in [*paired, *quick, *more] for part in ("--set", line)]


def outcomes(home: str) -> dict[str, str]:
    rows = pl.read_parquet(f"{home}/outcomes/*.parquet").to_dicts()
    found = {row["url"]: row["dropped_by"] for row in rows}
    assert len(found) == len(rows)
    return found


def test_a_list_of_urls_is_crawled_and_killed_and_gone_on_with(small_web, urls, tmp_path):
    slow = options(small_web, "crawl.delay = 0.3")
    arguments = ("crawl", urls, "--data", tmp_path, "--contact", "me@example.org", *slow)
    with subprocess.Popen(command(*arguments), env=environment(), stderr=subprocess.PIPE) as begun:
        deadline = time.monotonic() + 240
        while sum(path.stat().st_size for path in tmp_path.glob("pages-*/*.warc.gz")) < 4_000:
            assert time.monotonic() < deadline, begun.poll()
            time.sleep(0.05)
        os.kill(begun.pid, signal.SIGKILL)
        said = begun.stderr.read().decode()
    busy = urlsplit(urls.read_text().split()[0]).netloc
    assert f"politeness alone makes this crawl take 0:00:04 or more: {busy} has 12 links" in said

    done = webtext(*arguments)
    assert done.returncode == 0, done.stderr
    home = done.stdout.strip()
    assert home == str(next(tmp_path.glob("pages-*")))
    assert set(outcomes(home)) == set(urls.read_text().split())
    assert list(outcomes(home).values()).count(None) >= 12

    again = webtext(*arguments)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert f"nothing to do: {home} is whole" in again.stderr


def test_a_harvest_is_crawled_wherever_it_lies(small_web, urls, tmp_path):
    listed = f"links.sources = ['{urls}']"
    first = ("build", "webtext", "--no-prefect", "--until", "links", "--set", listed)
    assert webtext(*first, "--data", tmp_path / "a").returncode == 0
    harvest = webtext("path", "links", "--data", tmp_path / "a").stdout.strip()
    quick = options(small_web, "crawl.delay = 0.01")
    done = webtext("crawl", harvest, "--data", tmp_path / "b", *quick)
    assert done.returncode == 0, done.stderr
    assert len(outcomes(done.stdout.strip())) == len(urls.read_text().split())
    assert webtext("path", "pages", "--data", tmp_path / "b").stdout == done.stdout


def test_a_table_is_crawled_whatever_its_scores(small_web, urls, tmp_path):
    table = pl.DataFrame({"url": urls.read_text().split()[-3:], "score": [-5, 0, None]})
    table.write_parquet(tmp_path / "urls.parquet")
    quick = options(small_web, "crawl.delay = 0.01")
    done = webtext("crawl", tmp_path / "urls.parquet", "--data", tmp_path / "data", *quick)
    assert done.returncode == 0, done.stderr
    assert set(outcomes(done.stdout.strip())) == set(table["url"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.txt"], "missing.txt"),
        (["urls.txt"], "crawl.contact: empty"),
        (["urls.txt", "--contact", "me@example.org", "--set", "crawl.dely = 2"], "mean delay"),
        (["."], "no manifest.json"),
    ],
)
def test_a_mistake_is_said_before_anything_is_fetched(tmp_path, arguments, said):
    (tmp_path / "urls.txt").write_text("http://example.com/\n")
    done = webtext("crawl", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_pages_are_refreshed_and_what_did_not_change_stays_where_it_was(small_web, urls, tmp_path):
    quick = options(small_web, "crawl.delay = 0.01")
    first = webtext("crawl", urls, "--data", tmp_path, *quick).stdout.strip()
    done = webtext("refresh", first, "--data", tmp_path)
    assert done.returncode == 0, done.stderr
    second = done.stdout.strip()
    assert second != first
    assert outcomes(second) == outcomes(first)
    rows = pl.read_parquet(f"{second}/outcomes/*.parquet").filter(pl.col("dropped_by").is_null())
    assert set(rows["revisit"]) == {"identical-payload-digest"}
    assert all(name.startswith(f"../{Path(first).name}/") for name in rows["payload_file"])
    again = webtext("refresh", first, "--data", tmp_path)
    assert again.stdout == done.stdout
    assert "nothing to do" in again.stderr


@pytest.mark.slow
def test_a_recipe_is_refreshed_round_by_round(small_web, urls, tmp_path):
    lines = [*options(small_web, "crawl.delay = 0.01"), "--set", f"links.sources = ['{urls}']"]
    where = ("webtext", "--data", tmp_path, *lines)
    recipe = load("webtext", [line for line in lines if line != "--set"])
    with pytest.raises(UserError, match="no whole crawl of this recipe yet"):
        next_round(recipe, tmp_path)
    with pytest.raises(UserError, match=r"documents\.sources: what was not crawled here"):
        next_round(load("webtext", ["documents.sources = ['own.jsonl']"]), tmp_path)
    assert webtext("build", *where, "--until", "pages", "--no-prefect").returncode == 0
    done = webtext("refresh", *where)
    assert done.returncode == 0, done.stderr
    assert "to build on it: --set 'crawl.refreshes = 1'" in done.stderr
    recipe, planned = next_round(recipe, tmp_path)
    assert recipe.crawl.refreshes == 2
    homes = [str(step.home) for step in planned]
    assert [step.done for step in planned] == [True, True, True, False]
    assert homes[2] == done.stdout.strip()
    assert homes[2] in map(str, planned[3].inputs)
    assert homes[3] == str(Build(recipe, tmp_path).plan("pages")[-1].home)
