"""Parquet: rows come back as they were written, from any split and any position."""

import datetime
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.base.errors import DamagedData, JobDefinitionError
from penstock.common.time import Instant
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.connectors import parquet_format, splits
from penstock.connectors.buckets import BucketAssigner
from penstock.connectors.file_sink import FileSink
from penstock.connectors.file_source import FileSource
from penstock.connectors.parquet_format import ParquetFormat, ParquetWriterFactory
from penstock.testing.clocks import ManualClock
from penstock.testing.sinks import SinkRun
from penstock.testing.sources import SourceRun

TYPES = [
    Types.STRING(),
    Types.LONG(),
    Types.DOUBLE(),
    Types.BIG_DEC(),
    Types.BIG_INT(),
    Types.BOOLEAN(),
    Types.SQL_DATE(),
    Types.SQL_TIME(),
    Types.SQL_TIMESTAMP(),
    Types.INSTANT(),
    Types.PRIMITIVE_ARRAY(Types.BYTE()),
    Types.LIST(Types.INSTANT()),
    Types.MAP(Types.STRING(), Types.INT()),
    Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.INSTANT()]),
]
ROW_TYPE = Types.ROW_NAMED([f"c{index}" for index in range(len(TYPES))], TYPES)
INSTANT = Instant(1_770_000_000, 123_000)
VALUES: list[Any] = [
    "é",
    -(2**62),
    1.5e300,
    Decimal("1.500000000000000000"),
    10**30,
    True,
    datetime.date(2026, 2, 3),
    datetime.time(4, 5, 6, 7),
    datetime.datetime(2026, 2, 3, 4, 5, 6, 7),
    INSTANT,
    b"\x00\xff",
    [INSTANT],
    {"a": 1},
    Row(a=7, b=INSTANT),
]
NUMBERS = Types.ROW_NAMED(["n"], [Types.LONG()])


def named(values: list[Any]) -> Row:
    row = Row(*values)
    row.set_field_names(ROW_TYPE.get_field_names())
    return row


def written(folder: Path, row_type: Any, *batches: list[Row]) -> None:
    """Through the file sink, as one file."""
    sink = FileSink.for_bulk_format(str(folder), ParquetWriterFactory(row_type))
    run = SinkRun(sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build(), clock=ManualClock())
    for batch in batches:
        run.write(*batch)
    run.finish(1)


def source(folder: Path, format: ParquetFormat) -> FileSource:
    return FileSource.for_bulk_file_format(format, str(folder)).build()


def test_values_of_every_type_come_back(tmp_path: Path) -> None:
    rows = [named(VALUES), named([None] * len(VALUES))]
    written(tmp_path, ROW_TYPE, rows)
    assert SourceRun(source(tmp_path, ParquetFormat(ROW_TYPE))).run().all_values == rows


def test_there_is_a_file_for_each_checkpoint_and_others_read_it(tmp_path: Path) -> None:
    run = SinkRun(FileSink.for_bulk_format(str(tmp_path), ParquetWriterFactory(NUMBERS)).build(), clock=ManualClock())
    for checkpoint in (1, 2):
        run.write(Row(checkpoint), Row(-checkpoint))
        run.checkpoint(checkpoint)
        run.complete(checkpoint)
    tables = [pq.read_table(path).to_pydict() for path in tmp_path.rglob("part-*")]
    assert sorted(tables, key=str) == [{"n": [1, -1]}, {"n": [2, -2]}]


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(parquet_format, "ROW_GROUP_ROWS", 1000)
    monkeypatch.setattr(splits, "SPLIT_BYTES_MIN", 5000)
    yield


def test_row_groups_are_shared_by_readers_and_read_once(tmp_path: Path, small_groups: None) -> None:
    written(tmp_path, NUMBERS, *([Row(n=n) for n in range(at, at + 500)] for at in range(0, 20_000, 500)))
    run = SourceRun(source(tmp_path, ParquetFormat(NUMBERS)), parallelism=3).run()
    assert all(run.values)
    assert sorted(row.n for row in run.all_values) == list(range(20_000))


@pytest.mark.parametrize("polls", [0, 1, 5, 12, 30])
def test_a_restored_reader_goes_on_behind_the_last_row(tmp_path: Path, small_groups: None, polls: int) -> None:
    written(tmp_path, NUMBERS, *([Row(n=n) for n in range(at, at + 500)] for at in range(0, 20_000, 500)))
    made = source(tmp_path, ParquetFormat(NUMBERS, batch_size=300))
    first = SourceRun(made, parallelism=2)
    for poll in range(polls):
        first.poll(poll % 2)
    second = SourceRun(made, parallelism=1, restored=first.snapshot()).run()
    assert sorted(row.n for row in first.all_values + second.all_values) == list(range(20_000))


def test_columns_are_found_by_name_widened_and_else_none(tmp_path: Path) -> None:
    pq.write_table(pa.table({"B": pa.array([1, 2], pa.int8()), "x": ["u", "v"]}), tmp_path / "f.parquet")
    kind = Types.ROW_NAMED(["absent", "b"], [Types.STRING(), Types.LONG()])
    assert SourceRun(source(tmp_path, ParquetFormat(kind, is_case_sensitive=False))).run().all_values == [
        Row(absent=None, b=1),
        Row(absent=None, b=2),
    ]
    assert SourceRun(source(tmp_path, ParquetFormat(kind))).run().all_values[0] == Row(absent=None, b=None)


def test_without_a_type_rows_have_the_files_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "f.parquet")
    assert SourceRun(source(tmp_path, ParquetFormat(None))).run().all_values == [Row(a=1, b="x")]


def test_timestamps_with_a_zone_become_utc_where_asked(tmp_path: Path) -> None:
    at = datetime.datetime(2026, 2, 3, 4, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    pq.write_table(pa.table({"t": pa.array([at], pa.timestamp("ms", "Europe/Helsinki"))}), tmp_path / "f.parquet")
    kind = Types.ROW_NAMED(["t"], [Types.SQL_TIMESTAMP()])
    (row,) = SourceRun(source(tmp_path, ParquetFormat(kind, is_utc_timestamp=True))).run().all_values
    assert row.t == datetime.datetime(2026, 2, 3, 2, 5)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "f.parquet").write_bytes(b"PAR1 this is not one")
    with pytest.raises(DamagedData, match=r"f\.parquet"):
        SourceRun(source(tmp_path, ParquetFormat(NUMBERS))).run()
    pq.write_table(pa.table({"n": ["x"]}), tmp_path / "f.parquet")
    with pytest.raises(DamagedData, match="column 'n'"):
        SourceRun(source(tmp_path, ParquetFormat(NUMBERS))).run()


def test_a_type_that_parquet_lacks_is_refused_when_the_program_is_built() -> None:
    with pytest.raises(JobDefinitionError, match="PICKLED"):
        ParquetWriterFactory(Types.ROW([Types.PICKLED_BYTE_ARRAY()]))
