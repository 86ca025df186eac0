"""Report, card, inspector, manifests and Croissant say the numbers that anybody counts.
Everything is counted here from the rows of the shards, and by none of the code that is asked.
"""

import hashlib
import html
import json
import re
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.flows.inspector.test_pages import seen, total
from webtext.pipeline.build import Build
from webtext.pipeline.core.visible import sized

HEADER = 1024  # bytes of a token shard before its tokens. Source: llm.c, dev/data/data_common.py


class Counted:
    """What the files of a build hold."""

    def __init__(self, build):
        self.homes = {step.name: home for step, home in build.made()}
        self.corpus = self.rows("corpus")
        self.links = len(self.rows("links"))
        self.lost = {
            name: Counter(row["dropped_by"] for row in self.rows(name, under) if row["dropped_by"])
            for name, under in (
                ("links", "dropped"),
                ("pages", "outcomes"),
                ("documents", "dropped"),
                ("corpus", "dropped"),
            )
        }
        del self.lost["pages"]["pages.not_linked"]  # records without a link are not in the funnel
        self.tokens = sum(
            (path.stat().st_size - HEADER) // np.dtype(np.uint16).itemsize
            for path in self.homes["tokens"].path.glob("*.bin")
        )

    def rows(self, name, under=""):
        shards = self.homes[name].shards(under)
        return [row for path in shards for row in pq.read_table(path).to_pylist()]

    def of(self, column):
        return Counter(row[column] for row in self.corpus)

    @property
    def bytes(self):
        return sum(len(row["text"].encode()) for row in self.corpus)

    @property
    def stages(self):
        """Yield the lines of the funnel: stage, read, kept, dropped by reason."""
        left = self.links + self.lost["links"].total()
        order = [("links", "links"), ("pages", "pages")]
        order += [("documents", name) for name in ("extract", "clean", "language", "rules")]
        for home, stage in [*order, ("corpus", "dedup")]:
            gone = {why: n for why, n in self.lost[home].items() if why.partition(".")[0] == stage}
            yield stage, left, left - sum(gone.values()), gone
            left -= sum(gone.values())


@pytest.fixture(scope="module")
def build(built):
    return Build(None, built)


@pytest.fixture(scope="module")
def counted(build):
    return Counted(build)


def text_of(page):
    plain = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", plain)).split())


def test_the_manifests_count_what_the_files_hold(build, counted):
    said = [
        (line["stage"], line["read"], line["kept"], line["dropped"])
        for home in counted.homes.values()
        for line in home.manifest()["passages"]
    ]
    for line in counted.stages:
        assert line in said
    assert [*counted.stages][-1][2] == len(counted.corpus)
    for home in counted.homes.values():
        for name, entry in home.manifest()["files"].items():
            for folder in (home.path, home.about):
                if (path := folder / name).exists():
                    data = path.read_bytes()
                    assert entry["bytes"] == len(data)
                    assert entry["sha256"] == hashlib.sha256(data).hexdigest()
                    break
            else:
                pytest.fail(f"{name} of {home} is not there")


def test_the_report_says_what_the_files_hold(build, counted, tmp_path):
    figures, funnel = build.figures()["figures"], build.funnel()
    lines = [(one["stage"], one["read"], one["kept"], one["dropped"]) for one in funnel["stages"]]
    assert lines[:-1] == [*counted.stages]
    corpus = {"documents": len(counted.corpus), "bytes": counted.bytes, "tokens": counted.tokens}
    assert funnel["corpus"] == corpus
    fates = Counter({"kept": len(counted.corpus)})
    fates += counted.lost["documents"] + counted.lost["corpus"]
    assert {one["fate"]: one["documents"] for one in figures["fates"]} == fates
    domains = {one["domain"]: one["kept"] for one in figures["domains"]["kept"] if one["kept"]}
    assert domains == counted.of("domain")
    languages = {one["language"]: one["kept"] for one in figures["languages"] if one["kept"]}
    assert languages == counted.of("language")
    assert figures["lengths"]["bytes"]["sum"] == counted.bytes
    assert figures["lengths"]["tokens"]["sum"] == counted.tokens
    assert figures["votes"]["with_votes"] == len(counted.corpus) - counted.of("score")[None]
    assert build.facts()["corpus"]["domains"] == len(counted.of("domain"))
    build.report(tmp_path / "report.html")
    page = text_of((tmp_path / "report.html").read_text())
    for said in (
        f"{len(counted.corpus)} documents",
        f"{sized(counted.bytes)} of text",
        f"{counted.tokens:,} tokens",
        f"{len(counted.of('domain'))} domains",
    ):
        assert said in page
    for stage, read, kept, gone in counted.stages:
        assert f"{stage} {kept} of {read}," in page
        for why, count in gone.items():
            assert f"{why} {count}" in page
    for fate, count in fates.items():
        assert re.search(rf"\b{re.escape(fate)} {count} \d", page), fate


def test_the_card_and_its_statistics_say_what_the_files_hold(counted):
    about = counted.homes["corpus"].about
    card = (about / "README.md").read_text()
    documents, domains = len(counted.corpus), counted.of("domain")
    assert (
        f"{documents:,} documents, {counted.bytes:,} bytes of text, from {len(domains)} domains"
        in card
    )
    rows = {
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in card.splitlines()
        if line.startswith("| ")
    }
    for stage, read, kept, gone in counted.stages:
        (mine,) = [row for row in rows if row[:3] == (stage, f"{read:,}", f"{kept:,}")]
        told = Counter({why: int(n) for n, why in re.findall(r"([\d,]+) (\S+?)(?:,|$)", mine[3])})
        assert told == gone
    for name, count in [*domains.items(), *counted.of("language").items()]:
        assert (name, f"{count:,}") in rows
    copies = [row["dropped_value"] for row in counted.rows("corpus", "dropped")]
    near = [row for row in rows if row[0] == "dedup.near"]
    assert near == [("dedup.near", str(len(copies)), *[f"{copies[0]:.4f}"] * 3)]
    stats = json.loads((about / "stats.json").read_text())
    assert (stats["documents"], stats["bytes"], stats["domains"]) == (
        documents, counted.bytes, len(domains))  # fmt: skip
    months = Counter(f"{row['linked']:%Y-%m}" for row in counted.corpus)
    assert stats["months_linked"] == months
    assert stats["top_domains"] == domains
    assert stats["languages"] == counted.of("language")


def test_the_croissant_says_what_the_files_hold(counted):
    home = counted.homes["corpus"]
    said = json.loads((home.about / "croissant.json").read_text())
    assert said["description"].startswith(
        f"{len(counted.corpus):,} documents, {counted.bytes:,} bytes of text, from "
        f"{len(counted.of('domain')):,} domains"
    )
    assert said["inLanguage"] == sorted(counted.of("language"))
    files = {one["name"]: one for one in said["distribution"] if one["@type"] == "cr:FileObject"}
    assert sorted(files) == sorted(path.name for path in home.shards())
    for path in home.shards():
        assert files[path.name]["contentSize"] == f"{path.stat().st_size} B"
        assert files[path.name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_inspector_says_what_the_files_hold(client, counted):
    lost = counted.lost["documents"] + counted.lost["corpus"]
    assert total(client, "/") == len(counted.corpus) + lost.total()
    assert total(client, "/?side=kept") == len(counted.corpus)
    for why, count in lost.items():
        assert total(client, f"/?fate={why}") == count
    for name, count in counted.of("domain").items():
        assert total(client, f"/?side=kept&domain={name}") == count
    for name, count in counted.of("language").items():
        assert total(client, f"/?side=kept&language={name}") == count
    _, page = seen(client, "/funnel")
    shown = " ".join(page.split()).replace("\u200b", "")
    for _, read, kept, _ in counted.stages:
        assert f"{kept} of {read} kept" in shown
    assert f"{len(counted.corpus)} documents are kept" in shown
    tokens = sum(
        int(found.replace(",", ""))
        for start in (1, 2)
        for found in re.findall(r"([\d,]+) tokens", text_of(client.get(f"/?page={start}").text))
    )
    assert tokens == counted.tokens
