"""What a harvest takes, and how the votes of several submissions count: its settings."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import ClassVar

from webtext.pipeline.core.errors import UserError

LISTS = ("domains", "extensions", "subreddits")
MERGES = ("max", "sum", "each")


@dataclass(frozen=True)
class Harvest:
    """Which links are taken from which dumps, and how the votes of several submissions count.

    `merge` says what the score of a URL is that was submitted more than once:

    - `max`: its best submission's. Somebody's readers found it worth three votes.
    - `sum`: the sum, negative ones included, as OpenWebText2 has it. Often posted counts like
      well liked, so it lets in what many people posted and few liked.
    - `each`: every submission must reach the score alone, as in OpenWebText; those that do not are
      dropped, and the best of the others counts.

    A score means what the dump's makers saw: in months up to 2023-10 the score some days or weeks
    after the submission, from 2023-11 on that of a second look 36 hours after it. So one threshold
    is a little stricter in later months. A score that is not known counts as 0, as OpenWebText2 has
    it; a link from a list without scores is vouched for by the list, and passes, as it does the
    window of time.

    Source: 3 votes, from "Language Models are Unsupervised Multitask Learners", section 2.1
    (WebText); its list of subreddits was not published, and none stands in for it.
    """

    sources: tuple[str, ...] = field(default=(), metadata={"machine": True})  # paths or globs
    min_score: int = 3  # votes; a link with fewer is dropped
    merge: str = "max"  # or "sum", "each"
    after: date | None = None  # the first day wanted, UTC
    before: date | None = None  # the first day no longer wanted, UTC
    keep_nsfw: bool = False  # keep submissions marked as adult
    keep_deleted: bool = False  # keep submissions that were removed
    exclude_domains: tuple[str, ...] = ()  # registrable domains or hosts, and all names under them
    exclude_subreddits: tuple[str, ...] = ()  # names without r/
    lists: tuple[str, ...] = LISTS  # files of pipeline/data that exclude as well
    max_url_length: int = 2083  # characters. Source: Internet Explorer's limit, as crawlers use it
    shards: int = 16  # about one a 50,000 links wanted; memory holds 60 bytes a row of a shard

    name: ClassVar[str] = "links"
    version: ClassVar[int] = 4  # raised too when a file of pipeline/data changes

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: one of them makes no sense.
        """
        if self.merge not in MERGES:
            raise UserError(f"links.merge = {self.merge!r}: wanted one of {', '.join(MERGES)}")
        if unknown := set(self.lists) - set(LISTS):
            raise UserError(f"links.lists has {sorted(unknown)}: wanted some of {', '.join(LISTS)}")
        if self.after and self.before and self.after >= self.before:
            raise UserError(
                f"links.after = {self.after} and links.before = {self.before} leave no day between"
            )
        for name, least in (("shards", 1), ("max_url_length", 20)):
            if getattr(self, name) < least:
                raise UserError(f"links.{name} = {getattr(self, name)}: wanted {least} or more")

    def window(self) -> tuple[int | None, int | None]:
        """Return the first second wanted and the first no longer wanted, as Unix time."""
        return _midnight(self.after), _midnight(self.before)


def _midnight(day: date | None) -> int | None:
    return None if day is None else int(datetime.combine(day, time(), UTC).timestamp())
