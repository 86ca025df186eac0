"""One submission of any source and era: which fields, under which names and types.

The meaning of the fields of Reddit's dumps changed over the years, and their names differ between
sources; only this module knows about that.
"""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

INT32 = 2**31 - 1
YEAR_10000 = 253_402_300_800  # Unix time; later ones are not valid times, nor dates in Python


class Submission(msgspec.Struct, gc=False):
    """One link as somebody posted it, in the common types of all sources."""

    url: str | None
    id: str | None = None  # the source's own, such as Reddit's "1gej9x"
    subreddit: str | None = None
    score: int | None = None  # null if the source states none
    created: int | None = None  # Unix time, in seconds
    title: str | None = None
    self_post: bool = False
    over_18: bool = False
    deleted: bool = False
    listed: bool = False  # from a list without scores, so it counts as good


class Parent(msgspec.Struct, gc=False):
    """What a crosspost says about the submission that it repeats."""

    url: str | None = None
    is_self: bool | msgspec.UnsetType = msgspec.UNSET


class Notes(msgspec.Struct, gc=False):
    """What Arctic Shift found when it fetched the submission again, 36 hours later."""

    removal_type: Any = None
    was_deleted_later: Any = None

    def removed(self) -> bool:
        """Whether the submission had been removed by then."""
        return bool(self.removal_type) or as_truth(self.was_deleted_later)


class Usual(msgspec.Struct, gc=False):
    """The fields of a Reddit submission that are read, in the types that nearly all have.

    All other fields are skipped. There are as few as possible: the decoder compares every name of a
    line with every field here. A line with other types is read as `Raw`.
    """

    created_utc: int | float | str
    is_self: bool
    url: str | None  # a line without it may have one by another name, so it is read by itself
    crosspost_parent_list: list[Parent] | None = None
    id: str | None = None
    over_18: bool | None = None
    removed_by_category: str | None = None  # who removed it, since 2019
    score: int | None = None
    subreddit: str | None = None
    title: str | None = None
    url_overridden_by_dest: str | None = None  # since 2019, when `url` may be Reddit's own
    meta: Notes | None = msgspec.field(default=None, name="_meta")


class Raw(msgspec.Struct, gc=False):
    """The fields of any source, unchanged."""

    created_utc: Any = None
    crosspost_parent_list: Any = None
    id: Any = None
    is_self: Any = None
    over_18: Any = None
    removed_by_category: Any = None
    score: Any = None
    subreddit: Any = None
    title: Any = None
    url: Any = None
    url_overridden_by_dest: Any = None
    meta: Any = msgspec.field(default=None, name="_meta")
    permalink: Any = None
    domain: Any = None
    created: Any = None
    objectID: Any = None  # noqa: N815 -- as Hacker News's search interface spells it
    points: Any = None
    num_points: Any = None
    created_at_i: Any = None
    created_at: Any = None
    time: Any = None
    by: Any = None
    deleted: Any = None
    dead: Any = None


# The names of fields in lists, in lower case, by which `Raw` has them: some have others in dumps.
COLUMNS = {"link": "url", "href": "url", "uri": "url", "address": "url", "timestamp": "time"}
COLUMNS |= {field.lower(): field for field in Raw.__struct_fields__ if field != "meta"}


def named(names: Iterable[str]) -> dict[str, str]:
    """Return for each known field which of the names it has, whatever the case; its own before all.

    >>> named(["Link", "ID", "URL", "mood"])
    {'url': 'URL', 'id': 'ID'}
    """
    found: dict[str, str] = {}
    for name in names:
        field = COLUMNS.get(name.strip().lower())
        if not field or found.get(field) == field:
            continue
        if field not in found or name.strip().lower() == field.lower():
            found[field] = name
    return found


def submission(raw: Raw) -> Submission:
    """Convert the fields of any source to common names and types."""
    if raw.permalink is not None or raw.subreddit is not None or raw.is_self is not None:
        if raw.is_self is None:  # dumps of some months lack the field
            raw.is_self = isinstance(raw.domain, str) and raw.domain.startswith("self.")
        if raw.created_utc is None:
            raw.created_utc = raw.created
        return posted(raw)
    points = next((x for x in (raw.score, raw.points, raw.num_points) if x is not None), None)
    times = (raw.created_utc, raw.created_at_i, raw.created_at, raw.created, raw.time)
    listed = points is None and raw.by is None
    url = as_text(raw.url)
    return Submission(
        url=unescaped(url) if listed else url,  # such lists are made from dumps, as OpenWebText's
        id=as_text(raw.id if raw.id is not None else raw.objectID),
        score=as_score(points),
        created=as_time(next((x for x in times if x is not None), None)),
        title=as_text(raw.title),
        over_18=as_truth(raw.over_18),
        deleted=as_truth(raw.deleted) or as_truth(raw.dead),
        listed=listed,
    )


def posted(post: Raw) -> Submission:
    """Return the URL of a Reddit submission, and the facts that decide about it."""
    url, self_post = post.url_overridden_by_dest or post.url, post.is_self
    if post.crosspost_parent_list:
        url, self_post = _crossposted(post.crosspost_parent_list, url, self_post)
    return Submission(
        target(as_text(url)),
        as_text(post.id),
        as_text(post.subreddit),
        as_score(post.score),
        as_time(post.created_utc),
        unescaped(as_text(post.title)),
        as_truth(self_post),
        as_truth(post.over_18),
        post.removed_by_category is not None or (post.meta is not None and _removed(post.meta)),
    )


def target(url: str | None) -> str | None:
    """Return a Reddit URL as its poster meant it; one without a host belongs to Reddit itself."""
    if url is None or not url.startswith("/"):
        return unescaped(url)
    return f"https://www.reddit.com{url}"


def _crossposted(parents: Any, url: Any, self_post: Any) -> tuple[Any, Any]:
    """Return the target of a crosspost: its parent's, if its own is only the parent's thread."""
    parent = parents[0] if isinstance(parents, list) else None
    if isinstance(parent, dict) and isinstance(parent.get("url"), str):
        return parent["url"], parent.get("is_self", self_post)
    return url, self_post


def _removed(meta: Any) -> bool:
    return (
        isinstance(meta, dict)
        and Notes(meta.get("removal_type"), meta.get("was_deleted_later")).removed()
    )


def without_halves(found: Submission) -> Submission:
    """Replace halves of surrogate pairs, which JSON can contain but UTF-8 cannot, by U+FFFD."""
    for name in ("url", "id", "subreddit", "title"):
        text = getattr(found, name)
        if text is not None:
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            setattr(found, name, whole)
    return found


def unescaped(text: str | None) -> str | None:
    """Undo the three escapes in every string of Reddit's answers, and so of all dumps.

    >>> unescaped("a?b=1&amp;c=2&amp;lt;")
    'a?b=1&c=2&lt;'
    """
    if text is None or "&" not in text:
        return text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def as_text(value: Any) -> str | None:
    """Return a string; null for a value that is neither text nor an integer.

    Bytes are text that its writer gave no type, as Parquet's columns without one.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def as_truth(value: Any) -> bool:
    """Return whether a flag is set, in any spelling.

    >>> as_truth("True"), as_truth("false"), as_truth(1), as_truth(None)
    (True, False, True, False)
    """
    return value.lower() in ("true", "1") if isinstance(value, str) else value in (True, 1)


def as_score(value: Any) -> int | None:
    """Return a score of any spelling within 32 bits, or null if it is not a score.

    >>> as_score("12"), as_score(3.0), as_score(10**12), as_score("many"), as_score(None)
    (12, 3, 2147483647, None, None)
    """
    try:
        return max(-INT32, min(INT32, int(float(value))))
    except (TypeError, ValueError, OverflowError):
        return None


def as_time(value: Any) -> int | None:
    """Return Unix time in seconds, from a number, its digits, an ISO date or a month-first date.

    A time without a zone is read as UTC: neither of the dumps with such times states a zone.

    >>> as_time("1371311185"), as_time(1371311185.0), as_time("8/4/2016 11:52"), as_time("soon")
    (1371311185, 1371311185, 1470311520, None)
    """
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    elif isinstance(value, str) and not _number.fullmatch(value):
        value = _date(value)
    try:
        seconds = math.floor(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < YEAR_10000 else None


def _date(text: str) -> float | None:
    """Return the Unix time of 2016-08-04T11:52 (or any other ISO form) or 8/4/2016 11:52."""
    american = _american.fullmatch(text)
    try:
        if american:
            month, day, year, hour, minute = map(int, american.groups())
            return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


_number = re.compile(r"\s*-?\d+(\.\d*)?\s*", re.ASCII)
_american = re.compile(r"\s*(\d+)/(\d+)/(\d{4}) (\d+):(\d+)\s*", re.ASCII)
