"""What a file format is to the file source: something that opens a split and reads records from it.

`load` may block on I/O and runs in a background thread where files are remote; `decode` runs on the task's thread.
The two are never at work on one piece at once, and each is called in order. Formats live in modules of their own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Protocol, final

from penstock.common.type_infos import TypeInformation
from penstock.connectors.byte_streams import ByteStream
from penstock.connectors.lines import first_line_after, whole_lines
from penstock.connectors.splits import FileSplit, Position

_BEYOND_END_BYTES: Final = 64 << 10
"""How much is read at a time to find the end of a split's last line."""

OpenStream = Callable[[str], ByteStream]


class SplitReader(ABC):
    """One split, opened."""

    position: Position | None
    """Of the first record that the last `decode` returned, or of the next one if it returned none; None: of the
    split's own beginning."""

    @abstractmethod
    def load(self) -> Any:
        """The next piece of the split, raw and never None. Not called once `done`."""

    @abstractmethod
    def decode(self, piece: Any) -> list[Any]:
        """The records that the piece completes."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether everything that belongs to the split has been returned by `decode`."""

    @property
    @abstractmethod
    def may_load_ahead(self) -> bool:
        """Whether the next piece is wanted in any case, before the last one has been decoded."""

    @abstractmethod
    def close(self) -> None:
        """Release the file."""


class StreamFormat(ABC):
    """How records lie in a file."""

    @staticmethod
    def text_line_format(charset_name: str = "UTF-8") -> "StreamFormat":
        """One record a line."""
        from penstock.connectors.text_format import TextLineFormat

        return TextLineFormat(charset_name)

    def get_produced_type(self) -> TypeInformation | None:
        """The type of its records; None: any."""
        return None

    @abstractmethod
    def is_splittable(self, path: str) -> bool:
        """Whether a reader can begin in the middle of this file."""

    @abstractmethod
    def open_split(self, split: FileSplit, open_stream: OpenStream, *, piece_bytes: int) -> SplitReader:
        """Begin, or go on from the split's position. Cheap: the first `load` touches the file."""


class RecordParser(Protocol):
    """Takes records out of blocks of whole lines. One for each opened split."""

    head_bytes: int
    """How much of the file's beginning `take_head` wants if the split begins elsewhere; 0: nothing."""

    def take_head(self, head: bytes) -> None:
        """Look at the file's beginning (a header line)."""

    def parse(self, block: bytes, *, last: bool) -> tuple[list[Any], int]:
        """(the whole records at the beginning of `block`, how many bytes they took); all of it if nothing follows."""


@final
class BlockSplitReader(SplitReader):
    """A split of a file whose records end with lines: read block by block, cut behind the last whole record.

    A restored position is the beginning of a block and a number of records, so blocks may be of any size.
    """

    def __init__(
        self, split: FileSplit, open_stream: Callable[[], ByteStream], parser: RecordParser, *, piece_bytes: int
    ) -> None:
        self._open_stream = open_stream
        self._parser = parser
        self._piece_bytes = piece_bytes
        self._end = split.end
        self._stream: ByteStream | None = None
        self._loaded_all = False
        self._block = b""
        self._done = False
        position = split.position
        if position is not None:
            self._offset, self._skip, self._aligned = position.offset, position.records, True
        else:
            # The line that crosses into the split belongs to the one before; one that begins exactly here is ours.
            self._offset, self._skip, self._aligned = max(0, split.start - 1), 0, split.start == 0
        self._load_offset = self._offset
        self.position = position

    @property
    def done(self) -> bool:
        return self._done

    @property
    def may_load_ahead(self) -> bool:
        return not self._loaded_all and (self._end is None or self._load_offset < self._end)

    def load(self) -> bytes:
        if self._stream is None:
            self._stream = self._open_stream()
            if self._parser.head_bytes and self._load_offset:
                self._parser.take_head(self._stream.read_at(0, self._parser.head_bytes))
        length = self._piece_bytes
        if self._end is not None:
            length = min(length, max(_BEYOND_END_BYTES, self._end - self._load_offset))
        data = self._stream.read_at(self._load_offset, length)
        self._load_offset += len(data)
        self._loaded_all = not data
        return data

    def decode(self, piece: bytes) -> list[Any]:
        last = not piece
        block = self._block + piece if self._block else piece
        if not self._aligned:
            begin = first_line_after(block)
            if begin is None:
                self._offset += len(block)
                self._done = last or self._is_past_end()
                return []
            self._aligned = True
            self._offset += begin
            block = block[begin:]
            if self._is_past_end():
                self._done = True
                return []
        return self._records_of(block, last)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _records_of(self, block: bytes, last: bool) -> list[Any]:
        limit = None if self._end is None else self._end - self._offset
        cut = whole_lines(block, limit, last=last)
        records, taken = self._parser.parse(block[:cut] if cut < len(block) else block, last=last)
        begin, dropped = self._offset, min(self._skip, len(records))
        self._offset += taken
        self._skip -= dropped
        self._block = block[taken:]
        if len(self._block) > self._piece_bytes:
            # A record longer than a piece: what is read doubles, so that looking at it again stays cheap.
            self._piece_bytes = len(self._block)
        self._done = last or self._is_past_end()
        if dropped == len(records):
            self.position = Position(self._offset, self._skip)
            return []
        self.position = Position(begin, dropped)
        return records[dropped:] if dropped else records

    def _is_past_end(self) -> bool:
        return self._end is not None and self._offset >= self._end
