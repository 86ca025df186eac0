"""When a flow runs: the options of `webtext serve`, as plain values that a JSON file can hold."""

import re
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from webtext.pipeline.core.errors import UserError

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
KINDS = ("build", "refresh", "train")


@dataclass(frozen=True)
class Schedule:
    """A schedule of a deployment; one of `cron`, `interval` (seconds) and `rrule` is set."""

    slug: str
    timezone: str
    active: bool = True
    cron: str | None = None
    interval: float | None = None
    rrule: str | None = None

    def __str__(self) -> str:
        when = self.cron or self.rrule or f"every {self.interval:,.0f} s"
        return f"{when} ({self.timezone})" + ("" if self.active else ", not active")


@dataclass(frozen=True)
class Served:
    """A deployment: a flow with its parameters, and its schedule."""

    kind: str  # one of KINDS
    name: str
    parameters: dict[str, Any]
    schedules: list[Schedule] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return it as plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def read(cls, told: dict[str, Any]) -> "Served":
        """Return the deployment that `plain` has written."""
        return cls(**{**told, "schedules": [Schedule(**one) for one in told["schedules"]]})


def schedule(
    cron: str | None, every: float | None, at: str | None, timezone: str | None, active: bool
) -> Schedule | None:
    """Return the schedule that the options ask for, None if they ask for none.

    Raises:
        UserError: more than one was asked for, or the time or time zone does not exist.
    """
    asked = [name for name, value in (("--cron", cron), ("--every", every), ("--at", at)) if value]
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)}: wanted one of --cron, --every and --at")
    zone = timezone or local_zone()
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise UserError(
            f"--timezone {zone}: no such time zone; wanted a name such as Europe/Berlin or UTC"
        ) from None
    if cron:
        return Schedule("cron", zone, active, cron=cron)
    if every:
        return Schedule("every", zone, active, interval=every)
    if at:
        return at_time(at, zone, active)
    return None


def at_time(at: str, zone: str, active: bool) -> Schedule:
    """Return a schedule for a time of day, of a week, of a month, or once.

    >>> at_time("03:00", "UTC", True).cron, at_time("sun 03:30", "UTC", True).cron
    ('0 3 * * *', '30 3 * * 0')
    >>> at_time("1 03:00", "UTC", True).cron
    '0 3 1 * *'

    Raises:
        UserError: the time has none of these forms.
    """
    found = re.fullmatch(r"(?:([a-z]{3}|\d{1,2}) +)?(\d{1,2}):(\d{2})", at.strip().lower())
    if found and int(found[2]) < 24 and int(found[3]) < 60:
        clock = f"{int(found[3])} {int(found[2])}"
        if not found[1]:
            return Schedule("daily", zone, active, cron=f"{clock} * * *")
        if found[1] in DAYS:
            return Schedule("weekly", zone, active, cron=f"{clock} * * {DAYS.index(found[1])}")
        if found[1].isdigit() and 1 <= int(found[1]) <= 31:
            return Schedule("monthly", zone, active, cron=f"{clock} {int(found[1])} * *")
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        raise UserError(
            f"--at {at}: no time; wanted 03:00 (each day), sun 03:00, 1 03:00 (of each month) or "
            "2026-12-01T03:00 (once)"
        ) from None
    when = (when if when.tzinfo else when.replace(tzinfo=ZoneInfo(zone))).astimezone(ZoneInfo(zone))
    rule = f"DTSTART:{when:%Y%m%dT%H%M%S}\nRRULE:FREQ=DAILY;COUNT=1"
    return Schedule("once", zone, active, rrule=rule)


def local_zone() -> str:
    """Return the name of this machine's time zone."""
    import tzlocal

    try:
        return tzlocal.get_localzone_name() or "UTC"
    except (OSError, LookupError, ValueError):
        return "UTC"


def parameters_of(
    kind: str,
    recipe: str,
    data: Path,
    workers: int,
    overrides: list[str],
    timeout: float | None,
    overlap: str,
    until: str | None = None,
) -> dict[str, Any]:
    """Return a flow's parameters, with every path absolute."""
    path = Path(recipe)
    found = {
        "recipe": str(path.resolve()) if path.is_file() else recipe,
        "data": str(data.resolve()),
        "overrides": overrides,
        "directory": str(Path.cwd()),
        "timeout": timeout,
        "overlap": overlap,
    }
    if kind == "build":
        found["until"] = until
    return found if kind == "train" else {**found, "workers": workers}
