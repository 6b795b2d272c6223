"""CSV: what is read from which text, and that what is written is read again."""

import datetime
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.errors import DamagedData
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.connectors.csv_format import CsvEncoder, CsvFormat
from penstock.connectors.csv_schema import CsvColumn, CsvDialect, CsvSchema
from penstock.connectors.file_source import FileSource
from penstock.connectors.splits import FileSplit, InputFile, Position, splits_of
from penstock.testing.sources import SourceRun

NAME_AND_N = (CsvColumn("name", Types.STRING()), CsvColumn("n", Types.INT()))


def schema(*columns: CsvColumn, **dialect: Any) -> CsvSchema:
    return CsvSchema(columns or NAME_AND_N, CsvDialect(**dialect))


class Bytes(io.BytesIO):
    def read_at(self, offset: int, length: int) -> bytes:
        self.seek(offset)
        return self.read(length)


def read(
    data: bytes, schema: CsvSchema, split: FileSplit | None = None, *, piece: int = 7, **options: Any
) -> list[Row]:
    split = split or FileSplit("f.csv", 0, None)
    reader = CsvFormat(schema, **options).open_split(split, lambda _: Bytes(data), piece_bytes=piece)
    rows: list[Row] = []
    while not reader.done:
        rows += reader.decode(reader.load())
    return rows


def row(name: str | None, n: int | None) -> Row:
    return Row(name=name, n=n)


def test_fields_become_values_of_their_columns_types() -> None:
    columns = (
        CsvColumn("b", Types.BOOLEAN()),
        CsvColumn("i", Types.LONG()),
        CsvColumn("d", Types.DOUBLE()),
        CsvColumn("dec", Types.BIG_DEC()),
        CsvColumn("day", Types.SQL_DATE()),
        CsvColumn("at", Types.SQL_TIMESTAMP()),
        CsvColumn("many", Types.INT(), ";"),
    )
    found = read(b"true,-5,1e3,1.50,2026-02-03,2026-02-03 04:05:06.7,1;2\n", schema(*columns))
    assert [list(each) for each in found] == [
        [
            True,
            -5,
            1000.0,
            Decimal("1.50"),
            datetime.date(2026, 2, 3),
            datetime.datetime(2026, 2, 3, 4, 5, 6, 700_000),
            [1, 2],
        ]
    ]
    assert found[0].many == [1, 2]


def test_quoted_fields_hold_separators_quotes_and_line_ends() -> None:
    assert read(b'"a,b",1\n"say ""hi""",2\r\n"x\r\ny",3\n', schema()) == [
        row("a,b", 1),
        row('say "hi"', 2),
        row("x\r\ny", 3),
    ]


def test_the_null_value_becomes_none_and_so_do_missing_fields() -> None:
    assert read(b"NULL,NULL\na\n", schema(null_value="NULL")) == [row(None, None), row("a", None)]


def test_a_header_orders_the_columns() -> None:
    assert read(b"n,other,name\n1,x,a\n", schema(use_header=True)) == [row("a", 1)]


def test_a_strict_header_must_name_the_columns_in_order() -> None:
    with pytest.raises(DamagedData, match="expected the header name,n, found n,name"):
        read(b"n,name\n", schema(use_header=True, strict_headers=True))


def test_comments_and_empty_lines_are_passed_over_and_so_is_the_first_data_row() -> None:
    data = b"#c\nname,n\n\na,1\n# 'x\nb,2\n"
    assert read(data, schema(use_header=True, allow_comments=True, skip_first_data_row=True)) == [row("b", 2)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a,1\nb,x\n", r"f.csv: record \['b', 'x'\]: column 'n' is INT\(\): .*'x'"),
        (b"a,3000000000\n", "expected -2147483648 to 2147483647"),
        (b"a,1,2\n", "expected 2 fields, found 3"),
        (b'a,1\n"b,2\n', "f.csv: a quoted field is never closed"),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, said: str) -> None:
    with pytest.raises(DamagedData, match=said):
        read(data, schema())


def test_what_cannot_be_read_may_be_left_out() -> None:
    assert read(b"a,1\nb,x\nc,3\n", schema(), ignore_parse_errors=True) == [row("a", 1), row("c", 3)]


ROWS = st.lists(st.tuples(st.text(max_size=5), st.integers(-9, 9)), max_size=8)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(1, 20))
def test_rows_are_read_as_they_were_written_however_blocks_are_cut(rows: list[tuple[str, int]], piece: int) -> None:
    written = CsvEncoder(schema()).encode_all(list(rows))
    assert [tuple(each) for each in read(written, schema(), piece=piece)] == rows


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(1, 20), st.integers(1, 20), st.data())
def test_a_reader_goes_on_behind_any_row(
    rows: list[tuple[str, int]], piece: int, later_piece: int, data: st.DataObject
) -> None:
    content = b"name,n\n" + CsvEncoder(schema()).encode_all(list(rows))
    with_header = schema(use_header=True)
    reader = CsvFormat(with_header).open_split(FileSplit("f", 0, None), lambda _: Bytes(content), piece_bytes=piece)
    stop_after, seen, position = data.draw(st.integers(0, len(rows))), 0, None
    while not reader.done and seen < stop_after:
        found = reader.decode(reader.load())
        used = min(len(found), stop_after - seen)
        seen += used
        if reader.position is not None:
            position = Position(reader.position.offset, reader.position.records + used)
    rest = read(content, with_header, FileSplit("f", 0, None, position), piece=later_piece)
    assert [tuple(each) for each in rest] == rows[stop_after:]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text("ab ", max_size=4), st.integers(-9, 9)), max_size=20), st.integers(1, 30))
def test_files_without_quotes_are_read_alike_however_they_are_split(rows: list[tuple[str, int]], size: int) -> None:
    plain = schema(quote=None, use_header=True)
    content = b"name,n\n" + b"".join(f"{name},{n}\n".encode() for name, n in rows)
    assert CsvFormat(plain).is_splittable("f.csv")
    found = [each for split in splits_of(InputFile("f", len(content), 0), size) for each in read(content, plain, split)]
    assert [tuple(each) for each in found] == rows


def test_none_is_written_as_the_null_value() -> None:
    assert CsvEncoder(schema(null_value="-")).encode_all([Row(None, None)]) == b"-,-\n"


def test_csv_files_are_read_as_a_source(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("".join(f"w{n},{n}\n" for n in range(3000)))
    source = FileSource.for_record_stream_format(CsvFormat(schema()), str(tmp_path)).build()
    assert SourceRun(source).run().all_values == [row(f"w{n}", n) for n in range(3000)]
