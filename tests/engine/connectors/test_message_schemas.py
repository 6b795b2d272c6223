"""Schemas of single messages, schemas built step by step, and PyFlink's names for all of them."""

import pickle
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.base.errors import DamagedData, JobDefinitionError
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.datastream.connectors.file_system import FileSink, FileSource, RollingPolicy, StreamFormat
from penstock.datastream.formats.csv import (
    CsvBulkWriters,
    CsvReaderFormat,
    CsvRowDeserializationSchema,
    CsvRowSerializationSchema,
    CsvSchema,
)
from penstock.datastream.formats.json import JsonRowDeserializationSchema, JsonRowSerializationSchema
from penstock.datastream.formats.parquet import (
    AvroParquetReaders,
    AvroParquetWriters,
    ParquetBulkWriters,
    ParquetColumnarRowInputFormat,
)
from penstock.table import DataTypes
from penstock.testing.clocks import ManualClock
from penstock.testing.sinks import SinkRun
from penstock.testing.sources import SourceRun

KIND = Types.ROW_NAMED(["id", "tags"], [Types.INT(), Types.OBJECT_ARRAY(Types.STRING())])


def test_a_row_of_csv_goes_there_and_back() -> None:
    writer = CsvRowSerializationSchema.Builder(KIND).set_field_delimiter("|").set_null_literal("-")
    reader = CsvRowDeserializationSchema.Builder(KIND).set_field_delimiter("|").set_null_literal("-").build()
    message = pickle.loads(pickle.dumps(writer.build())).serialize(Row(1, ["a", "b"]))
    assert message == b"1|a;b\n"
    assert pickle.loads(pickle.dumps(reader)).deserialize(message) == Row(id=1, tags=["a", "b"])
    assert reader.deserialize(b"-|-") == Row(id=None, tags=None)


def test_a_bad_line_of_csv_is_an_error_or_left_out() -> None:
    builder = CsvRowDeserializationSchema.Builder(KIND)
    with pytest.raises(DamagedData, match="'x,y' is no such line"):
        builder.build().deserialize(b"x,y")
    assert builder.set_ignore_parse_errors(True).build().deserialize(b"x,y") is None


def test_a_row_of_json_goes_there_and_back() -> None:
    writer = JsonRowSerializationSchema.builder().with_type_info(KIND).build()
    reader = JsonRowDeserializationSchema.builder().type_info(KIND).build()
    message = pickle.loads(pickle.dumps(writer)).serialize(Row(1, ["a"]))
    assert message == b'{"id":1,"tags":["a"]}'
    assert pickle.loads(pickle.dumps(reader)).deserialize(message) == Row(id=1, tags=["a"])


def test_bad_json_is_an_error_or_left_out() -> None:
    builder = JsonRowDeserializationSchema.builder().type_info(KIND)
    with pytest.raises(DamagedData, match="no such JSON"):
        builder.build().deserialize(b"{")
    assert builder.ignore_parse_errors().build().deserialize(b"{") is None


def test_a_json_schema_gives_the_type() -> None:
    schema = """{"type": "object", "definitions": {"d": {"type": "string", "format": "date"}}, "properties": {
        "n": {"type": ["null", "integer"]}, "d": {"$ref": "#/definitions/d"}, "b": {"type": "boolean"},
        "a": {"type": "array", "items": {"type": "string"}}}}"""
    reader = JsonRowDeserializationSchema.builder().json_schema(schema).build()
    expected = [Types.BIG_DEC(), Types.SQL_DATE(), Types.BOOLEAN(), Types.OBJECT_ARRAY(Types.STRING())]
    assert reader.get_produced_type() == Types.ROW_NAMED(["n", "d", "b", "a"], expected)
    assert reader.deserialize(b'{"n": 1.25}').n == Decimal("1.25")


@pytest.mark.parametrize(
    "schema", ["{", '{"type": "x"}', '{"type": "array"}', '{"type": ["string", "number"]}', '{"$ref": "#/a"}']
)
def test_a_json_schema_that_says_nothing_clear_is_refused(schema: str) -> None:
    with pytest.raises(JobDefinitionError, match="JSON Schema"):
        JsonRowDeserializationSchema.builder().json_schema(schema)


def test_csv_is_read_and_written_under_pyflinks_names(tmp_path: Path) -> None:
    schema = (
        CsvSchema.builder()
        .add_number_column("id", number_type=DataTypes.INT())
        .add_array_column("tags", separator="#", element_type=DataTypes.STRING())
        .add_boolean_column("ok")
        .set_column_separator("|")
        .set_use_header()
        .build()
    )
    run = SinkRun(
        FileSink.for_bulk_format(str(tmp_path), CsvBulkWriters.for_schema(schema)).build(), clock=ManualClock()
    )
    run.write(Row(1, ["a", "b"], True))
    run.finish(1)
    assert next(tmp_path.rglob("part-*")).read_text() == "id|tags|ok\n1|a#b|true\n"
    source = FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), str(tmp_path)).build()
    assert SourceRun(source).run().all_values == [Row(id=1, tags=["a", "b"], ok=True)]


def test_parquet_is_read_and_written_under_pyflinks_names(tmp_path: Path) -> None:
    kind = DataTypes.ROW([DataTypes.FIELD("id", DataTypes.INT()), DataTypes.FIELD("word", DataTypes.STRING())])
    sink = FileSink.for_bulk_format(str(tmp_path), ParquetBulkWriters.for_row_type(kind))
    run = SinkRun(sink.with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy()).build(), clock=ManualClock())
    run.write(Row(1, "a"))
    run.finish(1)
    source = FileSource.for_bulk_file_format(ParquetColumnarRowInputFormat(kind), str(tmp_path)).build()
    assert SourceRun(source).run().all_values == [Row(id=1, word="a")]


def test_text_lines_are_read_under_pyflinks_name(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\n")
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path)).build()
    assert SourceRun(source).run().all_values == ["a"]


def test_what_is_not_offered_says_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(JobDefinitionError, match="ParquetColumnarRowInputFormat"):
        AvroParquetReaders.for_generic_record(None)
    with pytest.raises(JobDefinitionError, match="ParquetBulkWriters"):
        AvroParquetWriters.for_generic_record(None)
    with pytest.raises(JobDefinitionError, match="longer checkpoint interval"):
        FileSink.for_bulk_format(str(tmp_path), ParquetBulkWriters.for_row_type(KIND)).enable_compact(None, None)
