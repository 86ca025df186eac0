"""Describe a corpus in Croissant, the vocabulary in which catalogues and loaders read data sets.

Source: Croissant format specification 1.0, MLCommons; its JSON-LD context is
`pipeline/data/croissant_context.json`, as mlcroissant 1.1 writes it.
"""

import json
from typing import Any

import pyarrow as pa

from webtext.pipeline.core.directories.checked import hashed
from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import Directory, write_json
from webtext.pipeline.corpus.card import COLUMNS, TEMPLATES

FILE = "croissant.json"
SHARDS = "shards"  # the id of all files together
RECORDS = "documents"


def write_croissant(title: str, stats: dict[str, Any], corpus: Directory) -> None:
    """Write croissant.json beside the shards and the statistics of a corpus."""
    write_json(corpus.about / FILE, croissant(title, stats, corpus))


def croissant(title: str, stats: dict[str, Any], corpus: Directory) -> dict[str, Any]:
    """Return the metadata: every shard with its size and sha256, and the columns.

    They hold where shards and metadata are in one folder, as a published corpus has them.

    `pii`, which has parts, is not among the columns: a reader of it takes the Parquet files.
    """
    names = [path.name for path in corpus.shards()]
    found = hashed(corpus.path, names)
    context = json.loads((TEMPLATES / "croissant_context.json").read_text(encoding="utf-8"))
    return {
        "@context": context,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": title,
        "description": f"{stats['documents']:,} documents, {stats['bytes']:,} bytes of text, from "
        f"{stats['domains']:,} domains: the main text of web pages, filtered and deduplicated.",
        "url": "README.md",
        "inLanguage": sorted(name for name in stats["languages"] if name != "unknown"),
        "distribution": [
            *(
                {
                    "@type": "cr:FileObject",
                    "@id": name,
                    "name": name,
                    "contentUrl": name,
                    "contentSize": f"{found[name][1]} B",
                    "encodingFormat": "application/x-parquet",
                    "sha256": found[name][0],
                }
                for name in names
            ),
            {
                "@type": "cr:FileSet",
                "@id": SHARDS,
                "name": SHARDS,
                "description": "all shards; rows are sorted by id over all of them",
                "encodingFormat": "application/x-parquet",
                "includes": "*.parquet",
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": RECORDS,
                "name": RECORDS,
                "key": {"@id": f"{RECORDS}/id"},
                "field": [
                    column(item.name, kind)
                    for item in CORPUS
                    if (kind := data_type(item.type)) is not None
                ],
            }
        ],
    }


def column(name: str, kind: str) -> dict[str, Any]:
    """Return a column of the documents."""
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{name}",
        "name": name,
        "description": COLUMNS[name],
        "dataType": kind,
        "source": {"fileSet": {"@id": SHARDS}, "extract": {"column": name}},
    }


def data_type(kind: pa.DataType) -> str | None:
    """Return Croissant's name of a type, None where it has parts.

    >>> data_type(pa.string()), data_type(pa.int32()), data_type(pa.list_(pa.string()))
    ('sc:Text', 'sc:Integer', None)
    """
    for known, name in (
        (pa.types.is_string, "sc:Text"),
        (pa.types.is_integer, "sc:Integer"),
        (pa.types.is_floating, "sc:Float"),
        (pa.types.is_timestamp, "sc:Date"),
    ):
        if known(kind):
            return name
    return None
