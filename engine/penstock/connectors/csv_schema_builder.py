"""Builds CSV schemas column by column, with the names that PyFlink has for it."""

from dataclasses import replace
from typing import final

from penstock.base.errors import JobDefinitionError
from penstock.common.type_infos import TypeInformation
from penstock.common.typeinfo import Types
from penstock.connectors.csv_schema import CsvColumn, CsvDialect, CsvSchema

_ARRAY_SEPARATOR = ";"


@final
class CsvSchemaBuilder:
    """Sets one thing at a time."""

    def __init__(self) -> None:
        self._columns: list[CsvColumn] = []
        self._dialect = CsvDialect()

    def build(self) -> CsvSchema:
        if not self._columns:
            raise JobDefinitionError("a CSV schema has at least one column")
        return CsvSchema(tuple(self._columns), self._dialect)

    def add_string_column(self, name: str) -> "CsvSchemaBuilder":
        return self._add(CsvColumn(name, Types.STRING()))

    def add_boolean_column(self, name: str) -> "CsvSchemaBuilder":
        return self._add(CsvColumn(name, Types.BOOLEAN()))

    def add_number_column(self, name: str, number_type: TypeInformation | None = None) -> "CsvSchemaBuilder":
        """A number, a BIGINT by default; any other scalar type will do too."""
        return self._add(CsvColumn(name, number_type or Types.LONG()))

    def add_array_column(
        self, name: str, separator: str = _ARRAY_SEPARATOR, element_type: TypeInformation | None = None
    ) -> "CsvSchemaBuilder":
        """Several values in one field."""
        if not separator:
            raise JobDefinitionError(f"CSV column {name!r}: the separator of an array is at least one character")
        return self._add(CsvColumn(name, element_type or Types.STRING(), separator))

    def add_columns_from(self, schema: CsvSchema) -> "CsvSchemaBuilder":
        for column in schema.columns:
            self._add(column)
        return self

    def clear_columns(self) -> "CsvSchemaBuilder":
        self._columns.clear()
        return self

    def size(self) -> int:
        return len(self._columns)

    def set_column_separator(self, char: str) -> "CsvSchemaBuilder":
        return self._with(separator=char)

    def set_line_separator(self, separator: str) -> "CsvSchemaBuilder":
        """Between the lines that are written; reading, LF, CR LF and CR all end one."""
        return self._with(line_separator=separator)

    def set_quote_char(self, char: str) -> "CsvSchemaBuilder":
        return self._with(quote=char)

    def disable_quote_char(self) -> "CsvSchemaBuilder":
        """Without one, big files can be read by several subtasks."""
        return self._with(quote=None)

    def set_escape_char(self, char: str) -> "CsvSchemaBuilder":
        return self._with(escape=char)

    def disable_escape_char(self) -> "CsvSchemaBuilder":
        return self._with(escape=None)

    def set_null_value(self, null_value: str) -> "CsvSchemaBuilder":
        """The field that stands for None."""
        return self._with(null_value=null_value)

    def set_allow_comments(self, allow: bool = True) -> "CsvSchemaBuilder":
        return self._with(allow_comments=allow)

    def set_use_header(self, use: bool = True) -> "CsvSchemaBuilder":
        return self._with(use_header=use)

    def set_strict_headers(self, strict: bool = True) -> "CsvSchemaBuilder":
        return self._with(strict_headers=strict)

    def set_skip_first_data_row(self, skip: bool = True) -> "CsvSchemaBuilder":
        return self._with(skip_first_data_row=skip)

    def set_any_property_name(self, name: str) -> "CsvSchemaBuilder":
        raise JobDefinitionError("fields without a column cannot be gathered here: declare a column for each")

    def set_array_element_separator(self, separator: str) -> "CsvSchemaBuilder":
        """For all array columns there are so far."""
        return self._separate_arrays(separator)

    def disable_array_element_separator(self) -> "CsvSchemaBuilder":
        return self._separate_arrays(None)

    def remove_array_element_separator(self, index: int) -> "CsvSchemaBuilder":
        self._columns[index] = replace(self._columns[index], array_separator=None)
        return self

    def _add(self, column: CsvColumn) -> "CsvSchemaBuilder":
        if any(column.name == known.name for known in self._columns):
            raise JobDefinitionError(f"there is a CSV column {column.name!r} already")
        self._columns.append(column)
        return self

    def _with(self, **changes: str | bool | None) -> "CsvSchemaBuilder":
        self._dialect = replace(self._dialect, **changes)  # type: ignore[arg-type]
        return self

    def _separate_arrays(self, separator: str | None) -> "CsvSchemaBuilder":
        self._columns = [
            column if column.array_separator is None else replace(column, array_separator=separator)
            for column in self._columns
        ]
        return self
