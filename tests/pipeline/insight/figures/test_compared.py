import json

import pytest

from tests.pipeline import fake_data
from webtext.pipeline.build import Build
from webtext.pipeline.insight.figures.compared import CAUSES, compared, describe, why


class Later(fake_data.World):
    """The same build some time later: a page is gone, one has changed, a bound was moved."""

    def links(self):
        self.gone = self.kept.pop(5)
        self.unfetched.append(self.gone)
        self.edited = self.kept[10]
        self.edited["text"] = self.edited["text"].replace("the", "a", 1) + "\nA last line."
        self.spared = self.filtered.pop()
        self.kept.append(self.spared)
        super().links()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return fake_data.World(folder / "a", 40), Later(folder / "b", 50)


@pytest.fixture(scope="module")
def made(worlds):
    return [Build(None, world.data).made() for world in worlds]


@pytest.fixture(scope="module")
def found(made):
    return compared(*made)


def kept(world):
    copies = {world.exact["id"], world.near["id"]}
    return {row["id"]: row["text"] for row in world.kept if row["id"] not in copies}


def test_every_document_came_went_changed_or_is_the_same(found, worlds):
    a, b = map(kept, worlds)
    assert found["documents"] == {
        "came": len(b.keys() - a.keys()),
        "went": len(a.keys() - b.keys()),
        "changed": sum(a[key] != b[key] for key in a.keys() & b.keys()),
        "same": sum(a[key] == b[key] for key in a.keys() & b.keys()),
        "neither": found["documents"]["neither"],
    }
    assert found["documents"]["changed"] == found["documents"]["went"] == 1


def test_each_change_has_its_cause(found, worlds):
    causes = {(row["change"], row["cause"]): row["documents"] for row in found["causes"]}
    assert causes == {
        ("came", "not linked"): 10,
        ("came", "other verdict"): 1,
        ("went", "not fetched"): 1,
        ("changed", "other text"): 1,
    }
    assert {row["cause"] for row in found["causes"]} <= set(CAUSES)
    moves = {(row["a"], row["b"]): row["documents"] for row in found["moves"]}
    assert moves["rules.gopher_quality.word_count.low", "kept"] == 1
    assert moves["kept", None] == 1
    moved = {row["domain"]: row for row in found["domains"]}
    assert moved[worlds[1].gone["domain"]]["went"] == 1


def test_a_changed_text_is_shown_with_what_changed(found, worlds):
    (sample,) = found["samples"]
    assert sample["url"] == worlds[1].edited["url"]
    assert sample["diff"][0].startswith("-")
    assert sample["diff"][-1] == "+A last line."


def test_a_build_is_the_same_as_itself(made):
    found = compared(made[0], made[0])
    assert found["documents"]["came"] == found["documents"]["changed"] == 0
    assert found["causes"] == found["samples"] == []
    assert "settings, code, libraries and sources are the same" in "\n".join(describe(found))


def test_settings_that_differ_are_named_as_in_a_recipe(made, worlds, tmp_path):
    (home,) = [each.directory for each in made[1] if each.step.name == "documents"]
    manifest = home.manifest()
    bound = manifest["stages"]["rules"]["settings"]["gopher_quality"]["word_count"]
    bound["at_least"] = 1.0
    manifest["code"] = "other"
    other = type(home)(tmp_path / home.name)
    other.path.mkdir()
    other.finish({key: manifest[key] for key in manifest if key not in {"files", "sha256"}})
    changed = [one._replace(directory=other) if one.directory == home else one for one in made[1]]
    found = why(made[0], changed)
    assert found["settings"] == [
        {"setting": "rules.gopher_quality.word_count.at_least", "a": 50.0, "b": 1.0}
    ]
    assert found["code"] == ["documents"]


def test_it_is_told_to_people_and_to_programs(found):
    json.dumps(found)
    lines = list(describe(found))
    assert lines[0].startswith("documents: 11 came, 1 went, 1 changed, ")
    assert any(line.strip() == "1 kept -> not there" for line in lines)
    assert any("words of a kept document" in line for line in lines)
