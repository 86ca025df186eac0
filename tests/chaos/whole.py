"""A whole data directory, from a list of links to tokens, made in seconds without a network."""

from dataclasses import replace
from pathlib import Path

from tests.pipeline.crawl.fakes import EAGER, FakeWeb, failure, page
from webtext.flows.building.settings import load
from webtext.pipeline.build import Build
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Planned
from webtext.pipeline.crawl import step as crawled
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.steps import STEPS

PAGES = 40
TEXT = (
    "the harbour of winter was a letter that the museum had kept for the garden and its copper "
    "engine to be with all who have read of it in theory"
)
WORDS = TEXT.split()


def text(number: int) -> str:
    """Return a page's text; every seventh has that of the one before, so there are copies."""
    if number % 7 == 6:
        number -= 1
    lines = []
    for line in range(6):
        start = (number * 5 + line * 3) % len(WORDS)
        words = [*WORDS[start:], *WORDS[:start]]
        lines.append(f"<p>{' '.join(words)} number {number} of line {line}, and so on it goes.</p>")
    return "".join(lines)


def answer(url: str, _times: int):
    """Answer as a web does in which every ninth page is gone."""
    number = int(url.rsplit("/", 1)[1])
    if number % 9 == 8:
        return failure(url, "crawl.http_4xx", value=404.0)
    head = f"<!doctype html><html lang=en><head><title>Page {number}</title></head>"
    body = f"{head}<body><article>{text(number)}</article></body></html>"
    return page(url, body.encode())


def recipe(folder: Path) -> Path:
    """Write a recipe, and the list of links that it reads; return where it lies."""
    links, path = folder / "links.txt", folder / "recipe.toml"
    urls = (f"http://site{n % 9}.example/{n}" for n in range(PAGES))
    links.write_text("".join(f"{url}\n" for url in urls))
    path.write_text(
        f"links = {{ sources = ['{links}'], min_score = -1, shards = 2, shard_records = 1 }}\n"
        "tokens = { shard_tokens = 2000, val_fraction = 0.3 }\n"
        "corpus = { shard_bytes = 9000 }\n"
        "crawl = { contact = 'test' }\n"
    )
    return path


def build(folder: Path, web: FakeWeb | None = None) -> Build:
    """Return the build of that recipe in `folder`/data, from a web in memory."""
    asked = web or FakeWeb(answer)

    def work(planned: Planned, workers: int, progress: Progress) -> list[Passage]:
        links, home = planned.read["links"], planned.home
        return crawl(EAGER, links, home, workers, progress, asked, planned.before)

    steps = tuple(replace(s, work=work) if s is crawled.STEP else s for s in STEPS)
    return Build(load(str(recipe(folder))), folder / "data", steps)
