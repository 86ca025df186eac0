"""A crawl whose disk is full, truly or by a limit of the system, or fails: nothing is lost."""

import errno
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.crawl.fakes import EAGER, MANY, FakeWeb, links, unsteady
from tests.pipeline.crawl.survival import Server, check, conserved, crawl_in, hosts, start
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.http import loop

ROOT = Path(__file__).resolve().parents[3]


def filled(tmp_path, own_disk, urls, size, step):
    """Crawl onto a disk of `size` kB that grows by `step` whenever it is full; check what is left.

    Returns how many times it was full.
    """
    (tmp_path / "pages").mkdir()
    links(tmp_path / "links", *urls)
    command = [sys.executable, "-m", "tests.pipeline.crawl.small_disk", str(tmp_path)]
    with Server() as server:
        run = subprocess.run(
            [*own_disk, *command, str(server.port), str(size), str(step)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    (tmp_path / "pages").rmdir()
    (tmp_path / "whole").rename(tmp_path / "pages")
    check(conserved(tmp_path, urls), server)
    return int(run.stdout)


def said(tmp_path):
    """Return what the crawl said each time it could not go on."""
    lines = (tmp_path / "said").read_text().splitlines()
    assert all("cannot write (" in line and "run the same command again" in line for line in lines)
    return lines


def test_a_crawl_on_a_full_disk_goes_on_once_there_is_room(tmp_path, own_disk):
    full = filled(tmp_path, own_disk, hosts(100), 700, 500)  # kB, most of it SQLite's log
    assert full == len(said(tmp_path)) >= 2


@pytest.mark.slow
def test_two_thousand_hosts_survive_a_full_disk(tmp_path, own_disk):
    full = filled(tmp_path, own_disk, hosts(2000), 1000, 400)
    lines = said(tmp_path)
    assert full == len(lines) >= 8
    assert any(" 0 of" not in line for line in lines)


def crawl_with_small_files(tmp_path, port, most):
    """Crawl where no file may grow beyond so many bytes: a write is cut short there, then fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), resource.RLIM_INFINITY))
    crawl_in(tmp_path, port)


def limited(tmp_path, urls, size, step):
    """Crawl under a limit of `size` bytes a file that is raised whenever it is met."""
    (tmp_path / "pages").mkdir()
    links(tmp_path / "links", *urls)
    met = 0
    with Server() as server:
        while True:
            most = str(size + met * step)
            process = start(tmp_path, server.port, most, crawl_with_small_files)
            process.join(250)
            if process.exitcode == 0:
                break
            assert process.exitcode == 2
            met += 1
    check(conserved(tmp_path, urls), server)
    return met


def test_a_crawl_whose_files_may_not_grow_goes_on_once_they_may(tmp_path):
    met = limited(tmp_path, hosts(100), 4000, 30_000)
    assert met == len(said(tmp_path)) >= 4


@pytest.mark.slow
def test_two_thousand_hosts_survive_a_limit_of_their_files(tmp_path):
    met = limited(tmp_path, hosts(2000), 20_000, 200_000)
    lines = said(tmp_path)
    assert met == len(lines) >= 8
    assert any(" 0 of" not in line for line in lines)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_at_any_write_is_said_and_mended(tmp_path, monkeypatch, code):
    monkeypatch.setattr(loop, "GATHER", 0.01)
    (tmp_path / "pages").mkdir()
    made = links(tmp_path / "links", *MANY)
    rng, write = random.Random(code), os.write
    for _ in range(5):
        left = rng.randint(0, 30)

        def failing(descriptor, data):
            nonlocal left
            left -= 1
            if left < 0:
                write(descriptor, data[: rng.randrange(len(data))])
                raise OSError(code, os.strerror(code))
            return write(descriptor, data)

        web = FakeWeb(unsteady, latency=0.002)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", failing)
            with pytest.raises(UserError, match="cannot write"):
                crawl(EAGER, made, Directory(tmp_path / "pages"), fetcher=web)
    crawl(EAGER, made, Directory(tmp_path / "pages"), fetcher=FakeWeb(unsteady))
    conserved(tmp_path, MANY)
