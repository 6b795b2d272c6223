"""Parquet files: read by row groups into rows, and written as whole files.

A row group belongs to the split in which its first byte lies, so that many readers share a big file without anyone
having opened it before. A position is a row group and a number of rows in it.
"""

import io
from collections.abc import Iterator
from typing import Any, Final, final

from penstock.base.errors import DamagedData
from penstock.common.type_infos import RowTypeInfo, TypeInformation
from penstock.common.types import make_row
from penstock.connectors.arrow_types import arrow_schema, from_arrow, to_arrow
from penstock.connectors.byte_streams import ByteStream
from penstock.connectors.encoders import BulkWriter, BulkWriterFactory, ByteSink
from penstock.connectors.formats import OpenStream, SplitReader, StreamFormat
from penstock.connectors.splits import FileSplit, Position

ROW_GROUP_ROWS: Final = 128 << 10
ROW_GROUP_BYTES: Final = 16 << 20
"""Before encoding; written out when either is reached."""


@final
class ParquetFormat(StreamFormat):
    """Rows of a type; columns are found by name, and one that a file lacks is None."""

    def __init__(
        self,
        row_type: RowTypeInfo | None,
        *,
        batch_size: int = 2048,
        is_utc_timestamp: bool = False,
        is_case_sensitive: bool = True,
    ) -> None:
        if row_type is not None:
            arrow_schema(row_type)  # Refuses a type that Parquet cannot hold, where the program is built.
        self.row_type = row_type
        self.batch_size = batch_size
        self.is_utc_timestamp = is_utc_timestamp
        self.is_case_sensitive = is_case_sensitive

    def get_produced_type(self) -> TypeInformation | None:
        return self.row_type

    def is_splittable(self, path: str) -> bool:
        return True

    def open_split(self, split: FileSplit, open_stream: OpenStream, *, piece_bytes: int) -> SplitReader:
        return _RowGroups(self, split, open_stream)


@final
class _RowGroups(SplitReader):
    def __init__(self, format: ParquetFormat, split: FileSplit, open_stream: OpenStream) -> None:
        self._format = format
        self._split = split
        self._open_stream = open_stream
        self._stream: ByteStream | None = None
        self._batches: Iterator[tuple[Position, Any]] = iter(())
        self._rows = _Rows(format)
        self._done = False
        self.position = split.position

    @property
    def done(self) -> bool:
        return self._done

    @property
    def may_load_ahead(self) -> bool:
        return True

    def load(self) -> tuple[Position, Any]:
        try:
            if self._stream is None:
                self._stream = self._open_stream(self._split.path)
                self._batches = self._read(self._stream)
            return next(self._batches, _END)
        except OSError as error:  # ArrowInvalid on a damaged file is a ValueError, on a short one an OSError.
            raise DamagedData(f"{self._split.path} is no whole Parquet file: {error}") from error
        except ValueError as error:
            raise DamagedData(f"{self._split.path}: {error}") from error

    def decode(self, piece: tuple[Position, Any]) -> list[Any]:
        if piece is _END:
            self._done = True
            return []
        self.position, batch = piece
        try:
            return self._rows.of(batch)
        except ValueError as error:
            raise DamagedData(f"{self._split.path}: {error}") from error

    def close(self) -> None:
        self._batches = iter(())
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _read(self, stream: ByteStream) -> Iterator[tuple[Position, Any]]:
        import pyarrow.parquet as pq

        file = pq.ParquetFile(io.BufferedReader(_Seekable(stream)), pre_buffer=True)
        columns = self._rows.columns_in(file.schema_arrow.names)
        begin = self._split.position
        for group in range(file.num_row_groups):
            if begin is not None and group < begin.offset:
                continue
            if not self._is_ours(file.metadata.row_group(group)):
                continue
            skip = begin.records if begin is not None and group == begin.offset else 0
            row = 0
            for batch in file.iter_batches(self._format.batch_size, row_groups=[group], columns=columns):
                if row + batch.num_rows > skip:
                    kept = max(0, skip - row)
                    yield Position(group, row + kept), batch.slice(kept)
                row += batch.num_rows

    def _is_ours(self, group: Any) -> bool:
        column = group.column(0)
        first = column.data_page_offset
        if column.dictionary_page_offset is not None:
            first = min(first, column.dictionary_page_offset)
        return bool(self._split.start <= first and (self._split.end is None or first < self._split.end))


_END: Final[tuple[Position, Any]] = (Position(-1), None)


@final
class _Rows:
    """Makes rows of record batches."""

    def __init__(self, format: ParquetFormat) -> None:
        self._type = format.row_type
        self._to_utc = format.is_utc_timestamp
        self._case_sensitive = format.is_case_sensitive
        self._names: tuple[str, ...] = ()
        self._sources: list[str | None] = []
        self._types: list[Any] = []
        self._converters: list[Any] = []

    def columns_in(self, found: list[str]) -> list[str] | None:
        """Which of a file's columns are wanted."""
        if self._type is None:
            self._names = tuple(found)
            return None
        by_name = {name if self._case_sensitive else name.lower(): name for name in reversed(found)}
        names = self._type.get_field_names()
        self._names = tuple(names)
        self._sources = [by_name.get(name if self._case_sensitive else name.lower()) for name in names]
        self._types = [field.type for field in arrow_schema(self._type)]
        self._converters = [from_arrow(each, to_utc=self._to_utc) for each in self._type.get_field_types()]
        # A file that has none of the columns still has rows: any column tells how many.
        return [source for source in self._sources if source is not None] or found[:1]

    def of(self, batch: Any) -> list[Any]:
        if self._type is None:
            columns = [column.to_pylist() for column in batch.columns]
        else:
            columns = [self._column(batch, index) for index in range(len(self._names))]
        names = self._names
        return [make_row(names, list(values)) for values in zip(*columns, strict=True)]

    def _column(self, batch: Any, index: int) -> Any:
        source = self._sources[index]
        if source is None:
            return [None] * batch.num_rows
        try:
            values = _cast(batch.column(source), self._types[index]).to_pylist()
        except (ValueError, NotImplementedError) as error:
            raise ValueError(f"column {source!r}: {error}") from error
        convert = self._converters[index]
        return values if convert is None else convert(values)


def _cast(column: Any, wanted: Any) -> Any:
    import pyarrow.types as kinds

    found = column.type
    if found == wanted or (kinds.is_decimal(found) and kinds.is_decimal(wanted)):
        return column
    if kinds.is_timestamp(found) and kinds.is_timestamp(wanted):
        import pyarrow as pa

        # To microseconds, which Python has; the zone is the converter's business.
        return column.cast(pa.timestamp("us", found.tz), safe=False)
    return column.cast(wanted)


@final
class _Seekable(io.RawIOBase):
    """A ByteStream as Python's kind of file."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._size = stream.size()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = memoryview(buffer).cast("B")
        data = self._stream.read_at(self._at, min(len(wanted), max(0, self._size - self._at)))
        wanted[: len(data)] = data
        self._at += len(data)
        return len(data)


@final
class ParquetWriterFactory(BulkWriterFactory):
    """Begins Parquet files of rows of one type."""

    def __init__(self, row_type: RowTypeInfo, compression: str = "snappy") -> None:
        arrow_schema(row_type)  # Refuses a type that Parquet cannot hold, where the program is built.
        self._row_type = row_type
        self._compression = compression

    def create(self, out: ByteSink) -> BulkWriter:
        return _ParquetFile(self._row_type, self._compression, out)


@final
class _ParquetFile(BulkWriter):
    """Batches become columns at once, which are small, and row groups when there are enough of them."""

    def __init__(self, row_type: RowTypeInfo, compression: str, out: ByteSink) -> None:
        import pyarrow.parquet as pq

        self._schema = arrow_schema(row_type)
        self._converters = [to_arrow(each) for each in row_type.get_field_types()]
        self._writer = pq.ParquetWriter(_Writable(out), self._schema, compression=compression)
        self._batches: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def add(self, values: list[Any]) -> None:
        batch = self._batch_of(values)
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES:
            self._write_group()

    def finish(self) -> None:
        self._write_group()
        self._writer.close()

    def _batch_of(self, values: list[Any]) -> Any:
        import pyarrow as pa

        columns = zip(*values, strict=True)
        triples = zip(self._schema, self._converters, columns, strict=True)
        arrays = []
        for field, convert, column in triples:
            try:
                arrays.append(pa.array(column if convert is None else convert(column), field.type))
            except (ValueError, TypeError) as error:
                raise ValueError(f"column {field.name!r} is {field.type} in Parquet: {error}") from error
        return pa.record_batch(arrays, schema=self._schema)

    def _write_group(self) -> None:
        import pyarrow as pa

        if self._batches:
            table = pa.Table.from_batches(self._batches)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
            self._batches.clear()
            self._rows = self._bytes = 0


@final
class _Writable(io.RawIOBase):
    """A part file as Python's kind of file."""

    def __init__(self, out: ByteSink) -> None:
        self._out = out
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._out.write(content)
        self._at += len(content)
        return len(content)
