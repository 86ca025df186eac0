"""What people say of single documents: labels, kept in one file beside the data.

The file is JSON Lines and only ever appended to, a line at once, so that a killed process loses at
most the label that it was writing. A label names its document by id, which is a hash of the URL:
so labels outlive any rebuild. The last line of an id counts.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from webtext.pipeline.core.errors import UserError

FILE = "labels.jsonl"  # in the data directory
KEEP, DROP, UNSURE, NONE = "keep", "drop", "unsure", ""
SAID = {KEEP: "belongs in the corpus", DROP: "does not belong in it", UNSURE: "unsure", NONE: ""}
CONFIDENCE = 1.959964  # standard deviations on each side of 95 % of a normal distribution
LONGEST = 1000  # characters of a reason


@dataclass(frozen=True)
class Label:
    """What somebody said of a document."""

    id: str
    label: str  # one of SAID; NONE takes an earlier one back
    reason: str = ""
    url: str = ""
    fate: str = ""  # at that time
    time: str = ""  # ISO 8601, UTC


def add(data: Path, label: Label) -> Label:
    """Append a label to the file; when this returns, it is on the disk.

    Raises:
        UserError: no such label; the file cannot be written.
    """
    if label.label not in SAID:
        raise UserError(f"label = {label.label}: wanted keep, drop or unsure")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = Label(label.id, label.label, label.reason[:LONGEST], label.url, label.fate, now)
    line = json.dumps(asdict(made), ensure_ascii=True).encode() + b"\n"
    path = data / FILE
    try:
        with path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                line = b"\n" + line  # a killed process left half a line: it stays by itself
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); nothing is lost") from None
    return made


def read(data: Path) -> dict[str, Label]:
    """Return the last label of each document; lines that are not whole are passed over."""
    found: dict[str, Label] = {}
    try:
        lines = (data / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            told = json.loads(line)
            label = Label(**{name: str(told.get(name, "")) for name in Label.__annotations__})
        except (ValueError, AttributeError):
            continue
        if label.label == NONE:
            found.pop(label.id, None)
        elif label.id and label.label in SAID:
            found[label.id] = label
    return found


class Share(NamedTuple):
    """A share that was measured on a random sample, and where it lies with 95 % confidence."""

    matching: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        return self.matching / self.of if self.of else None


def share(count: int, of: int) -> Share:
    """Return a share with its 95 % interval.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    >>> found = share(14, 60)
    >>> f"{found.low:.3f} {found.share:.3f} {found.high:.3f}"
    '0.144 0.233 0.354'
    """
    if not of:
        return Share(0, 0, 0.0, 1.0)
    p, z2 = count / of, CONFIDENCE**2
    middle = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = CONFIDENCE / (1 + z2 / of) * sqrt(p * (1 - p) / of + z2 / (4 * of * of))
    return Share(count, of, max(0.0, middle - half), min(1.0, middle + half))
