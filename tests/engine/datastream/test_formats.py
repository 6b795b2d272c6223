"""Schemas of files, as programs build them."""

import pytest

from penstock.base.errors import JobDefinitionError
from penstock.common import Types
from penstock.datastream.formats.csv import CsvReaderFormat, CsvSchema
from penstock.datastream.formats.parquet import ParquetBulkWriters, ParquetColumnarRowInputFormat


def test_a_csv_schema_has_columns_and_a_dialect() -> None:
    builder = CsvSchema.builder().add_string_column("name").add_number_column("age").add_boolean_column("alive")
    builder.add_number_column("height", Types.DOUBLE()).add_array_column("tags", "|")
    schema = builder.set_column_separator("\t").disable_quote_char().set_null_value("-").set_use_header().build()
    assert schema.names == ("name", "age", "alive", "height", "tags")
    assert [column.type_info for column in schema.columns[:4]] == [
        Types.STRING(), Types.LONG(), Types.BOOLEAN(), Types.DOUBLE(),
    ]  # fmt: skip
    dialect = schema.dialect
    assert (dialect.separator, dialect.quote, dialect.null_value, dialect.use_header) == ("\t", None, "-", True)
    assert CsvReaderFormat.for_schema(schema).is_splittable("people.csv")


def test_a_csv_schema_without_columns_is_refused() -> None:
    with pytest.raises(JobDefinitionError, match="at least one column"):
        CsvSchema.builder().build()


def test_columns_can_be_taken_from_another_schema() -> None:
    first = CsvSchema.builder().add_string_column("a").build()
    assert CsvSchema.builder().add_number_column("n").add_columns_from(first).build().names == ("n", "a")


def test_parquet_is_read_and_written_by_row_type() -> None:
    row_type = Types.ROW_NAMED(["word", "count"], [Types.STRING(), Types.LONG()])
    assert ParquetColumnarRowInputFormat(row_type, batch_size=10).batch_size == 10
    assert ParquetBulkWriters.for_row_type(row_type) is not None
