"""CSV by a schema. Types of columns are `Types.*`, where PyFlink takes those of its Table API."""

from dataclasses import replace
from typing import Any, final

from penstock.base.errors import JobDefinitionError
from penstock.common.typeinfo import TypeInformation, Types
from penstock.connectors.csv_format import CsvEncoder, CsvFormat
from penstock.connectors.csv_schema import CsvColumn, CsvDialect
from penstock.connectors.csv_schema import CsvSchema as Schema

__all__ = ["CsvEncoder", "CsvReaderFormat", "CsvSchema", "CsvSchemaBuilder"]


@final
class CsvSchema:
    """Begins a schema."""

    @staticmethod
    def builder() -> "CsvSchemaBuilder":
        return CsvSchemaBuilder()


@final
class CsvReaderFormat:
    """Begins a format for `FileSource.for_record_stream_format`."""

    @staticmethod
    def for_schema(schema: Schema) -> CsvFormat:
        return CsvFormat(schema)


@final
class CsvSchemaBuilder:
    """Adds columns, and sets how fields become lines."""

    def __init__(self) -> None:
        self._columns: list[CsvColumn] = []
        self._dialect = CsvDialect()

    def build(self) -> Schema:
        if not self._columns:
            raise JobDefinitionError("a CSV schema has at least one column")
        return Schema(tuple(self._columns), self._dialect)

    def add_string_column(self, name: str) -> "CsvSchemaBuilder":
        return self._add(CsvColumn(name, Types.STRING()))

    def add_boolean_column(self, name: str) -> "CsvSchemaBuilder":
        return self._add(CsvColumn(name, Types.BOOLEAN()))

    def add_number_column(self, name: str, number_type: TypeInformation | None = None) -> "CsvSchemaBuilder":
        """By default a LONG."""
        return self._add(CsvColumn(name, number_type or Types.LONG()))

    def add_array_column(
        self, name: str, separator: str = ";", element_type: TypeInformation | None = None
    ) -> "CsvSchemaBuilder":
        """A field of several values; by default STRINGs."""
        return self._add(CsvColumn(name, element_type or Types.STRING(), separator))

    def add_columns_from(self, schema: Schema) -> "CsvSchemaBuilder":
        self._columns.extend(schema.columns)
        return self

    def clear_columns(self) -> "CsvSchemaBuilder":
        self._columns.clear()
        return self

    def set_column_separator(self, char: str) -> "CsvSchemaBuilder":
        return self._set(separator=char)

    def set_line_separator(self, separator: str) -> "CsvSchemaBuilder":
        return self._set(line_separator=separator)

    def set_quote_char(self, char: str) -> "CsvSchemaBuilder":
        return self._set(quote=char)

    def disable_quote_char(self) -> "CsvSchemaBuilder":
        return self._set(quote=None)

    def set_escape_char(self, char: str) -> "CsvSchemaBuilder":
        return self._set(escape=char)

    def disable_escape_char(self) -> "CsvSchemaBuilder":
        return self._set(escape=None)

    def set_null_value(self, null_value: str) -> "CsvSchemaBuilder":
        """The field that stands for None."""
        return self._set(null_value=null_value)

    def set_allow_comments(self, allow: bool = True) -> "CsvSchemaBuilder":
        """Lines that begin with # are passed over."""
        return self._set(allow_comments=allow)

    def set_use_header(self, use: bool = True) -> "CsvSchemaBuilder":
        """The first line names the columns."""
        return self._set(use_header=use)

    def set_strict_headers(self, strict: bool = True) -> "CsvSchemaBuilder":
        """The header must name the columns as they are, in order."""
        return self._set(strict_headers=strict)

    def set_skip_first_data_row(self, skip: bool = True) -> "CsvSchemaBuilder":
        return self._set(skip_first_data_row=skip)

    def size(self) -> int:
        """The number of columns so far."""
        return len(self._columns)

    def _add(self, column: CsvColumn) -> "CsvSchemaBuilder":
        self._columns.append(column)
        return self

    def _set(self, **changes: Any) -> "CsvSchemaBuilder":
        self._dialect = replace(self._dialect, **changes)
        return self
