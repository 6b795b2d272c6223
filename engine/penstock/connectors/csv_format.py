"""CSV files: read into rows of a schema, and written from them.

A quoted field may hold line ends, so files with quotes are read from their beginning; without a quote character a big
file can be split. Python's own parser does the work: about 1 µs per field.
"""

import csv
import io
from typing import Any, Final, final

from penstock.base.errors import DamagedData, JobDefinitionError
from penstock.common.type_infos import TypeInformation
from penstock.connectors.byte_streams import decompressed, is_compressed
from penstock.connectors.csv_schema import BadField, CsvDialect, CsvSchema, FieldsToRows, RowsToFields
from penstock.connectors.encoders import BulkWriter, BulkWriterFactory, ByteSink, RowEncoder
from penstock.connectors.formats import BlockSplitReader, OpenStream, SplitReader, StreamFormat
from penstock.connectors.splits import FileSplit

RECORD_BYTES_MAX: Final = 64 << 20
"""A quote that is never closed is noticed after so much."""

_HEAD_BYTES: Final = 256 << 10
_UNFINISHED: Final = "unexpected end of data"

# The module's own limit, 128 KiB a field, is for programs that read what strangers send.
csv.field_size_limit(RECORD_BYTES_MAX)


@final
class CsvFormat(StreamFormat):
    """Rows of a schema."""

    def __init__(self, schema: CsvSchema, *, ignore_parse_errors: bool = False) -> None:
        FieldsToRows(schema)  # Refuses a schema that cannot be read, where the program is built.
        self.schema = schema
        self._ignore_errors = ignore_parse_errors

    def get_produced_type(self) -> TypeInformation:
        return self.schema.row_type

    def is_splittable(self, path: str) -> bool:
        dialect = self.schema.dialect
        return not is_compressed(path) and dialect.quote is None and dialect.escape is None

    def open_split(self, split: FileSplit, open_stream: OpenStream, *, piece_bytes: int) -> SplitReader:
        at_start = split.start == 0 and (split.position is None or split.position.offset == 0)
        parser = _CsvParser(self.schema, split.path, at_start=at_start, ignore_errors=self._ignore_errors)
        return BlockSplitReader(
            split, lambda: decompressed(open_stream(split.path), split.path), parser, piece_bytes=piece_bytes
        )


@final
class _CsvParser:
    def __init__(self, schema: CsvSchema, path: str, *, at_start: bool, ignore_errors: bool) -> None:
        self._dialect = schema.dialect
        self._options = csv_options(schema.dialect)
        self._path = path
        self._rows = FieldsToRows(schema)
        self._skip_empty = len(schema.columns) > 1 or schema.dialect.allow_comments
        self._ignore_errors = ignore_errors
        self._header_due = at_start and schema.dialect.use_header
        self._first_row_due = at_start and schema.dialect.skip_first_data_row
        self.head_bytes = _HEAD_BYTES if schema.dialect.use_header and not at_start else 0

    def take_head(self, head: bytes) -> None:
        records, _ = self._records(head, last=False)
        if not records:
            raise DamagedData(f"{self._path}: found no header line in its first {len(head)} bytes")
        self._order_by(records[0])

    def parse(self, block: bytes, *, last: bool) -> tuple[list[Any], int]:
        records, taken = self._records(block, last)
        if self._header_due and records:
            self._order_by(records.pop(0))
            self._header_due = False
        if self._first_row_due and records:
            del records[0]
            self._first_row_due = False
        try:
            return self._rows.read(records), taken
        except BadField as error:
            return self._one_by_one(records, error), taken

    def _order_by(self, header: list[str]) -> None:
        try:
            self._rows.order_by(header, strict=self._dialect.strict_headers)
        except BadField as error:
            raise DamagedData(f"{self._path}: {error}") from None

    def _records(self, block: bytes, last: bool) -> tuple[list[list[str]], int]:
        """The whole records of a block of whole lines, and their bytes."""
        text = block.decode("utf-8", "replace")
        if self._dialect.allow_comments:
            lines: Any = ("\n" if line.startswith("#") else line for line in io.StringIO(text, newline=""))
        else:
            lines = io.StringIO(text, newline="")
        records: list[list[str]] = []
        taken = len(block)
        try:
            records.extend(csv.reader(lines, strict=True, **self._options))
        except csv.Error as error:
            if str(error) != _UNFINISHED or last or len(block) > RECORD_BYTES_MAX:
                raise DamagedData(f"{self._path}: {self._told(error, records)}") from None
            records, taken = self._without_unfinished(block, text)
        if self._skip_empty:
            records = [record for record in records if record]
        return [record or [""] for record in records], taken

    def _without_unfinished(self, block: bytes, text: str) -> tuple[list[list[str]], int]:
        """All but the last record, whose quoted field goes on in the next block."""
        comments = self._dialect.allow_comments
        lines = ("\n" if comments and line.startswith("#") else line for line in io.StringIO(text, newline=""))
        reader = csv.reader(lines, strict=True, **self._options)
        records: list[list[str]] = []
        line_count = 0
        try:
            for record in reader:
                records.append(record)
                line_count = reader.line_num
        except csv.Error:
            pass
        return records, sum(map(len, block.splitlines(keepends=True)[:line_count]))

    def _told(self, error: csv.Error, records: list[list[str]]) -> str:
        after = f" after the record {records[-1]}" if records else ""
        if str(error) == _UNFINISHED:
            return f"a quoted field{after} is never closed"
        return f"{error}{after}"

    def _one_by_one(self, records: list[list[str]], first: BadField) -> list[Any]:
        """Find the record that cannot be read, or leave out all that cannot."""
        rows: list[Any] = []
        for record in records:
            try:
                rows += self._rows.read([record])
            except BadField as error:
                if not self._ignore_errors:
                    raise DamagedData(f"{self._path}: record {record}: {error}") from None
        return rows


@final
class CsvWriterFactory(BulkWriterFactory):
    """Begins CSV files that are written as a whole, with a header if the schema says so."""

    def __init__(self, schema: CsvSchema) -> None:
        self._schema = schema

    def create(self, out: ByteSink) -> BulkWriter:
        return _CsvFile(self._schema, out)


@final
class _CsvFile(BulkWriter):
    def __init__(self, schema: CsvSchema, out: ByteSink) -> None:
        self._encoder = CsvEncoder(schema)
        self._out = out
        if schema.dialect.use_header:
            out.write(self._encoder.header())

    def add(self, values: list[Any]) -> None:
        self._out.write(self._encoder.encode_all(values))

    def finish(self) -> None:
        """Nothing is kept back."""


@final
class CsvEncoder(RowEncoder):
    """Rows as lines of CSV."""

    def __init__(self, schema: CsvSchema) -> None:
        self._schema = schema
        self._fields = RowsToFields(schema)
        self._options = csv_options(schema.dialect)

    def header(self) -> bytes:
        """The line that names the columns."""
        return self._text_of([list(self._schema.names)]).encode("utf-8")

    def encode_each(self, values: list[Any]) -> list[bytes]:
        return [self.encode_all([value]) for value in values]

    def encode_all(self, values: list[Any]) -> bytes:
        records = list(map(self._fields.write, values))
        text = self._text_of(records)
        if "\r" in text and self._schema.dialect.quote is not None:
            # Python's writer leaves a lone CR unquoted, which its own reader then takes for a line's end.
            text = "".join(
                self._text_of([record], quoting=csv.QUOTE_ALL if any("\r" in each for each in record) else None)
                for record in records
            )
        return text.encode("utf-8")

    def _text_of(self, records: list[list[str]], quoting: int | None = None) -> str:
        text = io.StringIO(newline="")
        options = self._options if quoting is None else {**self._options, "quoting": quoting}
        writer = csv.writer(text, lineterminator=self._schema.dialect.line_separator, **options)
        try:
            writer.writerows(records)
        except csv.Error as error:
            raise ValueError(f"a field cannot be written as CSV: {error}") from error
        return text.getvalue()

    def __reduce__(self) -> tuple[Any, ...]:
        return CsvEncoder, (self._schema,)


def csv_options(dialect: CsvDialect) -> dict[str, Any]:
    """The dialect in the words of Python's csv module."""
    for name, text in (("column separator", dialect.separator), ("quote", dialect.quote), ("escape", dialect.escape)):
        if text is not None and len(text) != 1:
            raise JobDefinitionError(f"CSV: the {name} character is one character, found {text!r}")
    return {
        "delimiter": dialect.separator,
        "quotechar": dialect.quote,
        "quoting": csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL,
        "escapechar": dialect.escape,
        "doublequote": True,
    }
