"""Addresses of places in an object store, such as `s3://bucket/corpora/demo`."""

import re
from dataclasses import dataclass

from webtext.pipeline.core.errors import UserError

SCHEMES = ("s3", "gs", "az")
_SHAPE = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """A bucket (a container, in Azure's words), and the prefix of all names below it."""

    scheme: str
    bucket: str
    prefix: str  # without a slash at either end; "" is the whole bucket

    def __str__(self) -> str:
        return "/".join([f"{self.scheme}://{self.bucket}", *self.prefix.split("/")]).rstrip("/")

    def __truediv__(self, name: str) -> "Address":
        return Address(self.scheme, self.bucket, f"{self.prefix}/{name}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of the prefix."""
        return self.prefix.rpartition("/")[2]

    @property
    def parent(self) -> "Address":
        """The address that this one lies in."""
        return Address(self.scheme, self.bucket, self.prefix.rpartition("/")[0])


def is_address(text: str) -> bool:
    """Whether a text is meant as an address, and not as a path.

    >>> is_address("s3://bucket/data"), is_address("data/s3"), is_address("https://a.test/")
    (True, False, True)
    """
    return _SHAPE.fullmatch(text) is not None


def parse(text: str) -> Address:
    """Return the address that a text is.

    >>> str(parse("s3://bucket/corpora/demo/"))
    's3://bucket/corpora/demo'

    Raises:
        UserError: another scheme, no bucket, or parts that no address has; a part that may be a
            password is not repeated in the message.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise UserError(f"{text!r}: no address; wanted one such as s3://bucket/data")
    scheme, rest = found.groups()
    if "@" in rest or "?" in rest or "#" in rest:
        raise UserError(
            f"{scheme}://…: wanted only a bucket and a prefix, without @, ? or #; credentials are "
            "taken from the environment, see docs/stores.md"
        )
    if scheme not in SCHEMES:
        raise UserError(f"{text!r}: wanted {', '.join(f'{one}://' for one in SCHEMES)} or a path")
    bucket, _, prefix = rest.partition("/")
    parts = [part for part in prefix.split("/") if part]
    if not bucket:
        raise UserError(f"{text!r}: names no bucket; wanted one such as {scheme}://bucket/data")
    if {".", ".."} & set(parts) or any(ord(sign) < ord(" ") for sign in rest):
        raise UserError(f"{text!r}: no part of a prefix is . or .., or has control characters")
    return Address(scheme, bucket, "/".join(parts))
