"""The presets that a recipe includes, value by value against what was published."""

from dataclasses import fields, is_dataclass
from math import nextafter

import pytest

from webtext.flows.building import settings
from webtext.flows.building.settings import load
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.gopher import GopherQuality, GopherRepetition
from webtext.pipeline.filters.rules import Rules

PUBLISHED = {
    "gopher-quality": {
        "gopher_quality.word_count": (50, 100_000),
        "gopher_quality.word_length": (3, 10),
        "gopher_quality.hashes": (None, 0.1),
        "gopher_quality.ellipses": (None, 0.1),
        "gopher_quality.bullet_lines": (None, 0.9),
        "gopher_quality.ellipsis_lines": (None, 0.3),
        "gopher_quality.letter_words": (0.8, None),
        "gopher_quality.stop_words": (2, None),
    },
    "gopher-repetition-datatrove": {
        "gopher_repetition.repeated_paragraphs": (None, 0.3),
        "gopher_repetition.repeated_paragraph_characters": (None, 0.2),
        "gopher_repetition.repeated_lines": (None, 0.3),
        "gopher_repetition.repeated_line_characters": (None, 0.2),
        "gopher_repetition.top_2_gram": (None, 0.2),
        "gopher_repetition.top_3_gram": (None, 0.18),
        "gopher_repetition.top_4_gram": (None, 0.16),
        "gopher_repetition.repeated_5_grams": (None, 0.15),
        "gopher_repetition.repeated_6_grams": (None, 0.14),
        "gopher_repetition.repeated_7_grams": (None, 0.13),
        "gopher_repetition.repeated_8_grams": (None, 0.12),
        "gopher_repetition.repeated_9_grams": (None, 0.11),
        "gopher_repetition.repeated_10_grams": (None, 0.1),
    },
    "c4-datatrove": {
        "c4.length": (None, None),
        "c4.lorem_ipsum": (None, 0),
        "c4.curly_brackets": (None, 0),
        "c4.sentences": (5, None),
    },
    "c4-tfds": {
        "c4.length": (None, 190_000),
        "c4.lorem_ipsum": (None, 0),
        "c4.curly_brackets": (None, 0),
        "c4.sentences": (3, None),
    },
    "gopher-repetition-dolma": {
        "dolma_repetition.duplicate_lines": (None, 0.3),
        "dolma_repetition.duplicate_line_characters": (None, 0.3),  # Dolma's own, not Gopher's
        "dolma_repetition.most_common_2_gram": (None, 0.2),
        "dolma_repetition.most_common_3_gram": (None, 0.18),
        "dolma_repetition.most_common_4_gram": (None, 0.16),
        "dolma_repetition.duplicate_5_grams": (None, 0.15),
        "dolma_repetition.duplicate_6_grams": (None, 0.14),
        "dolma_repetition.duplicate_7_grams": (None, 0.13),
        "dolma_repetition.duplicate_8_grams": (None, 0.12),
        "dolma_repetition.duplicate_9_grams": (None, 0.11),
        "dolma_repetition.duplicate_10_grams": (None, 0.1),
    },
    "fineweb-code": {
        "fineweb.terminal_lines": (0.12, None),
        "fineweb.short_lines": (None, 0.67),
        "fineweb.repeated_characters": (None, 0.01),
        "fineweb.newlines": (None, 0.3),
    },
    "fineweb-paper": {  # it drops 0.12, 0.67 and 0.1 themselves
        "fineweb.terminal_lines": (nextafter(0.12, 1), None),
        "fineweb.short_lines": (None, nextafter(0.67, 0)),
        "fineweb.repeated_characters": (None, nextafter(0.1, 0)),
        "fineweb.newlines": (None, None),
    },
    "refinedweb-lines": {
        "refinedweb.removed_lines": (None, None),
        "refinedweb.removed_words": (None, 0.05),
    },
    "webtext": {"webtext.tokens": (128, None)},
}
OTHERS = {  # settings that are no bounds
    "gopher-quality": {
        "gopher_quality.running": 0,
        "gopher_quality.letter_words.marks": True,
        "gopher_quality.stop_words.any_case": False,
    },
    "c4-datatrove": {
        "c4.terminal": True,
        "c4.marks": ".?!\"'",
        "c4.min_words": 3,
        "c4.max_word_length": 1000,
        "c4.citations": False,
        "c4.citation_words": True,
    },
    "c4-tfds": {
        "c4.terminal": True,
        "c4.marks": '.?!"',
        "c4.min_words": 5,
        "c4.max_word_length": 1000,
        "c4.citations": False,
        "c4.citation_words": False,
    },
    "refinedweb-lines": {
        "refinedweb.upper": 0.5,
        "refinedweb.numbers": False,
        "refinedweb.counters": False,
        "refinedweb.min_words": 2,
        "refinedweb.short": 10,
    },
    "fineweb-code": {"fineweb.short_lines.length": 30},
    "fineweb-paper": {"fineweb.short_lines.length": 29},
}
ON_BY_DEFAULT = {name for name, group in Rules().groups() if group.enabled}


def rules_of(preset):
    return load("tiny", [f'include = ["{preset}"]']).rules


def bounds(name, group):
    return {
        f"{name}.{item.name}": (getattr(rule, "at_least", None), getattr(rule, "at_most", None))
        for item in fields(group)
        if is_dataclass(rule := getattr(group, item.name))
    }


def test_every_preset_is_compared_with_what_was_published():
    assert set(PUBLISHED) == set(settings.presets())


@pytest.mark.parametrize("preset", PUBLISHED)
def test_a_preset_has_the_published_bounds_of_every_rule_of_its_groups(preset):
    found = {}
    for name, group in rules_of(preset).groups():
        if name in {path.partition(".")[0] for path in PUBLISHED[preset]}:
            assert group.enabled
            found |= bounds(name, group)
    assert found == PUBLISHED[preset]


@pytest.mark.parametrize(
    ("preset", "path", "value"),
    [(preset, *item) for preset, others in OTHERS.items() for item in others.items()],
)
def test_a_preset_has_the_published_values_of_all_other_settings(preset, path, value):
    found = rules_of(preset)
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize("preset", PUBLISHED)
def test_a_preset_enables_no_other_group(preset):
    groups = {path.partition(".")[0] for path in PUBLISHED[preset]}
    enabled = {name for name, group in rules_of(preset).groups() if group.enabled}
    assert enabled <= groups | ON_BY_DEFAULT


@pytest.mark.parametrize("preset", PUBLISHED)
def test_a_preset_says_where_its_values_come_from(preset):
    comments = (settings.PRESETS / f"{preset}.toml").read_text()
    assert "Source:" in comments


def test_webtext_leaves_wikipedia_out_and_asks_no_rule_of_later_years():
    recipe = load("tiny", ['include = ["webtext"]'])
    assert recipe.links.exclude_domains == ("wikipedia.org",)
    assert not recipe.rules.gopher_quality.enabled


def test_refinedwebs_lines_come_without_urls():
    assert load("tiny", ['include = ["refinedweb-lines"]']).clean.remove_urls
    assert not load("tiny").clean.remove_urls


def test_presets_lie_one_on_another_below_the_recipe_and_the_overrides(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'include = ["gopher-repetition-datatrove", "fineweb-code", "fineweb-paper"]\n'
        "[rules.fineweb.short_lines]\nlength = 20\n"
    )
    rules = load(str(path), ["rules.fineweb.newlines.at_most = 0.5"]).rules
    assert rules.gopher_repetition == GopherRepetition(enabled=True)
    assert rules.gopher_quality == GopherQuality()
    assert rules.fineweb.short_lines.length == 20
    assert rules.fineweb.newlines.at_most == 0.5
    assert rules.fineweb.repeated_characters.at_most < 0.1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('include = ["fineweb-coed"]', "no such preset; did you mean fineweb-code"),
        ('include = "fineweb-code"', "wanted a list of c4-"),
        ("include = [1]", "wanted a list of c4-"),
    ],
)
def test_a_mistake_in_include_names_the_file_and_what_there_is(tmp_path, line, said):
    path = tmp_path / "mine.toml"
    path.write_text(line)
    with pytest.raises(UserError, match=said) as caught:
        load(str(path))
    assert "mine.toml" in str(caught.value)
