"""The law of the runner: what goes in comes out, kept or with a reason."""

from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.core.errors import PipelineError
from webtext.pipeline.core.records import DOCUMENT, PAGE
from webtext.pipeline.core.stage import Passage, fates, judged, pass_batch, run_chain, settings


@dataclass(frozen=True)
class Odd:
    """Drop the rows whose body has an odd length."""

    name: ClassVar[str] = "odd"
    version: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = PAGE
    writes: ClassVar[pa.Schema] = DOCUMENT

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        lengths = [len(body) for body in batch["body"].to_pylist()]
        out = pa.RecordBatch.from_arrays(
            [
                batch[name] if name in batch.schema.names else pa.nulls(len(lengths), kind.type)
                for name, kind in zip(DOCUMENT.names, DOCUMENT, strict=True)
            ],
            schema=DOCUMENT,
        )
        return judged(out, ["odd.length" if n % 2 else None for n in lengths], lengths)


@dataclass(frozen=True)
class Careless(Odd):
    """Lose a row, as a stage must not."""

    name: ClassVar[str] = "careless"

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        return super().__call__(batch).slice(1)


def page_batch(bodies: list[bytes]) -> pa.RecordBatch:
    rows = [{"id": f"{number:016x}", "body": body} for number, body in enumerate(bodies)]
    return pa.RecordBatch.from_pylist(rows, PAGE)


@given(st.lists(st.binary(max_size=5)))
def test_every_row_is_kept_or_dropped_with_a_reason(bodies):
    kept, gone = pass_batch([Odd()], page_batch(bodies), DOCUMENT)
    assert kept.num_rows == sum(len(body) % 2 == 0 for body in bodies)
    assert kept.num_rows + sum(part.num_rows for part in gone) == len(bodies)


def test_a_stage_that_loses_a_row_stops_the_run():
    with pytest.raises(PipelineError, match="careless: 2 rows went in and 1 came back"):
        pass_batch([Careless()], page_batch([b"", b"a"]), DOCUMENT)


def test_kept_and_dropped_rows_are_found_again_in_the_files(tmp_path):
    kept, dropped = tmp_path / "00000.parquet", tmp_path / "dropped" / "00000.parquet"
    counts = run_chain([Odd()], [page_batch([b"", b"a", b"bc", b"d"])], kept, dropped)
    assert counts == {"read": 4, "kept": 2, "dropped": 2}
    assert fates([dropped]) == {"odd.length": 2}
    assert pq.read_table(dropped)["dropped_value"].to_pylist() == [1.0, 1.0]
    assert pq.read_table(kept).schema.equals(DOCUMENT)


def test_a_passage_that_does_not_add_up_is_refused():
    with pytest.raises(PipelineError, match="rules: 10 rows read, but 4 kept and 5 dropped"):
        Passage("rules", 10, 4, {"rules.words": 5})


def test_machine_facts_are_recorded_but_no_part_of_the_identity():
    @dataclass(frozen=True)
    class Crawl:
        delay: float = 5.0
        connect_to: tuple[str, ...] = field(default=("a",), metadata={"machine": True})

    assert settings(Crawl()) == {"delay": 5.0, "connect_to": ["a"]}
    assert settings(Crawl(), identity=True) == {"delay": 5.0}
