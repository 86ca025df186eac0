"""The history of one URL: who linked it, its result at each step, and what decided it.

Each step reports from the files that it wrote, so the answer is the same however long ago it ran.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.compute as pc

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.core.step import Fact, Made, Sought
from webtext.pipeline.core.visible import on_one_line
from webtext.pipeline.urls import urls

NEAR = 20_000  # URLs of one site that are searched for the nearest to an unknown one
COLUMN = 9  # width of the labels before the lines, more if one is longer


@dataclass(frozen=True)
class Story:
    """The history of one URL."""

    url: str
    key: str | None  # as the next, None if it is not a URL
    id: str | None
    fate: str  # "kept", or why it was dropped
    facts: tuple[Fact, ...]  # in the order of the stages that it passed

    def plain(self) -> dict[str, Any]:
        """Return it for JSON: the record of each stage, under its name.

        The other keys are `url`, `key`, `id` and `fate`; stages that did not read it are absent.
        """
        head = {"url": self.url, "key": self.key, "id": self.id, "fate": self.fate}
        return head | {fact.stage: fact.told for fact in self.facts}


def follow(made: Sequence[Made], url: str) -> Story:
    """Return the history of a URL in a build: where it ends, and the record of each stage.

    Raises:
        UserError: no step has read the URL; names the nearest one.
    """
    directories = {step.name: directory for step, directory in made}
    try:
        key, identity, domain = urls.key(url), urls.url_id(url), urls.domain(url)
    except ValueError as error:
        named = urls.text_id(url)  # of a text of the user's own
        for asked in (None, named):
            if found := tuple(collected(made, Sought(url, asked, "", directories))):
                return Story(url, None, asked, fate_of(found), found)
        raise UserError(
            f"{url}: no URL that could be traced ({error}); give it as it was linked"
        ) from None
    found = tuple(collected(made, Sought(url, identity, domain, directories)))
    if not found:
        raise unknown(directories, url, key, identity)
    return Story(url, key, identity, fate_of(found), found)


def collected(made: Sequence[Made], sought: Sought) -> Iterator[Fact]:
    """Yield the record of a row at each step, up to the one that dropped it."""
    for step, _ in made:
        for fact in step.follow(sought):
            sought = replace(sought, seen=True)
            if fact.fate is None:
                yield fact
                continue
            meaning = step.fates.get(fact.fate, "")
            yield replace(
                fact, told={**fact.told, "meaning": meaning}, lines=(meaning, *fact.lines)
            )
            return


def fate_of(facts: Sequence[Fact]) -> str:
    """Return where a row ended, from the records of all steps."""
    return facts[-1].fate or "kept"


# --- unknown URLs --------------------------------------------------------------------------------


def unknown(made: Mapping[str, Directory], url: str, key: str, identity: str) -> UserError:
    """Return an error that names the unknown URL and the nearest known one."""
    domain = urls.domain(url)
    known = list(site_urls(made, domain))
    near = difflib.get_close_matches(url, known, n=1, cutoff=0.0)
    hint = f"nearest: {near[0]}" if near else f"nothing of {domain} was ever linked"
    return UserError(f"{url}: never seen; looked for {key} (id {identity}); {hint}")


def site_urls(made: Mapping[str, Directory], domain: str) -> Iterator[str]:
    """Yield URLs of a domain, up to NEAR of them, from the first step that exists."""
    step, under = ("links", "") if "links" in made else ("pages", "outcomes")
    if step not in made:
        return
    numbers = made[step].numbers(under)
    left = NEAR
    for number in sorted(numbers, key=lambda n: n != urls.shard_of(made[step], domain, under)):
        for batch in read_batches(made[step].shard(number, under=under), ["url", "domain"]):
            for url in batch.filter(pc.equal(batch["domain"], domain))["url"].to_pylist():
                yield url
                left -= 1
                if not left:
                    return


# --- output --------------------------------------------------------------------------------------


def describe(story: Story) -> str:
    """Return a story as lines for people."""
    head = [story.url, f"fate: {story.fate}"]
    if story.id:
        head.append(f"id: {story.id}" + f", of the key {story.key}" * bool(story.key))
    width = max([COLUMN, *(len(fact.stage) for fact in story.facts)])
    for fact in story.facts:
        lines = [line for line in fact.lines if line]
        if fact.fate:
            value = "" if fact.value is None else f", at {fact.value:g}"
            lines.insert(0, f"dropped: {fact.fate}{value}")
        for number, line in enumerate(lines):
            head.append(f"{'' if number else fact.stage:<{width}} {line}")
    return "\n".join(map(on_one_line, head))  # a title may hold any character
