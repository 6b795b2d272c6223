"""JSON lines: one JSON text a line, read into plain dicts or into values of a declared type, and written from them."""

from collections.abc import Callable
from typing import Any, final

import msgspec

from penstock.base.errors import DamagedData
from penstock.common.type_infos import TypeInformation
from penstock.connectors.byte_streams import decompressed, is_compressed
from penstock.connectors.encoders import BatchEncoder, RowEncoder
from penstock.connectors.formats import BlockSplitReader, OpenStream, SplitReader, StreamFormat
from penstock.connectors.json_values import batches_from_json, from_json, json_decoder, json_encoder, to_json
from penstock.connectors.splits import FileSplit


@final
class JsonLinesFormat(StreamFormat):
    """One value a line; lines without anything are passed over."""

    def __init__(
        self,
        type_info: TypeInformation | None = None,
        *,
        fail_on_missing_field: bool = False,
        ignore_parse_errors: bool = False,
    ) -> None:
        self._type = type_info
        self._strict = fail_on_missing_field
        self._ignore_errors = ignore_parse_errors

    def get_produced_type(self) -> TypeInformation | None:
        return self._type

    def is_splittable(self, path: str) -> bool:
        return not is_compressed(path)

    def open_split(self, split: FileSplit, open_stream: OpenStream, *, piece_bytes: int) -> SplitReader:
        parser = _JsonLines(self._type, split.path, strict=self._strict, ignore_errors=self._ignore_errors)
        return BlockSplitReader(
            split, lambda: decompressed(open_stream(split.path), split.path), parser, piece_bytes=piece_bytes
        )


@final
class _JsonLines:
    head_bytes = 0

    def __init__(self, type_info: TypeInformation | None, path: str, *, strict: bool, ignore_errors: bool) -> None:
        self._decoder = json_decoder(type_info)
        self._convert = from_json(type_info, fail_on_missing_field=strict)
        self._convert_all = batches_from_json(type_info, fail_on_missing_field=strict)
        self._path = path
        self._ignore_errors = ignore_errors

    def take_head(self, head: bytes) -> None:
        raise AssertionError("JSON lines need no header")

    def parse(self, block: bytes, *, last: bool) -> tuple[list[Any], int]:
        try:
            values = self._convert_all(self._decoder.decode_lines(block))
        except (msgspec.DecodeError, ValueError):
            values = self._line_by_line(block)
        return values, len(block)

    def _line_by_line(self, block: bytes) -> list[Any]:
        """Find the line that cannot be read, or leave out all that cannot."""
        values = []
        for line in filter(bytes.strip, block.split(b"\n")):
            try:
                values.append(self._convert(self._decoder.decode(line)))
            except (msgspec.DecodeError, ValueError) as error:
                if not self._ignore_errors:
                    shown = line[:200].decode("utf-8", "replace")
                    raise DamagedData(f"{self._path}: {shown}: {error}") from None
        return values


@final
class JsonLinesEncoder(BatchEncoder):
    """One value a line, by the given type or else the stream's."""

    def __init__(self, type_info: TypeInformation | None = None) -> None:
        self._type = type_info

    def for_type(self, type_info: TypeInformation | None) -> Callable[[Any], bytes]:
        return self.for_batches(type_info).for_type(type_info)

    def for_batches(self, type_info: TypeInformation | None) -> RowEncoder:
        return _JsonRows(self._type or type_info)


@final
class _JsonRows(RowEncoder):
    def __init__(self, type_info: TypeInformation | None) -> None:
        self._convert = to_json(type_info)
        self._encoder = json_encoder()

    def encode_each(self, values: list[Any]) -> list[bytes]:
        encode, convert = self._encoder.encode, self._convert
        return [encode(convert(value)) + b"\n" for value in values]

    def encode_all(self, values: list[Any]) -> bytes:
        return self._encoder.encode_lines(list(map(self._convert, values)))
