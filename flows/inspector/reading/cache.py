"""The table of all documents, kept and dropped, that the inspector asks.

It is one DuckDB file in a cache beside the data, named after the manifests that it was made from,
so that it is made anew when they change and never else. It holds no text: a row says in which file,
and at which place there, its text is.
"""

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, digest
from webtext.pipeline.core.step import Made

FOLDER = "inspector"  # of the cache, below the data directory
FORMAT = 1  # of the table; another number makes it anew
CONFIG: dict[
    str, str | bool | int | float | list[str]
] = {  # nothing is fetched from anywhere, whatever a query names
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}

KEPT = "kept"  # the fate of documents that no step has dropped

COLUMNS = ("id", "url", "title", "domain", "language", "language_probability", "score",
           "subreddit", "linked")  # fmt: skip

# Columns of the measures that the texts' own tables have as well.
MEASURED_TOO = ("url", "domain", "language", "language_probability", "score", "subreddit", "linked",
                "fate", "value", "shard", "row")  # fmt: skip


@dataclass(frozen=True)
class Table:
    """The open table, its columns, and the directories that it was made from."""

    path: Path
    made: tuple[Made, ...]
    connection: duckdb.DuckDBPyConnection

    @cached_property
    def directories(self) -> dict[str, Directory]:
        """The complete directories of the build, by the names of their steps."""
        return {step.name: directory for step, directory in self.made}

    @cached_property
    def columns(self) -> dict[str, str]:
        """The names of the table's columns, with their types."""
        return {row[0]: row[1] for row in self.ask("DESCRIBE documents").fetchall()}

    @cached_property
    def rules(self) -> list[str]:
        """The rules whose measures are in the table."""
        return [name for name in self.columns if "." in name]

    @cached_property
    def documents(self) -> int:
        """The number of documents, kept and dropped."""
        return int(self.value("SELECT count(*) FROM documents"))

    @cached_property
    def meanings(self) -> dict[str, str]:
        """The meaning of every fate."""
        return {fate: said for step, _ in self.made for fate, said in step.fates.items()}

    def ask(
        self,
        sql: str,
        values: Sequence[Any] | Mapping[str, Any] = (),
        tables: Mapping[str, pa.Table] | None = None,
    ) -> duckdb.DuckDBPyConnection:
        """Ask a question with a cursor of its own, so that requests do not wait for each other.

        `tables` can be named in the question; only this cursor sees them.
        """
        cursor = self.connection.cursor()
        for name, table in (tables or {}).items():
            cursor.register(name, table)
        return cursor.execute(sql, values)

    def rows(self, sql: str, *given: Any) -> list[dict[str, Any]]:
        """Return the answer as a dict a row."""
        cursor = self.ask(sql, *given)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def elsewhere(self, sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the answer of other files of the build, without the table."""
        with duckdb.connect(config=CONFIG) as connection:
            cursor = connection.execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def value(self, sql: str, *given: Any) -> Any:
        """Return the one value of an answer."""
        row = self.ask(sql, *given).fetchone()
        assert row is not None
        return row[0]


def opened(made: Sequence[Made], folder: Path, say: Any = lambda _said: None) -> Table:
    """Return the table of a build; make it if there is none of these manifests.

    Raises:
        UserError: no documents were made there; the folder is not writable.
    """
    names = {step.name: directory for step, directory in made}
    if "documents" not in names:
        raise UserError(
            "no whole documents directory yet, so there is nothing to inspect; make one with: "
            "webtext build RECIPE --until documents"
        )
    known = digest(FORMAT, {name: found.fingerprint() for name, found in names.items()})
    path = folder / f"table-{known}.duckdb"
    if not path.exists():
        say("reading the documents' tables")
        make(names, path)
        for old in folder.glob("table-*.duckdb"):
            if old != path:
                old.unlink(missing_ok=True)
    try:
        connection = duckdb.connect(str(path), read_only=True, config=CONFIG)
    except duckdb.Error as error:
        raise UserError(
            f"{path}: cannot be opened ({str(error).splitlines()[0]}); it is a cache: remove it "
            "and run the same command again"
        ) from None
    return Table(path, tuple(made), connection)


def make(directories: Mapping[str, Directory], path: Path) -> None:
    """Write the table completely or not at all.

    Raises:
        UserError: the folder cannot be written to, or a file of the build is damaged.
    """
    partial = path.with_name(f"{path.name}.{threading.get_native_id()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        config: dict[str, str | bool | int | float | list[str]] = {
            **CONFIG,
            "temp_directory": str(path.with_suffix(".tmp")),
        }
        with duckdb.connect(str(partial), config=config) as connection:
            for statement in statements(directories):
                connection.execute(statement)
        partial.replace(path)
    except (duckdb.IOException, duckdb.InvalidInputException, OSError) as error:
        raise UserError(
            f"{path}: the table cannot be made ({str(error).splitlines()[0]}); check the build "
            "with `webtext verify`, or name another folder with --cache"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(path.with_suffix(".tmp"), ignore_errors=True)


def statements(directories: Mapping[str, Directory]) -> Iterator[str]:
    """Yield the statements that make the table."""
    yield "SET TimeZone = 'UTC'"
    yield f"CREATE TEMP VIEW texts AS {texts(directories['documents'])}"
    yield f"CREATE TEMP VIEW later AS {later(directories)}"
    yield f"CREATE TEMP VIEW duplicates AS {duplicates(directories)}"
    yield f"CREATE TEMP VIEW tokens AS {tokens(directories)}"
    yield f"CREATE TEMP VIEW measures AS {measures(directories['documents'])}"
    yield f"""
        CREATE TABLE documents AS
        SELECT row_number() OVER () - 1 AS n, texts.* EXCLUDE (dropped_by, dropped_value),
            coalesce(texts.dropped_by, later.dropped_by, '{KEPT}') AS fate,
            coalesce(texts.dropped_value, later.dropped_value) AS value,
            duplicates.* EXCLUDE (id), tokens.* EXCLUDE (id), measures.* EXCLUDE (id)
        FROM texts
        LEFT JOIN later ON later.id = texts.id AND texts.passed
        LEFT JOIN duplicates ON duplicates.id = texts.id AND texts.passed
        LEFT JOIN tokens ON tokens.id = texts.id AND texts.passed
        LEFT JOIN measures ON measures.id = texts.id
    """


def listed(paths: Sequence[Path]) -> str:
    """Return paths as a list of SQL."""
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths) + "]"


def texts(documents: Directory) -> str:
    """Return the query of the rows that the documents step wrote, and where their texts are."""
    place = (
        r"regexp_extract(filename, '(\d{5})\.parquet$', 1)::INTEGER AS shard, "
        "file_row_number::INTEGER AS place"
    )
    names = ", ".join(name for name in COLUMNS if name != "linked")
    names += ", linked::TIMESTAMP AS linked"
    parts = []
    for under, passed in (("", "true"), ("dropped", "false")):
        if paths := documents.shards(under):
            why = "NULL::VARCHAR AS dropped_by, NULL::DOUBLE AS dropped_value"
            why = why if passed == "true" else "dropped_by, dropped_value"
            parts.append(
                f"SELECT {names}, {why}, {passed} AS passed, {place} FROM read_parquet("
                f"{listed(paths)}, filename = true, file_row_number = true)"
            )
    return " UNION ALL ".join(parts)


def later(directories: Mapping[str, Directory]) -> str:
    """Return the query of the documents that a later step dropped, each with its reason."""
    parts = [
        f"SELECT id, dropped_by, dropped_value FROM read_parquet({listed(paths)})"
        for name in ("paragraphs", "corpus")
        if name in directories and (paths := directories[name].shards("dropped"))
    ]
    if not parts:
        return "SELECT NULL::VARCHAR id, NULL::VARCHAR dropped_by, NULL::DOUBLE dropped_value"
    return f"SELECT DISTINCT ON (id) * FROM ({' UNION ALL '.join(parts)})"


def duplicates(directories: Mapping[str, Directory]) -> str:
    """Return the query of the clusters of near-duplicates."""
    columns = {"cluster": "VARCHAR", "keeper": "VARCHAR", "jaccard": "FLOAT"}
    home = directories.get("duplicates")
    return chosen(columns, home.shards() if home else [])


def tokens(directories: Mapping[str, Directory]) -> str:
    """Return the query of the lengths in tokens, and of the splits."""
    home = directories.get("tokens")
    index = home.path / "documents.parquet" if home else None
    paths = [index] if index and index.is_file() else []
    return chosen({"length AS tokens": "INTEGER", "split": "VARCHAR"}, paths)


def chosen(columns: Mapping[str, str], paths: Sequence[Path]) -> str:
    """Return the query of some columns of files; of no row where there are none."""
    if paths:
        return f"SELECT id, {', '.join(columns)} FROM read_parquet({listed(paths)})"
    names = [f"NULL::{kind} AS {name.split()[-1]}" for name, kind in columns.items()]
    return f"SELECT NULL::VARCHAR AS id, {', '.join(names)} WHERE false"


def measures(documents: Directory) -> str:
    """Return the query of what the rules measured, where the documents step wrote it."""
    paths = documents.shards("measures")
    if not paths:
        return "SELECT NULL::VARCHAR AS id WHERE false"
    there = ", ".join(MEASURED_TOO)
    return f"SELECT * EXCLUDE ({there}) FROM read_parquet({listed(paths)})"
