"""What is not as it was when WARC files were imported: the records that are lost since."""

import logging
from pathlib import Path
from typing import Any

from webtext.pipeline.archive.framing import DAMAGED, TORN
from webtext.pipeline.archive.warc import Response
from webtext.pipeline.core.errors import UserError

log = logging.getLogger(__name__)


class Losses:
    """The records of one WARC file that do not match their rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.good = self.lost = 0
        self.other = ""  # about the first record that is whole but a different one

    def checked(
        self, row: dict[str, Any], found: Response | None, elsewhere: bool = False
    ) -> bytes | None:
        """Return a body if it is the one that the row describes (`elsewhere`: of any URL)."""
        wanted = f"{self.path}: wanted {row['final_url']} ({row['body_bytes']} bytes)"
        if found is None or found.problem in (TORN, DAMAGED):
            self.damaged(f"{wanted}, found a damaged record")
            return None
        same = elsewhere or found.url in {row["final_url"], row["url"]}
        if not same or len(found.body) != row["body_bytes"]:
            self.other = self.other or f"{wanted}, found {found.url} ({len(found.body)} bytes)"
            self.damaged(self.other)
            return None
        self.good += 1
        return found.body

    def damaged(self, said: str) -> None:
        """Count a lost record; warn about the first."""
        self.lost += 1
        if self.lost == 1:
            log.warning("%s; it costs this page, which is dropped as extract.damaged", said)

    def sum_up(self) -> None:
        """Warn how many are lost, if more than the first.

        Raises:
            UserError: the file is not the one that was imported.
        """
        if self.other and not self.good:
            raise UserError(
                f"{self.other}; the file has changed since it was looked through: put the one of "
                "then back, or build from where the new one lies"
            )
        if self.lost > 1:
            log.warning("%s: %d records cannot be read", self.path, self.lost)
