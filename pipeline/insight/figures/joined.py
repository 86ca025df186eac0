"""All that is known of every document, as one table: its measures, and what later steps found.

`joined` gives a DuckDB relation with a row for each document that was kept or dropped, by anybody
who wants to count, plot or look: `joined(build.made()).aggregate("domain, count(*)")`. It reads
Parquet files where it needs them and holds none in memory; `.to_arrow_reader()` gives batches.

Its columns are those of the table of measures (`FACTS` of `filters.measuring.measures`, and one for
each rule), with the last `fate` and `value` of all steps in place of the documents step's, and then

- `cluster`: the smallest id of its cluster; null, as are the next three, where it has no copies
- `cluster_documents`: how many documents the cluster has
- `keeper`: the id of the document that is kept for the cluster
- `similarity`: its Jaccard similarity to the keeper; 1 for the keeper itself
- `nearest` and `nearest_similarity`: the id of the document that is most like it, of those that the
  deduplication compared it with, near enough or not, and their Jaccard similarity; null if there is
  none, or the build is of an earlier version
- `split`, `token_shard`, `token_start`, `tokens`: where its tokens are, and how many, with the
  <|endoftext|> before the document; null if it has none.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from webtext.pipeline.core.directories.checked import at_hand, confirm
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DUPLICATE, TOKENS, WHY
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.step import Made
from webtext.pipeline.dedup.nearest import NEAREST, NEIGHBOUR
from webtext.pipeline.filters.measuring.measures import tables
from webtext.pipeline.tokens.tokens import INDEX

ABSENT = "no table of measures, because an earlier version made it"
SHORTENED = pa.schema([DUPLICATE.field("id"), *WHY])

QUERY = """
SELECT
    measured.* REPLACE (
        coalesce(shortened.dropped_by, duplicates.reason, measured.fate) AS fate,
        CASE
            WHEN shortened.dropped_by IS NOT NULL THEN shortened.dropped_value
            WHEN duplicates.reason IS NOT NULL THEN duplicates.jaccard::DOUBLE
            ELSE measured.value
        END AS value
    ),
    duplicates.cluster,
    clusters.documents AS cluster_documents,
    duplicates.keeper,
    duplicates.jaccard AS similarity,
    neighbours.nearest,
    neighbours.similarity AS nearest_similarity,
    places.split,
    places.shard AS token_shard,
    places.start AS token_start,
    places.length AS tokens
FROM {before}measured AS measured
LEFT JOIN {before}shortened AS shortened USING (id)
LEFT JOIN {before}duplicates AS duplicates USING (id)
LEFT JOIN (
    SELECT cluster, count(*) AS documents FROM {before}duplicates GROUP BY cluster
) AS clusters ON clusters.cluster = duplicates.cluster
LEFT JOIN {before}neighbours AS neighbours USING (id)
LEFT JOIN {before}places AS places USING (id)
"""


def joined(
    made: Sequence[Made],
    connection: duckdb.DuckDBPyConnection | None = None,
    before: str = "",
) -> duckdb.DuckDBPyRelation:
    """Return the table of all documents of a build, in a connection of its own if none is given.

    `made` are the build's complete directories (`Build.made`). What is not made yet is null.
    `before` is put before the names of the views that the connection gets.

    Raises:
        UserError: there are no documents, they have no measures, or a file is damaged.
    """
    there = {step.name: directory for step, directory in made}
    if "documents" not in there:
        raise UserError("no documents have been made yet; run `webtext build` first")
    documents = there["documents"]
    files = tables(documents)
    if not files:
        raise UserError(
            f"{documents}: {ABSENT}; move it elsewhere and build again, which makes it anew and "
            "fetches nothing"
        )
    asked = connection or duckdb.connect()
    _view(asked, f"{before}measured", files)
    _view(asked, f"{before}shortened", _files(there.get("paragraphs"), "dropped"), SHORTENED)
    _view(asked, f"{before}duplicates", _files(there.get("duplicates")), DUPLICATE)
    near = there["duplicates"].path / NEAREST if "duplicates" in there else None
    _view(asked, f"{before}neighbours", [near] if near and at_hand(near) else [], NEIGHBOUR)
    tokens = there.get("tokens")
    _view(asked, f"{before}places", [tokens.path / INDEX] if tokens else [], TOKENS)
    return asked.sql(QUERY.format(before=before))


def _files(directory: Directory | None, under: str = "") -> list[Path]:
    """Return the files of a directory, none where it is not made."""
    return directory.shards(under) if directory else []


def _view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    files: Sequence[Path],
    schema: pa.Schema | None = None,
) -> None:
    """Name some Parquet files, each checked against its manifest; an empty table if there are none.

    Raises:
        UserError: one is damaged.
    """
    for path in files:
        confirm(path)
    if files:
        connection.read_parquet(list(map(str, files))).create_view(name, replace=True)
    else:
        assert schema is not None, "who may have no files says which columns they would have"
        connection.register(name, schema.empty_table())
