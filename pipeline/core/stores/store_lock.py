"""The lock of a data directory in a store: one small object, written only if nobody was quicker.

There is no server that would end a dead holder's lock, so the lock is a lease: its holder writes it
anew every few seconds, and who finds it older than others wait, by the store's own clock, may take
it over. A holder whose lease was taken over, because its machine was suspended or cut off for so
long, is told to stop, and could not finish a step unseen: a manifest is written only in place of
the one that was there before.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any
from uuid import uuid4

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores.object_store import Version
from webtext.pipeline.core.stores.store_errors import StoreError
from webtext.pipeline.core.stores.store_records import MARK
from webtext.pipeline.core.stores.working_copy import WorkingCopy

LOCK = ".lock.json"
BEAT_SECONDS = 20.0  # s between two signs of life; each is one small request
DEAD_SECONDS = 150.0  # s without one: more than the retries of a failing store take


@contextmanager
def leased(
    copy: WorkingCopy, holder: str, lost: Callable[[], None], wait: bool = False
) -> Iterator[None]:
    """Hold the lock of a data directory; `holder` names this process, `lost` tells it to stop.

    Who asks must hold the lock of the working copy itself: an earlier holder that had the same
    copy is then known to be dead.

    Raises:
        UserError: another process, which is named, holds it.
        StoreError: the store refuses, or cannot be reached.
    """
    me = {"holder": holder, "copy": own_number(copy), "nonce": uuid4().hex}
    version = _take(copy, me, wait)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(copy, me, version, stop, lost), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        with suppress(StoreError):  # then it is lost by time
            found = copy.store.get(LOCK)
            if found and _read(found.content).get("nonce") == me["nonce"]:
                copy.store.delete(LOCK)


def own_number(copy: WorkingCopy) -> str:
    """Return what tells this working copy from all others: the machine, and a random number."""
    said = json.loads((copy.root / MARK).read_bytes())
    return f"{socket.gethostname()} {said.get('copy')}"


def _take(copy: WorkingCopy, me: dict[str, Any], wait: bool) -> Version:
    content = json.dumps({**me, "beat": 0}).encode()
    while True:
        found = copy.store.get(LOCK)
        said = _read(found.content) if found else {}
        free = found is None or said.get("copy") == me["copy"]
        silent = 0.0 if found is None or free else (_now(copy) - found.changed).total_seconds()
        if free or silent > DEAD_SECONDS:
            version = copy.store.swap(LOCK, content, found.version if found else None)
            if version is not None:
                return version
        elif wait:
            time.sleep(0.5)
        else:
            raise UserError(
                f"{copy.store.address}: another build is at work there: {said.get('holder')}, last "
                f"seen {max(0.0, silent):.0f} s ago; wait, or stop it (if its machine is gone, it "
                f"loses the directory {DEAD_SECONDS:.0f} s after it was last seen)"
            )


def _now(copy: WorkingCopy) -> datetime:
    """Return the time by the store's own clock, to a second."""
    key = f".clock-{uuid4().hex}"
    copy.store.put(key, b"")
    try:
        found = copy.store.size(key)
    finally:
        copy.store.delete(key)
    if found is None:
        raise StoreError(f"{copy.store.address}: an object that was just written is not there")
    return found.changed


def _beat(
    copy: WorkingCopy,
    me: dict[str, Any],
    version: Version | None,
    stop: threading.Event,
    lost: Callable[[], None],
) -> None:
    number = 0
    while version is not None and not stop.wait(BEAT_SECONDS):
        number += 1
        with suppress(StoreError):  # the next one may succeed; else it is lost by time
            content = json.dumps({**me, "beat": number}).encode()
            version = copy.store.swap(LOCK, content, version)
            if version is None and not stop.is_set():
                lost()


def _read(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
