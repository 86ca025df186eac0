"""How like WebText a corpus is: what OpenAI published of theirs, and the same of this one beside.

Source of all figures: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
section 2.1: 45 million links, "slightly over 8 million documents for a total of 40 GB of text",
"we removed all Wikipedia documents"; and the 1,000 most frequent domains, with their counts, which
OpenAI published in `domains.txt` of github.com/openai/gpt-2 (modified MIT licence). The counts add
up to 21.8 million, more than there are documents, so they are of links.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.core.step import Made
from webtext.pipeline.corpus.card import TEMPLATES, tally

LINKS = 45_000_000
DOCUMENTS = 8_000_000
BYTES = 40_000_000_000
FILE = "webtext_domains.tsv"
TOPS = (50, 100, 1000)
WIKIPEDIA = "wikipedia"  # the label of its domain, as `label` gives it
LINKED = "which years and subreddits the links are from"
LEFT = "theirs counts links; which hosts still answer, let us in, and pass the rules"
FEWEST = 10  # domains that both have: a correlation of fewer says nothing


class Likeness(NamedTuple):
    """One figure of a corpus beside WebText's own."""

    what: str
    ours: float | None  # None where it cannot be known, as the explanation says
    webtext: float | None
    unit: str  # "share", "bytes", "documents", "domains" or "correlation"
    explained: str  # what a difference comes from


def likeness(made: Sequence[Made]) -> list[Likeness]:
    """Return the figures of a build, those that can be known; empty if there is no corpus yet."""
    there = {step.name: directory for step, directory in made}
    if "corpus" not in there:
        return []
    count, size, ours = corpus_of(there["corpus"])
    links = Counter[str]()
    if "links" in there:
        for path in there["links"].shards():
            for batch in read_batches(path, ["domain"], rows=1 << 16):
                links.update(labels(batch["domain"]))
    return [
        *of_documents(count, size, links.total()),
        wikipedia(ours, links),
        *(of_domains("links that were kept", links, LINKED) if links else ()),
        *of_domains("documents of the corpus", ours, LEFT),
    ]


def corpus_of(corpus: Directory) -> tuple[int, int, Counter[str]]:
    """Return the number of documents, their bytes, and how many each domain has, by its label."""
    domains: Counter[str] = Counter()
    size = 0
    for path in corpus.shards():
        for batch in read_batches(path, ["domain", "bytes"], rows=1 << 16):
            domains.update(labels(batch["domain"]))
            size += pc.sum(batch["bytes"]).as_py() or 0
    return domains.total(), size, domains


def of_documents(count: int, size: int, links: int) -> list[Likeness]:
    """Return the length of a document, and how many links became one."""
    survived = Likeness(
        "links that became a document of the corpus",
        count / links if links else None,
        DOCUMENTS / LINKS,
        "share",
        "theirs were years younger when they were fetched; what did not answer, and what each "
        "stage dropped, stands in the funnel"
        if links
        else "no links were harvested: the pages come from WARC files",
    )
    long = Likeness(
        "bytes of text in a document",
        size / count if count else None,
        BYTES / DOCUMENTS,
        "bytes",
        "a few long documents move the mean; extraction decides what of a page is text"
        if count
        else "the corpus is empty",
    )
    return [survived, long]


def wikipedia(ours: Mapping[str, int], links: Mapping[str, int]) -> Likeness:
    """Return how many documents are Wikipedia's."""
    found = ours.get(WIKIPEDIA, 0)
    told = "links.exclude_domains leaves it out, as OpenAI did, whose sets are made of it"
    if found:
        told = "OpenAI left it out because its sets are made of it; links.exclude_domains does so"
    elif not links.get(WIKIPEDIA, 0):
        told = "no link to it was kept"
    return Likeness("documents of Wikipedia", found, 0, "documents", told)


def of_domains(what: str, counts: Mapping[str, int], why: str) -> list[Likeness]:
    """Return how far the most frequent domains are WebText's, and in the same order."""
    theirs = published()
    mine = sorted(counts, key=lambda name: (-counts[name], name))
    found = []
    for top in TOPS:
        listed = set(list(theirs)[:top])
        common = listed.intersection(mine[:top])
        short = f"only {len(mine):,} domains are there; " if len(mine) < top else ""
        found.append(
            Likeness(
                f"domains of WebText's top {top:,} among the top {top:,} by {what}",
                len(common),
                top,
                "domains",
                f"{short}{why}",
            )
        )
    both = [name for name in theirs if name in counts]
    told = f"over the {len(both):,} of the top 1,000 domains that both have"
    value = None
    if len(both) >= FEWEST:
        from scipy.stats import spearmanr

        value = float(spearmanr([theirs[n] for n in both], [counts[n] for n in both]).statistic)
    else:
        told += ": too few to tell"
    name = f"rank correlation (Spearman) of domains by {what}"
    return [*found, Likeness(name, value, 1.0, "correlation", told)]


@cache
def published() -> dict[str, int]:
    """Return how often WebText links to each of its top 1,000 domains, the most frequent first.

    The list names a domain by its label before the public suffix, so that google.com and google.de
    are one.
    """
    lines = (TEMPLATES / FILE).read_text(encoding="utf-8").splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    return {pair[1]: int(pair[0]) for pair in pairs if len(pair) > 1}  # one has no name there


def labels(domains: pa.Array) -> Counter[str]:
    """Count the labels of domains."""
    found: Counter[str] = Counter()
    for domain, count in tally(domains).items():
        found[label(domain)] += count
    return found


def label(domain: str | None) -> str:
    """Return what OpenAI's list calls a registrable domain, "" where it is unknown.

    >>> label("bbc.co.uk"), label("blogspot.com"), label(None)
    ('bbc', 'blogspot', '')
    """
    return (domain or "").partition(".")[0]


def told(rows: Iterable[Likeness]) -> list[dict[str, Any]]:
    """Return the figures for JSON."""
    return [row._asdict() for row in rows]
