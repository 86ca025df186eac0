"""Revisit records of other crawlers' WARC files, and the records that have their payloads.

A revisit names the record that it repeats by its id, by its target, or by the digest of the
payload, depending on its writer and time. If that record is a page to keep, in the same import
and at an offset, its payload is the revisit's; the row then says where it is, as in a refresh.
A page of the target is another one if both have digests and these differ.

Source: WARC 1.1, section 6.7 (revisit) and its two profiles
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.core.shards import read_shard

REVISITED: Final = "pages.revisit"

SCANNED = pa.schema(  # the columns of a record before the records of one page are compared
    [
        *OUTCOME,
        ("record", pa.string()),  # WARC-Record-ID
        ("refers_to", pa.string()),  # of a revisit: the id of the record that has its payload
        ("refers_url", pa.string()),  # of a revisit: that record's target
    ]
)

NAMED = ("record", "digest", "final_url")  # names that a revisit gives a payload, best first
REFERRING = ("refers_to", "digest", "refers_url")
GIVEN = (
    "content_type",
    "status",
    "body_bytes",
    "truncated",
)  # taken from the record with the payload
PLACE = ("warc_file", "warc_offset", "warc_length")

Rows = dict[int, dict[str, Any]]  # by place in their file


def resolve(scans: Sequence[Path]) -> dict[int, Rows]:
    """Return the new rows of the revisits whose payloads exist, by number of file and row."""
    asked: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for number, path in enumerate(scans):
        table = read_shard(path, ["dropped_by", "warc_offset", *REFERRING])
        which = pc.fill_null(pc.equal(table["dropped_by"], REVISITED), False)
        if not pc.any(which).as_py():
            continue
        places = pc.indices_nonzero(which).to_pylist()
        rows = table.filter(which).to_pylist()
        asked[number] = [
            (at, row)
            for at, row in zip(places, rows, strict=True)
            if row["warc_offset"] is not None
        ]
    if not any(asked.values()):
        return {}
    wanted = {
        name: {row[refers] for rows in asked.values() for _, row in rows if row[refers]}
        for name, refers in zip(NAMED, REFERRING, strict=True)
    }
    payloads = _payloads(scans, wanted)
    found: dict[int, Rows] = {}
    for number, rows in asked.items():
        for at, row in rows:
            payload = next(
                (
                    known
                    for name, refers in zip(NAMED, REFERRING, strict=True)
                    if row[refers]
                    for known in payloads.get((name, row[refers]), {}).values()
                    if name != "final_url" or not _differ(known["digest"], row["digest"])
                ),
                None,
            )
            if payload is not None:
                found.setdefault(number, {})[at] = payload
    return found


def _differ(one: str | None, other: str | None) -> bool:
    """Whether two digests say that payloads differ; those of two algorithms say nothing.

    >>> _differ("sha1:AB", "sha1:CD"), _differ("sha1:AB", "SHA1:ab"), _differ("sha1:AB", "md5:CD")
    (True, False, False)
    """
    if not one or not other:
        return False
    first, second = one.casefold(), other.casefold()
    alike = first.partition(":")[0] == second.partition(":")[0] and len(first) == len(second)
    return alike and first != second


def _payloads(
    scans: Sequence[Path], wanted: dict[str, set[str]]
) -> dict[tuple[str, str], dict[str | None, dict[str, Any]]]:
    """Return the pages to keep for each requested name, by digest; of each the first."""
    found: dict[tuple[str, str], dict[str | None, dict[str, Any]]] = {}
    for path in scans:
        table = read_shard(path, ["dropped_by", *NAMED, *GIVEN, *PLACE])
        good = pc.and_(pc.is_null(table["dropped_by"]), pc.is_valid(table["warc_offset"]))
        for name, values in wanted.items():
            which = pc.and_(good, pc.is_in(table[name], pa.array(sorted(values), pa.string())))
            for row in table.filter(which).to_pylist():
                found.setdefault((name, row[name]), {}).setdefault(row["digest"], row)
    return found


def applied(table: pa.Table, rows: Rows) -> pa.Table:
    """Return a file's rows; revisits whose payloads are in `rows` become pages."""
    if not rows:
        return table
    mask = pa.array([at in rows for at in range(table.num_rows)])
    chosen = [rows[at] for at in sorted(rows)]
    new: dict[str, list[Any]] = {"dropped_by": [None] * len(chosen)}
    new["revisit"] = ["identical-payload-digest"] * len(chosen)
    new |= {name: [row[name] for row in chosen] for name in GIVEN}
    new |= {
        f"payload_{name.removeprefix('warc_')}": [row[name] for row in chosen] for name in PLACE
    }
    for name, values in new.items():
        if name in table.column_names:
            at = table.column_names.index(name)
            kind = table.schema.field(name)
            column = table[name].combine_chunks()
            replaced = pc.replace_with_mask(column, mask, pa.array(values, kind.type))
            table = table.set_column(at, kind, pa.chunked_array([replaced], kind.type))
    return table
