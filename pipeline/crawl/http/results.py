"""The consequences of an answer: for its URL, for its host, and for the workbench."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.fetch import Exchange, Fetched
from webtext.pipeline.crawl.frontier.recovery import GIVEN_UP
from webtext.pipeline.crawl.frontier.rows import (
    ACTIVE,
    FINISHED,
    PARKED,
    Changes,
    Done,
    HostChange,
    Item,
    milliseconds,
)
from webtext.pipeline.crawl.frontier.targets import host_of
from webtext.pipeline.crawl.frontier.workbench import Host, Workbench

SECONDS = len("2026-11-24T12:00:00")  # characters of a time without its fraction


@dataclass
class Result:
    """The data to write for one visit."""

    changes: Changes = field(default_factory=Changes)
    done: Done | None = None  # the URL's outcome, if it is final
    exchange: Exchange | None = None  # the exchange to archive with it
    notes: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""  # as linked, and its shard of the links
    shard: int = 0
    leaves: bool = False  # whether the host is off the workbench

    @property
    def size(self) -> int:
        """How many bytes of memory it takes until it is written."""
        return len(self.exchange.body) if self.exchange else 0


def judged(
    bench: Workbench,
    host: Host,
    item: Item,
    fetched: Fetched,
    started: float,
    now: float,
    wall: float,
) -> Result:
    """Decide how a URL and its host continue after a visit.

    A failure of the host rather than of the page counts against the host, unless a redirect had
    led to another host by then: that one is left alone for a while instead. `now` is the
    workbench's time, `started` and `wall` are Unix time.
    """
    settings = bench.settings
    result = Result(url=item.url, shard=item.shard)
    retry = fetched.again and item.attempts + 1 < settings.attempts
    if retry:
        result.changes.returned = [item._replace(attempts=item.attempts + 1)]
    else:
        result.done = outcome(item, fetched, started)
        result.exchange = fetched.exchange
        result.notes = notes(item, fetched)

    where = host_of(fetched.final_url)
    if not (fetched.again or fetched.fate in fates.HOST_FAULTS):
        if host.errors:
            host.errors = 0
            result.changes.hosts = [HostChange(ACTIVE, 0.0, 0, item.n, host.row)]
    elif where not in ("", host.name):
        if (other := bench.hosts.get(where)) is not None:
            bench.rest(other, now + max(settings.backoff, fetched.retry_after or 0.0))
    else:
        _count_failure(result, bench, host, item, fetched, now, wall)
    return result


def _count_failure(
    result: Result,
    bench: Workbench,
    host: Host,
    item: Item,
    fetched: Fetched,
    now: float,
    wall: float,
) -> None:
    """Add to `result` the effect of a failure on the host: continue, park, or give up."""
    host.errors += 1
    row = host.row
    if host.errors >= bench.settings.host_errors:
        bench.withdraw(host)
        result.leaves = True
        result.changes.given_up = [(row, host.errors)]
        result.notes.append((GIVEN_UP, f"{host.name} {host.errors}"))
        result.changes.hosts = [HostChange(FINISHED, 0.0, host.errors, item.n, row)]
    elif fetched.again:
        wait = bench.back_off(host, now, fetched.retry_after)
        result.leaves = True
        result.changes.returned += bench.withdraw(host)
        result.changes.hosts = [HostChange(PARKED, wall + wait, host.errors, item.n, row)]
    else:  # no later attempt would succeed, so there is no reason to wait
        result.changes.hosts = [HostChange(ACTIVE, 0.0, host.errors, item.n, row)]


def outcome(item: Item, fetched: Fetched, started: float) -> Done:
    """Return the outcome of a URL, without its position in the archive."""
    exchange = fetched.exchange
    return Done(
        host=item.host,
        n=item.n,
        attempts=item.attempts + 1,
        started=fetched.started or started,
        dropped_by=fetched.fate,
        dropped_value=fetched.value,
        final_url=fetched.final_url,
        redirects=fetched.redirects,
        status=fetched.status,
        content_type=fetched.content_type,
        robots=fetched.robots,
        robots_time=fetched.robots_time,
        signals=fetched.signals,
        ip=fetched.ip,
        first_byte_ms=milliseconds(fetched.first_byte),
        elapsed_ms=milliseconds(fetched.elapsed),
        wire_bytes=fetched.wire_bytes,
        body_bytes=fetched.body_bytes,
        truncated=exchange.truncated if exchange else None,
        etag=fetched.etag,
        last_modified=fetched.last_modified,
    )


def notes(item: Item, fetched: Fetched) -> list[tuple[str, str]]:
    """Return the lines of the metadata record."""
    found = [("linked", item.url), ("robots", fetched.robots)]
    if fetched.robots_time is not None:
        when = datetime.fromtimestamp(fetched.robots_time, UTC).isoformat()[:SECONDS]
        found.append(("robots-time", f"{when}Z"))
    found += [("redirected-from", url) for url in fetched.redirects]
    found += [("opt-out", signal) for signal in fetched.signals]
    if fetched.exchange:
        found.append(("fetchTimeMs", str(round(fetched.exchange.elapsed * 1000))))
    return found
