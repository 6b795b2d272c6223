"""Rows to and from single messages: CSV and JSON under the names that PyFlink has for their schemas.

Connectors whose messages are bytes call these, a message at a time; files have formats of their own.
"""

import csv
import io
from typing import Any, final

import msgspec

from penstock.base.errors import DamagedData, JobDefinitionError
from penstock.common import type_infos
from penstock.common.serialization import DeserializationSchema, SerializationSchema
from penstock.common.type_infos import RowTypeInfo, TypeInformation, unwrapped
from penstock.connectors.csv_format import CsvEncoder, csv_options
from penstock.connectors.csv_schema import CsvColumn, CsvDialect, CsvSchema, FieldsToRows
from penstock.connectors.json_schema import type_of_json_schema
from penstock.connectors.json_values import from_json, json_decoder, json_encoder, to_json

_ARRAYS = (type_infos.BasicArrayTypeInfo, type_infos.ObjectArrayTypeInfo, type_infos.ListTypeInfo)


@final
class CsvRowDeserializationSchema(DeserializationSchema):
    """A row of one line of CSV. Made by its Builder."""

    def __init__(self, schema: CsvSchema, ignore_parse_errors: bool) -> None:
        self._schema = schema
        self._ignore_errors = ignore_parse_errors
        self._rows = FieldsToRows(schema)

    def deserialize(self, message: bytes) -> Any:
        try:
            text = message.decode("utf-8")
            if self._schema.dialect.allow_comments and text.startswith("#"):
                return None
            records = list(csv.reader(io.StringIO(text, newline=""), strict=True, **csv_options(self._schema.dialect)))
            if len(records) != 1:
                raise ValueError(f"expected one line, found {len(records)}")
            return self._rows.read(records)[0]
        except (ValueError, csv.Error) as error:
            if self._ignore_errors:
                return None
            raise DamagedData(f"{_shown(message)} is no such line of CSV: {error}") from error

    def get_produced_type(self) -> TypeInformation:
        return self._schema.row_type

    def __reduce__(self) -> tuple[Any, ...]:
        return CsvRowDeserializationSchema, (self._schema, self._ignore_errors)

    @final
    class Builder:
        """Sets one thing at a time."""

        def __init__(self, type_info: TypeInformation) -> None:
            self._type = _row_type(type_info)
            self._options: dict[str, Any] = {}
            self._array_delimiter = ";"
            self._ignore_errors = False

        def set_field_delimiter(self, delimiter: str) -> "CsvRowDeserializationSchema.Builder":
            return self._set(separator=delimiter)

        def set_allow_comments(self, allow_comments: bool) -> "CsvRowDeserializationSchema.Builder":
            return self._set(allow_comments=allow_comments)

        def set_array_element_delimiter(self, delimiter: str) -> "CsvRowDeserializationSchema.Builder":
            self._array_delimiter = delimiter
            return self

        def set_quote_character(self, c: str) -> "CsvRowDeserializationSchema.Builder":
            return self._set(quote=c)

        def set_escape_character(self, c: str) -> "CsvRowDeserializationSchema.Builder":
            return self._set(escape=c)

        def set_null_literal(self, null_literal: str) -> "CsvRowDeserializationSchema.Builder":
            return self._set(null_value=null_literal)

        def set_ignore_parse_errors(self, ignore_parse_errors: bool) -> "CsvRowDeserializationSchema.Builder":
            self._ignore_errors = ignore_parse_errors
            return self

        def build(self) -> "CsvRowDeserializationSchema":
            schema = _csv_schema(self._type, self._array_delimiter, CsvDialect(**self._options))
            return CsvRowDeserializationSchema(schema, self._ignore_errors)

        def _set(self, **option: Any) -> "CsvRowDeserializationSchema.Builder":
            self._options.update(option)
            return self


@final
class CsvRowSerializationSchema(SerializationSchema):
    """One line of CSV for a row. Made by its Builder."""

    def __init__(self, schema: CsvSchema) -> None:
        self._encoder = CsvEncoder(schema)

    def serialize(self, element: Any) -> bytes:
        return self._encoder.encode_all([element])

    @final
    class Builder:
        """Sets one thing at a time."""

        def __init__(self, type_info: TypeInformation) -> None:
            self._type = _row_type(type_info)
            self._options: dict[str, Any] = {}
            self._array_delimiter = ";"

        def set_field_delimiter(self, c: str) -> "CsvRowSerializationSchema.Builder":
            return self._set(separator=c)

        def set_line_delimiter(self, delimiter: str) -> "CsvRowSerializationSchema.Builder":
            return self._set(line_separator=delimiter)

        def set_array_element_delimiter(self, delimiter: str) -> "CsvRowSerializationSchema.Builder":
            self._array_delimiter = delimiter
            return self

        def disable_quote_character(self) -> "CsvRowSerializationSchema.Builder":
            return self._set(quote=None)

        def set_quote_character(self, c: str) -> "CsvRowSerializationSchema.Builder":
            return self._set(quote=c)

        def set_escape_character(self, c: str) -> "CsvRowSerializationSchema.Builder":
            return self._set(escape=c)

        def set_null_literal(self, s: str) -> "CsvRowSerializationSchema.Builder":
            return self._set(null_value=s)

        def build(self) -> "CsvRowSerializationSchema":
            return CsvRowSerializationSchema(
                _csv_schema(self._type, self._array_delimiter, CsvDialect(**self._options))
            )

        def _set(self, **option: Any) -> "CsvRowSerializationSchema.Builder":
            self._options.update(option)
            return self


@final
class JsonRowDeserializationSchema(DeserializationSchema):
    """A row of a JSON object. Made by its builder."""

    def __init__(self, type_info: TypeInformation, fail_on_missing_field: bool, ignore_parse_errors: bool) -> None:
        self._type = type_info
        self._strict = fail_on_missing_field
        self._ignore_errors = ignore_parse_errors
        self._decoder = json_decoder(type_info)
        self._convert = from_json(type_info, fail_on_missing_field=fail_on_missing_field)

    def deserialize(self, message: bytes) -> Any:
        try:
            return self._convert(self._decoder.decode(message))
        except (msgspec.DecodeError, ValueError) as error:
            if self._ignore_errors:
                return None
            raise DamagedData(f"{_shown(message)} is no such JSON: {error}") from error

    def get_produced_type(self) -> TypeInformation:
        return self._type

    def __reduce__(self) -> tuple[Any, ...]:
        return JsonRowDeserializationSchema, (self._type, self._strict, self._ignore_errors)

    @staticmethod
    def builder() -> "JsonRowDeserializationSchema.Builder":
        return JsonRowDeserializationSchema.Builder()

    @final
    class Builder:
        """Sets one thing at a time."""

        def __init__(self) -> None:
            self._type: TypeInformation | None = None
            self._strict = False
            self._ignore_errors = False

        def type_info(self, type_info: TypeInformation) -> "JsonRowDeserializationSchema.Builder":
            self._type = type_info
            return self

        def json_schema(self, json_schema: str) -> "JsonRowDeserializationSchema.Builder":
            """The type that a JSON Schema describes."""
            self._type = type_of_json_schema(json_schema)
            return self

        def fail_on_missing_field(self) -> "JsonRowDeserializationSchema.Builder":
            self._strict = True
            return self

        def ignore_parse_errors(self) -> "JsonRowDeserializationSchema.Builder":
            self._ignore_errors = True
            return self

        def build(self) -> "JsonRowDeserializationSchema":
            if self._type is None:
                raise JobDefinitionError("JSON messages are read by a type: give type_info or json_schema")
            return JsonRowDeserializationSchema(self._type, self._strict, self._ignore_errors)


@final
class JsonRowSerializationSchema(SerializationSchema):
    """A JSON object for a row. Made by its builder."""

    def __init__(self, type_info: TypeInformation) -> None:
        self._type = type_info
        self._convert = to_json(type_info)
        self._encoder = json_encoder()

    def serialize(self, element: Any) -> bytes:
        return self._encoder.encode(self._convert(element))

    def __reduce__(self) -> tuple[Any, ...]:
        return JsonRowSerializationSchema, (self._type,)

    @staticmethod
    def builder() -> "JsonRowSerializationSchema.Builder":
        return JsonRowSerializationSchema.Builder()

    @final
    class Builder:
        """Sets one thing at a time."""

        def __init__(self) -> None:
            self._type: TypeInformation | None = None

        def with_type_info(self, type_info: TypeInformation) -> "JsonRowSerializationSchema.Builder":
            self._type = type_info
            return self

        def build(self) -> "JsonRowSerializationSchema":
            if self._type is None:
                raise JobDefinitionError("JSON messages are written by a type: give with_type_info")
            return JsonRowSerializationSchema(self._type)


def _row_type(type_info: TypeInformation) -> RowTypeInfo:
    kind = unwrapped(type_info)
    if not isinstance(kind, RowTypeInfo):
        raise JobDefinitionError(f"a line of CSV is a ROW, not {kind}")
    return kind


def _csv_schema(row_type: RowTypeInfo, array_delimiter: str, dialect: CsvDialect) -> CsvSchema:
    columns = []
    for name, field in zip(row_type.get_field_names(), row_type.get_field_types(), strict=True):
        kind = unwrapped(field)
        if isinstance(kind, _ARRAYS):
            columns.append(CsvColumn(name, kind.element_type, array_delimiter))
        else:
            columns.append(CsvColumn(name, kind))
    return CsvSchema(tuple(columns), dialect)


def _shown(message: bytes) -> str:
    return repr(message[:200].decode("utf-8", "replace"))
