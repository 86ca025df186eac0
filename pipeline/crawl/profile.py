"""What a crawl's settings promise of its pages, so that another crawl knows if it may use them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.settings import Crawl

NOTE = "webtext-profile"  # the line of a warcinfo record that holds a profile as JSON

_NAMES = frozenset(field.name for field in fields(Crawl))


@dataclass(frozen=True)
class Profile:
    """The settings of a crawl that decide what a fetch gives.

    Delays, timeouts and attempts are left out: they decide only how often a fetch fails for a
    reason that may pass, and such failures are never taken over.
    """

    product: str  # our name in robots.txt
    respect_robots: bool
    enforce_opt_out: bool
    opt_out_files: bool
    max_body: int  # bytes
    max_redirects: int
    content_types: tuple[str, ...]  # sorted
    ports: tuple[int, ...]  # sorted
    allow_private: bool
    pretended: bool  # whether `connect_to` sent hosts elsewhere, as in a test
    allow: tuple[str, ...] = ()  # sorted

    @classmethod
    def of(cls, settings: Crawl) -> Self:
        """Return the profile of a crawl with these settings."""
        asked = {name: getattr(settings, name) for name in cls.__dataclass_fields__.keys() & _NAMES}
        asked["content_types"] = tuple(sorted(settings.content_types))
        asked["ports"] = tuple(sorted(settings.ports))
        asked["allow"] = tuple(sorted(settings.allow))
        return cls(product=settings.product, pretended=bool(settings.connect_to), **asked)

    @classmethod
    def recorded(cls, settings: Mapping[str, Any]) -> Self | None:
        """Return the profile of the settings in a manifest; None if this version refuses them.

        A setting that an earlier version did not have has its default.
        """
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in settings.items()
            if name in _NAMES
        }
        try:
            return cls.of(Crawl(**known))
        except (UserError, TypeError, ValueError):
            return None

    @classmethod
    def read(cls, note: str) -> Self | None:
        """Return the profile that a warcinfo record holds, None if it cannot be read."""
        try:
            found = json.loads(note)
            listed = {name: tuple(found[name]) for name in ("content_types", "ports")}
            listed["allow"] = tuple(found.get("allow", ()))
            return cls(**{**found, **listed})
        except (ValueError, TypeError, KeyError):
            return None

    def note(self) -> tuple[str, str]:
        """Return the profile as a line of a warcinfo record."""
        said = asdict(self)
        if not self.allow:  # as notes were written before there was such a setting
            del said["allow"]
        return NOTE, json.dumps(said, separators=(",", ":"))

    def pages_serve(self, wanted: "Profile") -> bool:
        """Whether pages that were fetched by this profile may be used by a crawl of `wanted`.

        They may if it was as strict. Our name in robots.txt may be another: the host allowed the
        request that was made, and no other one is made. What depends on the single page, its size
        and its redirects, `page_serves` decides.
        """
        return (
            self.respect_robots >= wanted.respect_robots
            and self.enforce_opt_out >= wanted.enforce_opt_out
            and self.opt_out_files >= (wanted.opt_out_files and wanted.enforce_opt_out)
            and set(self.content_types) <= set(wanted.content_types)
            and set(self.ports) <= set(wanted.ports)
            and self.allow_private <= wanted.allow_private
            and set(self.allow) <= set(wanted.allow)
            and self.pretended == wanted.pretended
        )

    def page_serves(self, size: int, redirects: int) -> bool:
        """Whether a page of so many bytes, after so many redirects, is within the limits."""
        return size <= self.max_body and redirects <= self.max_redirects
