"""Writes tables to local Parquet files in row groups of bounded size, and knows how what was written is referred to.

Called in threads. Arrow releases the GIL while it compresses. Beside a busy stream a thread waits up to 5 ms to get the
GIL back, so nothing that releases it is asked for each batch.
"""

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, final

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.state.canonical.rows import RowEncoder, Rows
from penstock.state.canonical.table import TableLayout

GROUP_ROWS: Final = 1 << 16
"""Rows of a row group: what a reader must hold at a time."""
GROUP_BYTES: Final = 32 << 20
"""A row group ends earlier when its rows are this large."""


@final
class TableWriter:
    """One table of one subtask."""

    def __init__(self, path: Path, layout: TableLayout) -> None:
        """The file is made with the first row."""
        self.path = path
        self.layout = layout
        self.rows_written = 0
        self._encoder = RowEncoder(layout)
        self._writer: Any = None
        self._pending: list[Any] = []
        self._pending_rows = 0
        self._pending_bytes = 0

    def write(self, rows: Rows) -> None:
        """Rows as Python objects."""
        self.add(self._encoder.encode(rows))

    def add(self, batches: Sequence[Any]) -> None:
        """Record batches of the layout's schema."""
        for batch in batches:
            self._pending.append(batch)
            self._pending_rows += len(batch)
            self._pending_bytes += bytes_of(batch)
            if self._pending_rows >= GROUP_ROWS or self._pending_bytes >= GROUP_BYTES:
                self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                str(self.path),
                self.layout.schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=["key_group"],
            )
        self._writer.write_table(pa.Table.from_batches(self._pending), row_group_size=GROUP_ROWS)
        self.rows_written += self._pending_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0


QUEUED_BYTES_MAX: Final = 32 << 20
_END: Final = None


@final
class Spool:
    """Writes tables in a thread of its own while their rows are still being gathered."""

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[tuple[TableWriter, list[Any], int] | None] = SimpleQueue()
        self._room = threading.Condition()
        self._queued_bytes = 0
        self._writers: dict[int, TableWriter] = {}
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, writer: TableWriter, batches: list[Any], size_bytes: int) -> None:
        """Never waits: who can wait asks for room before."""
        with self._room:
            self._queued_bytes += size_bytes
        self._queue.put((writer, batches, size_bytes))

    def wait_for_room(self, timeout_s: float) -> bool:
        """False if so much is queued after so long that no more should be gathered."""
        if self._queued_bytes <= QUEUED_BYTES_MAX:
            return True
        with self._room:
            timeout = None if math.isinf(timeout_s) else max(0.0, timeout_s)
            return self._room.wait_for(lambda: self._queued_bytes <= QUEUED_BYTES_MAX, timeout)

    def end(self) -> None:
        """No more will come; files are finished, which nobody waits for."""
        self._queue.put(_END)

    def join(self) -> None:
        """Once `end` was called: until all is in files."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (found := self._queue.get()) is not _END:
            writer, batches, size_bytes = found
            if self._error is None:
                try:
                    self._writers[id(writer)] = writer
                    writer.add(batches)
                except BaseException as error:
                    self._error = error
            with self._room:
                self._queued_bytes -= size_bytes
                self._room.notify_all()
        self._close()

    def _close(self) -> None:
        for writer in self._writers.values():
            try:
                writer.close()
            except BaseException as error:
                self._error = self._error or error


def bytes_of(batch: Any) -> int:
    """Of a batch that is no slice of another. Unlike `nbytes`, keeps the GIL."""
    size: int = batch.get_total_buffer_size()
    return size
