"""Two builds against each other, a text against a build, and the report as page and JSON."""

import io
import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.pipeline import fake_data
from webtext.flows.commands.command_line import cli
from webtext.pipeline.core.shards import Directory, write_json
from webtext.pipeline.dedup.signatures.sign import Sign, sign


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A build with signatures."""
    world = fake_data.World(tmp_path_factory.mktemp("data"), 30)
    signatures = Directory(world.data / "signatures-1")
    signatures.path.mkdir()
    sign(Sign(), world.directories["documents"], signatures, 0)
    fake_data.finish(signatures, "signatures", [], [world.directories["documents"]])
    names = {name: home.name for name, home in world.directories.items()}
    write_json(world.data / "latest.json", {**names, "signatures": signatures.name})
    return world


def told(*arguments, given=None, code=0):
    """What a command prints."""
    done = CliRunner().invoke(cli, list(map(str, arguments)), input=given)
    assert done.exit_code == code, done.output
    return done


def test_compare_tells_what_differs_or_that_nothing_does(world, tmp_path):
    printed = told("compare", world.data, world.data).stdout
    assert printed.startswith("documents: 0 came, 0 went, 0 changed, ")
    fake_data.World(tmp_path / "b", 33)
    found = json.loads(told("compare", world.data, tmp_path / "b", "--json").stdout)
    assert found["documents"]["came"] == 3
    assert found["causes"] == [{"change": "came", "cause": "not linked", "documents": 3}]


def test_similar_finds_a_text_from_a_file_or_the_standard_input(world, tmp_path):
    row = world.kept[9]
    (tmp_path / "mine.txt").write_text(row["text"])
    printed = told("similar", tmp_path / "mine.txt", "--data", world.data).stdout
    assert printed.splitlines()[0] == f"1.00 {row['url']}"
    found = told("similar", "-", "--data", world.data, "--json", given=row["text"]).stdout
    assert json.loads(found.splitlines()[0])["id"] == row["id"]
    rows = [{"id": "first", "text": row["text"]}, {"id": "second", "text": world.near["text"]}]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    lines = told("similar", tmp_path / "mine.jsonl", "--data", world.data).stdout.splitlines()
    assert lines[0] == f"first: 1.00 {row['url']}"
    url = world.near["url"]
    assert f"second: 1.00 {url} (not in the corpus: dedup.near)" in lines


def test_a_file_that_is_no_text_is_refused_by_name(world, tmp_path):
    (tmp_path / "mine.txt").write_bytes(b"ab\xff")
    for name in ("mine.txt", "none.txt"):
        done = CliRunner().invoke(cli, ["similar", str(tmp_path / name), "--data", str(world.data)])
        assert name in str(done.exception)
    assert "not UTF-8 (byte 2)" in str(
        CliRunner().invoke(cli, ["similar", str(tmp_path / "mine.txt")]).exception
    )


def test_the_report_is_a_page_of_its_own_name_and_json_with_all_figures(world, tmp_path):
    told("report", "--data", world.data, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    for part in ("How like WebText", "Every rule's measure", "fineweb.newlines", "Votes of the"):
        assert part in page
    assert "unkn" not in page.replace("unknown", "")
    found = json.load(io.StringIO(told("report", "--data", world.data, "--json").stdout))
    assert {"stages", "corpus", "figures", "likeness"} <= found.keys()
    count = sum(pq.read_table(p).num_rows for p in world.directories["corpus"].shards())
    kept = next(row for row in found["figures"]["fates"] if row["fate"] == "kept")
    assert found["corpus"]["documents"] == kept["documents"] == count
    assert found["corpus"]["bytes"] == kept["bytes"] == found["figures"]["lengths"]["bytes"]["sum"]
    assert found["figures"]["lengths"]["tokens"]["sum"] == found["corpus"]["tokens"]
