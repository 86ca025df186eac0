"""Replace addresses of people and machines in a text by reserved ones."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import ClassVar

import pyarrow as pa

from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.stage import judged

# The replacements are reserved, so they belong to nobody.
EMAIL = "email@example.com"  # RFC 2606
IPV4, IPV6 = "192.0.2.1", "2001:db8::1"  # RFC 5737, RFC 3849
PHONE = "555-0100"  # NANPA: 555-0100 to 555-0199 are for fiction

EMAILS = re.compile(
    r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24}(?!\w)",
    re.IGNORECASE,
)
IPV4S = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
# All public ones are in 2000::/3 so far; "a::b" in a program is not one. Source: RFC 4291, 2.4
IPV6S = re.compile(r"(?<![\w:.])[23][0-9a-f]{3}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE)
# North American, as in Dolma (but anywhere); and international ones by E.164: a plus,
# and 8 to 15 digits in groups. Source: Soldaini et al. (2024), Dolma; ITU-T E.164.
PHONES = re.compile(
    r"(?<![\w+.-])(?:\+1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-])"
    r"|(?<![\w+])\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}(?![\w-])"
)
FEWEST, MOST = 8, 15  # digits of a number with its country code


@dataclass(frozen=True)
class Pii:
    """Replace e-mail addresses, public IP addresses and phone numbers, and count them.

    Only public IP addresses are replaced: those of private networks and of documentation identify
    nobody. A version number of four parts is mistaken for an IP address. Names and streets stay,
    because no regular expression finds them. Off by default: WebText did not have this step.
    """

    enabled: bool = False
    emails: bool = True  # mask mail addresses
    ips: bool = True  # mask public IP addresses
    phones: bool = True  # mask telephone numbers

    name: ClassVar[str] = "pii"
    version: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = DOCUMENT
    writes: ClassVar[pa.Schema] = DOCUMENT

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        edits = [self.edit(text or "") for text in batch["text"].to_pylist()]
        names = batch.schema.names
        columns = dict(zip(names, batch.columns, strict=True))
        columns["text"] = pa.array([text for text, _ in edits], pa.string())
        columns["pii"] = pa.array([counts for _, counts in edits], DOCUMENT.field("pii").type)
        schema = pa.schema([DOCUMENT.field(name) for name in columns])
        edited = pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)
        return judged(edited, [None] * batch.num_rows)

    def edit(self, text: str) -> tuple[str, dict[str, int]]:
        """Return the edited text, and how many of each kind were replaced.

        >>> Pii().edit("Write to ann@lake.org, from 8.8.8.8 or 10.0.0.1; call (212) 555-7890.")[0]
        'Write to email@example.com, from 192.0.2.1 or 10.0.0.1; call 555-0100.'
        """
        counts = {"emails": 0, "ips": 0, "phones": 0}
        if self.emails and "@" in text:
            text, counts["emails"] = EMAILS.subn(EMAIL, text)
        if self.ips:
            text, four = replaced(IPV4S, text, lambda found: IPV4 if public(found) else found)
            text, six = replaced(IPV6S, text, lambda found: IPV6 if public(found) else found)
            counts["ips"] = four + six
        if self.phones:
            text, counts["phones"] = replaced(
                PHONES, text, lambda found: PHONE if is_number(found) else found
            )
        return text, counts


def replaced(pattern: re.Pattern[str], text: str, instead: Callable[[str], str]) -> tuple[str, int]:
    """Return the text with each match replaced by `instead`, and how many were changed."""
    count = 0

    def change(match: re.Match[str]) -> str:
        nonlocal count
        given = instead(match[0])
        count += given != match[0]
        return given

    return pattern.sub(change, text), count


def public(address: str) -> bool:
    """Whether this is a public IP address.

    >>> public("8.8.8.8"), public("192.168.0.1"), public("999.1.1.1"), public("2001:db8::1")
    (True, False, False, False)
    """
    try:
        return ip_address(address).is_global
    except ValueError:
        return False


def is_number(found: str) -> bool:
    """Whether it has as many digits as a phone number with its area or country."""
    return FEWEST <= sum(character.isdigit() for character in found) <= MOST
