"""Text files, one record a line."""

import codecs
from typing import Any, final

from penstock.common.type_infos import TypeInformation
from penstock.common.typeinfo import Types
from penstock.connectors.byte_streams import decompressed, has_byte_newlines, is_compressed, transcoded
from penstock.connectors.formats import BlockSplitReader, OpenStream, SplitReader, StreamFormat
from penstock.connectors.lines import lines_of
from penstock.connectors.splits import FileSplit


@final
class TextLineFormat(StreamFormat):
    """Lines without their ends; empty ones are records too."""

    def __init__(self, charset: str = "UTF-8") -> None:
        self.charset = codecs.lookup(charset).name

    def get_produced_type(self) -> TypeInformation:
        return Types.STRING()

    def is_splittable(self, path: str) -> bool:
        return not is_compressed(path) and has_byte_newlines(self.charset)

    def open_split(self, split: FileSplit, open_stream: OpenStream, *, piece_bytes: int) -> SplitReader:
        plain = has_byte_newlines(self.charset)

        def opened() -> Any:
            stream = decompressed(open_stream(split.path), split.path)
            return stream if plain else transcoded(stream, self.charset)

        parser = _Lines(self.charset if plain else "utf-8")
        return BlockSplitReader(split, opened, parser, piece_bytes=piece_bytes)


@final
class _Lines:
    head_bytes = 0

    def __init__(self, charset: str) -> None:
        self._charset = charset

    def take_head(self, head: bytes) -> None:
        raise AssertionError("lines need no header")

    def parse(self, block: bytes, *, last: bool) -> tuple[list[Any], int]:
        return lines_of(block, self._charset), len(block)
