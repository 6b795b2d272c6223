"""The file source's reader: splits, piece by piece, into batches of records. The hot path of file input.

A piece is loaded where its file is: local ones at once, remote ones in the background, the next while the last is being
worked off. Per poll no more records go out than are wanted; the position counts those that did.
Measured, local text: 0.2 µs per line.
"""

from typing import Any, Final, final

from penstock.connectors.file_access import is_remote
from penstock.connectors.formats import OpenStream, SplitReader, StreamFormat
from penstock.connectors.pieces import BackgroundPieces
from penstock.connectors.queued_splits import QueuedSplitReader
from penstock.connectors.splits import FileSplit, Position
from penstock.operators.source_api import InputStatus, ReaderOutput, SourceReaderContext

LOCAL_PIECE_BYTES: Final = 256 << 10
"""A millisecond or two of decoding."""
REMOTE_PIECE_BYTES: Final = 4 << 20
"""Enough that the time to the first byte is little beside the transfer."""


@final
class FileReader(QueuedSplitReader[FileSplit]):
    """Reads the splits of one subtask."""

    def __init__(self, context: SourceReaderContext, format: StreamFormat, open_stream: OpenStream) -> None:
        super().__init__(context)
        self._format = format
        self._open_stream = open_stream
        self._reader: SplitReader | None = None
        self._pieces: BackgroundPieces | None = None
        self._records: list[Any] = []
        self._emitted = 0

    def begin(self, split: FileSplit) -> None:
        remote = is_remote(split.path)
        size = REMOTE_PIECE_BYTES if remote else LOCAL_PIECE_BYTES
        self._split = split
        self._reader = self._format.open_split(split, self._open_stream, piece_bytes=size)
        self._pieces = BackgroundPieces(self._reader, self.context) if remote else None
        self._records, self._emitted = [], 0

    def read(self, output: ReaderOutput) -> InputStatus:
        if self._emitted == len(self._records) and not self._advance():
            return InputStatus.NOTHING_AVAILABLE
        records, begin = self._records, self._emitted
        if begin < len(records):
            end = self._emitted = min(begin + self.share(output), len(records))
            output.collect_batch(records[begin:end])
        assert self._reader is not None
        if self._reader.done and self._emitted == len(records):
            self.close()
            return self.end_split()
        return InputStatus.MORE_AVAILABLE

    def current(self) -> FileSplit:
        begin = self._reader.position if self._reader is not None else None
        if begin is None:
            return self._split
        return self._split.at(Position(begin.offset, begin.records + self._emitted))

    def is_available(self) -> bool:
        return super().is_available() or (self._pieces is not None and self._pieces.ready)

    def close(self) -> None:
        closing = self._pieces or self._reader
        if closing is not None:
            closing.close()
        self._pieces = self._reader = None

    def _advance(self) -> bool:
        """Decode the next piece; False: it is not here yet."""
        reader, pieces = self._reader, self._pieces
        assert reader is not None
        piece = reader.load() if pieces is None else pieces.take()
        if piece is None:
            return False
        self._records, self._emitted = reader.decode(piece), 0
        if pieces is not None:
            pieces.load_ahead()
        return True
