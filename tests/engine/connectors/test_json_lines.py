"""JSON lines: values of declared types come back as they went, and what is wrong is named."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import DamagedData
from penstock.common.time import Instant
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.connectors.encoders import row_encoder
from penstock.connectors.file_source import FileSource
from penstock.connectors.json_format import JsonLinesEncoder, JsonLinesFormat
from penstock.connectors.json_values import batches_from_json, from_json
from penstock.testing.sources import SourceRun

TYPES = [
    Types.STRING(),
    Types.LONG(),
    Types.DOUBLE(),
    Types.BIG_DEC(),
    Types.BOOLEAN(),
    Types.SQL_DATE(),
    Types.SQL_TIME(),
    Types.SQL_TIMESTAMP(),
    Types.INSTANT(),
    Types.PRIMITIVE_ARRAY(Types.BYTE()),
    Types.LIST(Types.INT()),
    Types.MAP(Types.STRING(), Types.INT()),
    Types.TUPLE([Types.STRING(), Types.INT()]),
    Types.ROW([Types.INT()]),
]
ROW_TYPE = Types.ROW_NAMED([f"c{index}" for index in range(len(TYPES))], TYPES)
VALUES: list[Any] = [
    "é\n",
    -(2**62),
    1.5e300,
    Decimal("12345678901234567890.10"),
    True,
    datetime.date(2026, 2, 3),
    datetime.time(4, 5, 6),
    datetime.datetime(2026, 2, 3, 4, 5, 6, 7),
    Instant(1_770_000_000, 123_000_000),
    b"\x00\xff",
    [1, 2],
    {"a": 1},
    ("a", 1),
    Row(7),
]


def read(folder: Path, content: bytes, format: JsonLinesFormat) -> list[Any]:
    (folder / "f.jsonl").write_bytes(content)
    return SourceRun(FileSource.for_record_stream_format(format, str(folder)).build()).run().all_values


def named(values: list[Any]) -> Row:
    row = Row(*values)
    row.set_field_names(ROW_TYPE.get_field_names())
    return row


def test_values_of_every_type_come_back(tmp_path: Path) -> None:
    rows = [named(VALUES), named([None] * len(VALUES))]
    written = row_encoder(JsonLinesEncoder(), ROW_TYPE).encode_all(rows)
    assert written == b"".join(row_encoder(JsonLinesEncoder(ROW_TYPE), None).encode_each(rows))
    assert read(tmp_path, written, JsonLinesFormat(ROW_TYPE)) == rows


def test_without_a_type_objects_are_dicts(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"a": [1, 2.5, null]}\n\n"x"\r\n', JsonLinesFormat()) == [{"a": [1, 2.5, None]}, "x"]


def test_without_a_type_rows_are_objects() -> None:
    assert row_encoder(JsonLinesEncoder(), None).encode_all([Row(a=1, b=Row(2))]) == b'{"a":1,"b":{"f0":2}}\n'


def test_missing_fields_are_none_or_an_error(tmp_path: Path) -> None:
    kind = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.INT()])
    assert read(tmp_path, b'{"a":1,"c":3}', JsonLinesFormat(kind)) == [Row(a=1, b=None)]
    with pytest.raises(DamagedData, match="the field 'b' is missing"):
        read(tmp_path, b'{"a":1}', JsonLinesFormat(kind, fail_on_missing_field=True))


@pytest.mark.parametrize("kind", [Types.BYTE(), Types.LONG(), Types.DOUBLE(), Types.STRING(), Types.BOOLEAN()])
@given(values=st.lists(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), max_size=4))
def test_rows_read_together_are_those_read_one_by_one(kind: Any, values: list[Any]) -> None:
    row_type = Types.ROW_NAMED(["a"], [kind])
    one, many = from_json(row_type), batches_from_json(row_type)
    objects = [{"a": value} for value in values] + [{}]
    try:
        expected = [one(each) for each in objects]
    except ValueError:
        with pytest.raises(ValueError):
            many(objects)
    else:
        assert repr(many(objects)) == repr(expected)


@pytest.mark.parametrize(
    ("line", "said"),
    [(b'{"a":', 'f.jsonl: {"a":: '), (b'{"a":1.5}', "in 'a': expected INT.., found 1.5"), (b"3", "expected an object")],
)
def test_what_cannot_be_read_is_named_or_left_out(tmp_path: Path, line: bytes, said: str) -> None:
    kind = Types.ROW_NAMED(["a"], [Types.INT()])
    with pytest.raises(DamagedData, match=said):
        read(tmp_path, b'{"a":1}\n' + line, JsonLinesFormat(kind))
    content = b'{"a":1}\n' + line + b'\n{"a":2}\n'
    assert read(tmp_path, content, JsonLinesFormat(kind, ignore_parse_errors=True)) == [Row(a=1), Row(a=2)]
