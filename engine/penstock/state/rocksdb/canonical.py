"""A canonical snapshot of the RocksDB backend: read from a native checkpoint opened beside the running database.

Called in the writing thread. Reading and decoding hold the GIL, so every half millisecond others are given their turn:
who waits for the GIL gets it for a switch interval (5 ms), and the stream goes on at nine tenths of its speed; where
nobody waits, the pauses cost about a tenth.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from penstock.records.key_groups import KeyGroupRange
from penstock.records.key_types import OPEN, KeyType
from penstock.state.backend import SnapshotWriter
from penstock.state.canonical.handle import put_tables
from penstock.state.canonical.rows import kinds_of
from penstock.state.canonical.table import TableLayout
from penstock.state.canonical.writer import TableWriter
from penstock.state.handles import KeyedHandle
from penstock.state.rocksdb.database import Database
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.rocksdb.table_rows import stored_rows
from penstock.state.settings import StateSettings
from penstock.state.spec import StateSpec

_PAUSE_S: Final = 0.000_05


def write_tables(
    directory: Path,
    specs: Sequence[StateSpec],
    *,
    uid: str,
    operator_name: str,
    key_type: KeyType | None,
    key_groups: KeyGroupRange,
    memory: RocksMemory,
    settings: StateSettings,
    writer: SnapshotWriter,
) -> KeyedHandle:
    """Make tables of the database in `directory`, which nobody else has open."""
    source = Database(directory, memory, settings, read_only=True)
    tables = []
    try:
        for number, spec in enumerate(specs):
            table: TableWriter | None = None
            family = source.families.get(spec.name)
            for rows in () if family is None else stored_rows(spec, family, key_groups):
                if table is None:
                    layout = TableLayout(spec, kinds_of(spec, rows, key_type or OPEN), uid, operator_name)
                    table = TableWriter(directory / "tables" / f"{number}.parquet", layout)
                    tables.append(table)
                table.write(rows)
                time.sleep(_PAUSE_S)
            if table is not None:
                table.close()
        return put_tables(tables, [spec.info() for spec in specs], key_groups, writer)
    finally:
        source.close()
