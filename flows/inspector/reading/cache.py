"""The table of all documents, kept and dropped, that the inspector asks.

It is one DuckDB file in a cache beside the data, named after the manifests that it was made from,
so that it is made anew when they change and never else. It holds no text: a row says in which file,
and at which place there, its text is.
"""

import math
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, digest, row_count
from webtext.pipeline.core.step import Made
from webtext.pipeline.filters.measuring.measures import tables
from webtext.pipeline.filters.own.own_rules import recorded_rules
from webtext.pipeline.filters.rules import Rules, rules_of
from webtext.pipeline.insight.figures.joined import joined

FOLDER = "inspector"  # of the cache, below the data directory
FORMAT = 4  # of the table; another number makes it anew
# Nothing is fetched from anywhere, whatever a query names.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}

BEFORE = ("extract", "clean", "language")  # the stages of the documents step before the rules

# Ranges of votes that have about as many links each: karma falls off like a power law.
VOTES = (
    "CASE WHEN score IS NULL THEN NULL WHEN score < 3 THEN 'under 3' WHEN score < 10 THEN '3 to 9' "
    "WHEN score < 100 THEN '10 to 99' WHEN score < 1000 THEN '100 to 999' ELSE '1,000 and more' END"
)
# Rows that are sorted at a time, of eight million: four times as many take half as long again (and
# 2 GB more), a quarter is written twice.
PART = 1_000_000
UNSEEN = ("source_file", "source_offset", "source_length", "digest", "token_shard", "token_start")


class Bound(NamedTuple):
    """A bound of a rule, as the build had it."""

    rule: str  # "group.rule"
    side: str  # "low" or "high": on which side of it the rule objects
    bound: float
    enabled: bool  # whether the rule's group is on


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
        return [name for name in self.columns if "." in name and not name.startswith("script.")]

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
        make(made, path)
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


def make(made: Sequence[Made], path: Path) -> None:
    """Write the table completely or not at all.

    Raises:
        UserError: no documents with measures; the folder cannot be written to; a damaged file.
    """
    partial = path.with_name(f"{path.name}.{threading.get_native_id()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        config = {**CONFIG, "temp_directory": str(path.with_suffix(".tmp"))}
        with duckdb.connect(config=config) as connection:  # views stay in memory
            joined(made, connection).create_view("known")
            connection.execute("SET preserve_insertion_order = false")
            connection.execute(f"ATTACH '{quote(partial)}' AS made")
            documents = next(home for step, home in made if step.name == "documents")
            rows = sum(map(row_count, tables(documents)))
            for statement in statements(made, -(-rows // PART) or 1):
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


def statements(made: Sequence[Made], parts: int = 1) -> Iterator[str]:
    """Yield the statements that make the tables `documents` and `bounds`.

    Rows lie in the order of their ids, which is random: the first page of a view is its first rows,
    and one document is found in one row group.
    """
    step, documents = next(one for one in made if one.step.name == "documents")
    stages = sorted({fate.partition(".")[0] for fate in step.fates})
    named = ", ".join(f"'{stage}'" for stage in stages)
    before = ", ".join(f"'{stage}'" for stage in BEFORE)
    bounds = list(bounds_of(documents))
    counted = " + ".join(f"({objects(one)})::UTINYINT" for one in bounds if one.enabled) or "0"
    chosen = f"""
        SELECT * EXCLUDE ("row", linked, {", ".join(UNSEEN)}),
            linked::TIMESTAMP AS linked, strftime(linked::TIMESTAMP, '%Y-%m') AS month,
            {VOTES} AS votes, "row"::INTEGER AS place,
            split_part(fate, '.', 1) NOT IN ({named}) AS passed,
            CASE WHEN split_part(fate, '.', 1) NOT IN ({before}) THEN {counted} END AS objections
        FROM known
    """
    # Each part is sorted in memory; of each file only the row groups with its ids are read.
    edges = ["", *(f"{n * 256 // parts:02x}" for n in range(1, parts)), "g"]
    for number, (low, high) in enumerate(pairwise(edges)):
        begin = "INSERT INTO made.documents" if number else "CREATE TABLE made.documents AS"
        part = f"WHERE id >= '{low}' AND id < '{high}'" if parts > 1 else ""
        # Numbers are sorted in two thirds of the time that texts take, into the same order.
        yield f"{begin} {chosen} {part} ORDER BY ('0x' || id)::UBIGINT, passed DESC"
    yield """
        CREATE TABLE made.bounds (
            place INTEGER, rule VARCHAR, side VARCHAR, bound DOUBLE, enabled BOOLEAN,
            objects BIGINT, alone BIGINT, first BIGINT
        )
    """
    if bounds:
        yield filled(bounds)


def filled(bounds: Sequence[Bound]) -> str:
    """Return the statement that counts what every bound does, in one pass over the documents."""
    counts = ", ".join(
        f"count(*) FILTER ({objects(one)}) AS o{at}, count(*) FILTER (({objects(one)}) AND "
        f"objections = {int(one.enabled)}) AS a{at}, "
        f"count(*) FILTER (fate = '{quote(f'rules.{one.rule}.{one.side}')}') AS f{at}"
        for at, one in enumerate(bounds)
    )
    lines = " UNION ALL ".join(
        f"SELECT {at}, '{quote(one.rule)}', '{one.side}', {one.bound!r}::DOUBLE, {one.enabled}, "
        f"o{at}, a{at}, f{at} FROM counts"
        for at, one in enumerate(bounds)
    )
    return (
        f"INSERT INTO made.bounds WITH counts AS MATERIALIZED (SELECT {counts} FROM made.documents "
        f"WHERE objections IS NOT NULL) {lines}"
    )


def bounds_of(documents: Directory) -> Iterator[Bound]:
    """Yield the bounds of all rules that were measured on every document, as the build had them."""
    recorded = documents.manifest().get("stages", {}).get(Rules.name)
    if recorded is None or recorded["version"] != Rules.version:
        return
    try:
        rules = recorded_rules(recorded["settings"])
    except (TypeError, ValueError):
        return  # of another version: there are measures, and no bounds to put beside them
    measured = set(rules.measured)
    for name, group in rules.groups():
        for rule_name, rule in rules_of(group):
            for side, field in (("low", "at_least"), ("high", "at_most")):
                bound = getattr(rule, field, None)
                if bound is not None and math.isfinite(bound) and f"{name}.{rule_name}" in measured:
                    yield Bound(f"{name}.{rule_name}", side, float(bound), group.enabled)


def objects(bound: Bound) -> str:
    """Return the condition under which a rule objects; a measure that is no number always does."""
    column = '"' + bound.rule.replace('"', '""') + '"'
    sign = "<" if bound.side == "low" else ">"
    return f"{column} IS NULL OR isnan({column}) OR {column} {sign} {bound.bound!r}::DOUBLE"


def quote(path: Path | str) -> str:
    """Return what a literal of SQL has between its quotes."""
    return str(path).replace("'", "''")


def listed(paths: Sequence[Path]) -> str:
    """Return paths as a list of SQL."""
    return "[" + ", ".join(f"'{quote(path)}'" for path in paths) + "]"
