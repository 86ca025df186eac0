"""The objects that are read in place: a client a bucket, and what each object was when first seen.

All that is read of a store by ranges goes this way: dumps, lists and WARC files, and Common Crawl's
index and records. A size is asked for once, and not at all where a listing or an answer said it.
"""

from functools import lru_cache

from webtext.pipeline.core.stores.object_store import ObjectStore, Size
from webtext.pipeline.core.stores.store_addresses import Address

MOST = 1 << 20  # objects that are remembered: a few hundred bytes each

_seen: dict[Address, Size | None] = {}


@lru_cache(64)
def client(scheme: str, bucket: str) -> ObjectStore:
    """Return all objects of a bucket, with connections that all its readers share."""
    return ObjectStore(Address(scheme, bucket, ""))


def _client(address: Address) -> ObjectStore:
    return client(address.scheme, address.bucket)


def look_again() -> None:
    """Forget what all objects were; some may have been replaced."""
    _seen.clear()


def known(address: Address) -> bool:
    """Whether `size` needs no request."""
    return address in _seen


def size(address: Address) -> Size | None:
    """Return the size and version of an object as it was when first seen, None if there is none.

    Raises:
        StoreError: the store refuses, or cannot be reached.
    """
    if address not in _seen:
        _note(address, _client(address).size(address.prefix))
    return _seen[address]


def listed(folder: Address) -> list[Address]:
    """Return the addresses of all objects below one, sorted; their sizes are known then.

    Raises:
        StoreError: as `size`.
    """
    addresses = []
    for key, found in sorted(_client(folder).listed(folder.prefix).items()):
        address = Address(folder.scheme, folder.bucket, key)
        if address not in _seen:
            _note(address, found)
        addresses.append(address)
    return addresses


def read(address: Address, start: int, length: int) -> bytes | None:
    """Return a range of an object, fewer bytes at its end; None if there is no such object.

    Raises:
        StoreError: as `size`; or the object is another than was seen first.
    """
    before = _seen.get(address)
    if before is None and address in _seen:
        return None
    found = _client(address).read(address.prefix, start, length, before.version if before else None)
    if before is None:
        _note(address, found.size if found else None)
    return found.content if found else None


def _note(address: Address, found: Size | None) -> None:
    if len(_seen) >= MOST:
        _seen.clear()
    _seen[address] = found
