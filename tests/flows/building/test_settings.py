"""Recipes: what they say, and what is said of a mistake in one."""

import pytest

from webtext.flows.building import settings
from webtext.flows.building.settings import load
from webtext.model.settings import GPT2
from webtext.pipeline.core.errors import UserError


def recipe(tmp_path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", settings.shipped())
def test_every_shipped_recipe_loads(name):
    load(name)


@pytest.mark.parametrize("name", [n for n in settings.shipped() if n.startswith("gpt2-")])
def test_recipes_that_are_called_gpt2_are_gpt2_to_the_letter(name):
    """And trained as GPT-3 was; that such logits are transformers' is tested beside the model."""
    found = load(name)
    model = found.model
    assert model == GPT2(layers=model.layers, heads=model.heads, width=model.width)
    train = found.train
    assert (train.optimizer, train.schedule) == ("adamw", "cosine")
    assert (train.embedding_lr, train.embedding_decay) == (1.0, True)


def test_speedrun_is_gpt2s_smallest_shape_and_no_gpt2():
    found, like = load("speedrun"), load("gpt2-124m")
    shape = ("layers", "heads", "width", "context", "vocab")
    assert all(getattr(found.model, name) == getattr(like.model, name) for name in shape)
    assert [said.split()[0] for said in found.model.departures] == [
        "model.positions", "model.activation", "model.qk_norm", "model.value_residual",
        "model.biases",
    ]  # fmt: skip
    assert found.train.steps <= 0.75 * like.train.steps


def test_a_recipe_may_be_named_without_its_suffix():
    assert load("demo") == load("demo.toml")


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf[links]\r\nshards = 7\r\n")
    assert load(str(tmp_path / "a.toml")).links.shards == 7


def test_a_misspelt_recipe_is_answered_with_the_nearest_name():
    with pytest.raises(UserError, match="recipe webtxt: no such file; did you mean webtext"):
        load("webtxt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[links]\nmin_scores = 3", "links.min_scores = 3: unknown key; did you mean min_score"),
        ("[link]\nmin_score = 3", "link: unknown key; did you mean links"),
        ("[links]\nmax_body = 3", "links.max_body = 3: unknown key; did you mean crawl.max_body"),
        ("[links]\nmin_score = '3'", "links.min_score = '3': input should be a valid integer"),
        ("links = 3", r"links = 3: wanted a table \[links\]"),
        ("[tokens]\nval_fraction = 2.0", "tokens"),
        ("links = [", "mine.toml: not TOML"),
    ],
)
def test_a_mistake_names_the_file_the_path_and_what_was_wanted(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as caught:
        load(recipe(tmp_path, text))
    assert "mine.toml" in str(caught.value)


def test_an_override_is_a_line_of_toml_laid_over_the_recipe(tmp_path):
    path = recipe(tmp_path, "[links]\nmin_score = 5\nshards = 2")
    loaded = load(path, ["links.min_score = 7", 'crawl.contact = "me@example.org"'])
    assert (loaded.links.min_score, loaded.links.shards) == (7, 2)
    assert loaded.crawl.contact == "me@example.org"


def test_an_override_that_is_no_toml_is_quoted(tmp_path):
    with pytest.raises(UserError, match=r"--set 'links\.min_score': not a line of TOML"):
        load("demo", ["links.min_score"])


def test_every_setting_has_a_path_and_none_stands_twice():
    paths = list(settings.paths(settings.Recipe))
    assert "crawl.max_body" in paths
    assert len(paths) == len(set(paths))


def test_bands_that_need_longer_signatures_are_refused_before_anything_is_signed():
    wanted = "duplicates.preset = 'dclm'"
    with pytest.raises(
        UserError, match=r"93 bands of 15 rows .* set signatures\.permutations = 1395"
    ):
        load("webtext", [wanted])
    assert load("webtext", [wanted, "signatures.permutations = 1395"]).duplicates.rows == 15


def test_a_language_that_is_kept_must_be_read():
    with pytest.raises(UserError, match=r"extract\.languages = \['en'\] leaves out fr, which"):
        load("webtext", ["language.keep = ['en', 'fr']"])
    with pytest.raises(UserError, match="leaves out every other language, which"):
        load("webtext", ["language.keep = []"])
    assert load("webtext", ["language.keep = ['en', 'fr']", "extract.languages = ['en', 'fr']"])
    assert load("webtext", ["language.keep = []", "extract.languages = []"])


def test_no_setting_of_any_stage_is_nan_or_infinite():
    for line, said in (
        ("train.lr = nan", "train.lr = nan: wanted a finite number"),
        ("train.spike = inf", "train.spike = inf: wanted a finite number"),
        ("rules.gopher_quality.word_length = {low = nan}", "wanted a finite number"),
    ):
        with pytest.raises(UserError, match=said):
            load("tiny", [line])
    assert load("tiny", ["rules.fineweb.newlines.at_most = inf"])
