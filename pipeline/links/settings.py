"""The settings of a harvest: which links it takes, and how several submissions' votes count."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import ClassVar

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.urls.exclusions import Exclusions, hosts

LISTS = ("domains", "extensions", "subreddits")
MERGES = ("max", "sum", "each")


@dataclass(frozen=True)
class Harvest:
    """Which links are taken from which dumps, and how the votes of several submissions count.

    `merge` says how to score a URL that was submitted more than once:

    - `max`: the score of its best submission. The readers of one post found it worth three votes.
    - `sum`: the sum, negative ones included, as in OpenWebText2. Often posted counts like well
    liked, so it accepts pages that many people posted and few liked.
    - `each`: every submission must reach the score alone, as in OpenWebText; the others are
    dropped, and the best of the rest counts.

    A score is the one that the dump's makers saw: in months up to 2023-10 the score some days or
    weeks after the submission, from 2023-11 on the score 36 hours after it. So one threshold is a
    little stricter in later months. An unknown score counts as 0, as in OpenWebText2; a link from
    a list without scores is trusted because of the list: it passes this check and that of dates.

    Source: 3 votes, from "Language Models are Unsupervised Multitask Learners", section 2.1
    (WebText); its list of subreddits was not published, and nothing replaces it.
    """

    sources: tuple[str, ...] = field(default=(), metadata={"machine": True})  # paths or globs
    min_score: int = 3  # votes; a link with fewer is dropped
    merge: str = "max"  # or "sum", "each"
    after: date | None = None  # the first day wanted, UTC
    before: date | None = None  # the first day not wanted any more, UTC
    keep_nsfw: bool = False  # keep submissions marked as adult
    keep_deleted: bool = False  # keep submissions that were removed
    exclude_domains: tuple[str, ...] = ()  # registrable domains or hosts, with all their subdomains
    exclude_subreddits: tuple[str, ...] = ()  # names without r/
    lists: tuple[str, ...] = LISTS  # files of pipeline/data with more exclusions
    max_url_length: int = 2083  # characters. Source: Internet Explorer's limit, as crawlers use it
    # at most, about one per 50,000 wanted links; memory needs 60 bytes a row of a shard
    shards: int = 16
    # records that one more shard is for; short lists have a divisor of `shards`. A shard has some
    # seven files in each step up to the signatures; 500 pages are 5 s of a worker's time
    shard_records: int = field(default=500, metadata={"later": True})
    # keep what was read of each source, so that a later harvest reads only those that are new
    remember: bool = field(default=True, metadata={"machine": True})

    name: ClassVar[str] = "links"
    version: ClassVar[int] = 5  # also raised when a file of pipeline/data changes

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: one of them is invalid.
        """
        if self.merge not in MERGES:
            raise UserError(f"links.merge = {self.merge!r}: wanted one of {', '.join(MERGES)}")
        if unknown := set(self.lists) - set(LISTS):
            raise UserError(f"links.lists has {sorted(unknown)}: wanted some of {', '.join(LISTS)}")
        if self.after and self.before and self.after >= self.before:
            raise UserError(
                f"links.after = {self.after} and links.before = {self.before} leave no day between"
            )
        for name, least in (("shards", 1), ("shard_records", 1), ("max_url_length", 20)):
            if getattr(self, name) < least:
                raise UserError(f"links.{name} = {getattr(self, name)}: wanted {least} or more")
        object.__setattr__(self, "exclude_domains", hosts(self.exclude_domains))

    def exclusions(self) -> Exclusions:
        """Return the part that asks nothing but an address, for those who have no links."""
        lists = tuple(name for name in LISTS if name in self.lists and name != "subreddits")
        return Exclusions(self.exclude_domains, lists, self.max_url_length)

    def window(self) -> tuple[int | None, int | None]:
        """Return the first wanted second and the first one after the window, as Unix time."""
        return _midnight(self.after), _midnight(self.before)


def _midnight(day: date | None) -> int | None:
    return None if day is None else int(datetime.combine(day, time(), UTC).timestamp())
