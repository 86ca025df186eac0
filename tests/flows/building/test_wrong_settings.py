"""Whatever a recipe says, it is planned or refused in words; it never ends in a traceback."""

import itertools
import signal

import pytest

from tests.flows.building.wrong_settings import cases, everything
from webtext.flows.building.settings import Recipe, load, paths
from webtext.model.errors import UserError as ModelError
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.step import politeness

CASES = list(cases())
EACH = 41  # of how many one is in the sample; a prime, so that every kind of value comes in it
SECONDS = 10.0  # of CPU for one, where most take 10 ms


@pytest.fixture
def told(tmp_path):
    """Return what says how a line of a recipe is taken: "planned", or the refusal."""
    (tmp_path / "links.txt").write_text("http://a.test/\n")
    source = f"links.sources = ['{tmp_path}/links.txt']"

    def take(line):
        try:
            recipe = load("tiny", [source, line])
            Build(recipe, tmp_path / "data").plan()
        except (UserError, ModelError) as error:
            return str(error)
        return "planned"

    return take


def too_slow(_number, _frame):
    raise TimeoutError("a wrong setting takes seconds to be refused")


def check(told, some):
    before = signal.signal(signal.SIGPROF, too_slow)
    found = []
    try:
        for name, line in some:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                words = told(line)
                assert words
                assert len(words) < 10_000
            except Exception as error:  # noqa: BLE001 -- all of them are to be named
                found.append(f"{name}: {error!r}"[:200])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert not found, "\n".join(found[:20])


def test_the_generator_knows_every_setting_and_both_ways_to_misspell_it():
    assert set(paths(Recipe)) <= set(everything(Recipe, ""))
    assert len(CASES) > 8_000
    assert len({name for name, _ in CASES}) == len(CASES)


def test_a_sample_of_wrong_settings_is_refused_in_words(told):
    check(told, itertools.islice(CASES, 0, None, EACH))


@pytest.mark.slow
def test_every_wrong_setting_is_refused_in_words(told):
    check(told, CASES)


@pytest.mark.parametrize(("line", "said"), [
    ("links.shards = 92233720368547758080", "links.shards: wanted a whole number of 64 bits"),
    ("links.shards = 100_000", "links.shards = 100000: wanted 99999 at most"),
    ("crawl.timeout = 1.7e308", "crawl.timeout = 1.7e308: wanted 3.16224e07 at most"),
    ("crawl.refreshes = 9_000_000_000", "wanted 1000 at most"),
    ('crawl.contact = "a\\r\\nHost: b"', "crawl.contact: a control character"),
    ("rules.urls.domains.file = '" + "x" * 5000 + "'", "a text of 5,000 characters"),
    ("a = " + "[" * 5000, "nested too deep"),
    (".".join("a" * 5000) + " = 1", "nested too deep"),
    ("a = " + "9" * 5000, "not a line of TOML"),
    ("#" + "x" * 70_000, "more than 65,536 characters"),
    ("\n".join(f"a{n} = 1" for n in range(3000)), "a0 = 1: unknown key"),
])  # fmt: skip
def test_what_once_ended_in_a_traceback_or_not_at_all(told, line, said):
    assert said in told(line)


def test_the_longest_delays_can_be_told_of(tmp_path):
    """The bound of a crawl's time is told as days; years of it fit too."""
    from webtext.flows.building.run_build import run_steps

    (tmp_path / "links.txt").write_text("".join(f"http://a.test/{n}\n" for n in range(2000)))
    source = f"links.sources = ['{tmp_path}/links.txt']"
    slow = ["crawl.delay = 31622400.0", "crawl.max_delay = 31622400.0", "links.shards = 1"]
    recipe = load("webtext", [source, *slow])
    steps = Build(recipe, tmp_path / "data").plan("links")
    run_steps(steps, tmp_path / "data", 0)
    assert "days" in politeness(recipe.crawl, steps[0].home)
