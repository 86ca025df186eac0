"""A crawl is killed while it takes over what others hold, and while it fetches the rest."""

import os
import signal
from pathlib import Path

from tests.pipeline.crawl.fakes import EAGER, FakeWeb, links, page
from tests.pipeline.crawl.survival import clean, start
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier import held
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.crawl.sink import Sink

HELD = [
    [f"http://h{i}.test/{j}" for i in range(s, 18, 3) for j in range(1 + i % 4)] for s in range(3)
]
NEW = [[f"http://n{i}.test/{j}" for i in range(s, 9, 3) for j in range(4)] for s in range(3)]
DEATHS = [  # whose call, and at the how manieth
    (held, "_named", 1),
    (held, "note_references", 1),
    (held, "_offer", 3),
    (held.recovery, "finish_hosts", 1),
    (Sink, "sync", 1),
    (held, "references", 1),
]


class Notes(FakeWeb):
    """A web that writes down what it is asked, in a file that outlives its process."""

    def __init__(self, log: Path) -> None:
        super().__init__(lambda url, _: page(url, url.encode() * 9), latency=0.002)
        self.log = log

    async def ask(self, url: str) -> None:
        with self.log.open("a") as file:
            file.write(f"{url}\n")
        await super().ask(url)


def crawl_beside(tmp_path: Path, _port: int, phase: str = "") -> None:
    """Crawl `links-all` beside `pages-first`, and die in `phase`."""
    held.ROWS, loop.GATHER = 8, 0.01
    if phase:
        owner, name, times = DEATHS[int(phase)]
        whole, left = getattr(owner, name), [times]

        def dying(*args):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(*args)

        setattr(owner, name, dying)
    out = Directory(tmp_path / "pages-second")
    web = Notes(tmp_path / "log")
    crawl(EAGER, Directory(tmp_path / "links-all"), out, fetcher=web)


def test_no_kill_costs_a_page_that_is_held(tmp_path):
    for number in range(2):  # each holds a part, the second one more and of the same settings
        home = Directory(tmp_path / f"pages-first{number}")
        made = links(tmp_path / f"links-{number}", *[s[: 2 + 3 * number] for s in HELD])
        web = FakeWeb(lambda url, _: page(url, url.encode() * 9))
        home.path.mkdir()
        crawl(EAGER, made, home, fetcher=web)
    known = {row for shard in HELD for row in shard[:5]}
    before = {path: path.read_bytes() for path in tmp_path.glob("pages-first*/*.warc.gz")}
    every = [[*a[:5], *b] for a, b in zip(HELD, NEW, strict=True)]
    links(tmp_path / "links-all", *every)

    for phase in map(str, range(len(DEATHS))):
        process = start(tmp_path, 0, phase, crawl_beside)
        process.join(100)
        assert process.exitcode == -signal.SIGKILL, f"it did not die in {DEATHS[int(phase)]}"
    process = start(tmp_path, 0, "", crawl_beside)
    process.join(100)
    assert process.exitcode == 0

    asked = (tmp_path / "log").read_text().split()
    assert known.isdisjoint(asked)
    assert {url for shard in NEW for url in shard} == set(asked)
    pages = Directory(tmp_path / "pages-second")
    rows = [row for path in pages.shards("outcomes") for row in read_shard(path).to_pylist()]
    assert [row["url"] for row in rows] == [url for shard in every for url in shard]
    assert {row["dropped_by"] for row in rows} == {None}
    assert all(row["warc_file"].startswith("../pages-first") for row in rows if row["url"] in known)
    own = [row for row in rows if row["url"] not in known]
    assert all("/" not in row["warc_file"] for row in own)
    assert {path: path.read_bytes() for path in before} == before
    clean(pages.path)
    assert not [path for path in pages.path.rglob("*") if "partial" in path.name]
