"""Every setting is explained, and what is printed of it is what the code has."""

import tomllib

import pytest

from webtext.flows.building.reference import comments, settings, toml
from webtext.flows.building.settings import Recipe, build, paths

ALL = list(settings())


@pytest.mark.parametrize("found", ALL, ids=lambda one: one.path)
def test_every_setting_says_what_it_means(found):
    assert found.meaning
    assert found.about


def test_no_setting_is_left_out():
    assert {one.path for one in ALL} >= set(paths(Recipe))


def test_the_defaults_are_those_of_the_recipe():
    lines = [one.line for one in ALL if one.default is not None]
    tree = tomllib.loads("\n".join(lines))
    optional = [one.path.split(".") for one in ALL if one.default is None]
    for *tables, _ in optional:  # a rule that is off by default has no table in it
        below = tree
        for table in tables[:-1]:
            below = below.get(table, {})
        below.pop(tables[-1], None)
    assert build(tree, "defaults") == Recipe()


def test_a_comment_is_found_beside_a_field_and_above_it():
    class Some:
        beside: int = 1  # said here
        # Said above,
        # on two lines.
        above: int = 2
        silent: int = 3

    assert comments(Some) == {
        "beside": "said here",
        "above": "Said above, on two lines.",
        "silent": "",
    }


def test_what_toml_lacks_is_said_so():
    assert toml(None) == "(none)"
