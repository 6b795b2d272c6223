"""Writes tables to local Parquet files in row groups of bounded size, and knows how what was written is referred to.

Called in threads. Arrow releases the GIL while it compresses.
"""

from collections.abc import Sequence
from pathlib import Path
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
            self._pending_bytes += batch.nbytes
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
                str(self.path), self.layout.schema, compression="zstd", compression_level=1, use_dictionary=["key_group"]
            )
        self._writer.write_table(pa.Table.from_batches(self._pending), row_group_size=GROUP_ROWS)
        self.rows_written += self._pending_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
