"""A RocksDB snapshot read as rows, through RocksDB itself. For tools."""

import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from penstock.records.key_groups import KeyGroupRange
from penstock.state.backend import SnapshotReader
from penstock.state.canonical.rows import Rows
from penstock.state.handles import KeyedHandle
from penstock.state.rocksdb.database import Database
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.rocksdb.table_rows import stored_rows
from penstock.state.settings import StateSettings
from penstock.state.spec import StateSpec, specs_of

_MEMORY_BYTES: Final = 32 << 20


def rocks_rows(
    handle: KeyedHandle,
    key_groups: KeyGroupRange,
    operator_name: str,
    reader: SnapshotReader,
    directory: Path,
    names: Collection[str] | None,
) -> Iterator[tuple[StateSpec, Rows]]:
    """Undeclared values as they were pickled."""
    ours = key_groups.intersection(KeyGroupRange(*handle.key_groups))
    with tempfile.TemporaryDirectory(dir=directory, prefix="rocksdb-") as folder:
        path = Path(folder) / "db"
        path.mkdir()
        for file in handle.files:
            reader.fetch(file.file, str(path / file.name))
        database = Database(path, RocksMemory(_MEMORY_BYTES), StateSettings(), read_only=True)
        try:
            for spec in specs_of(handle, operator_name):
                family = database.families.get(spec.name)
                if family is not None and (names is None or spec.name in names):
                    for rows in stored_rows(spec, family, ours):
                        yield spec, rows
        finally:
            database.close()
