"""The heap's snapshot files read as rows, in memory that does not grow with the state. For tools."""

import mmap
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from penstock.base.errors import DamagedData
from penstock.records.key_groups import KeyGroupRange, key_groups_of
from penstock.state.backend import SnapshotReader
from penstock.state.canonical.rows import Rows, Serialised
from penstock.state.handles import KeyedHandle
from penstock.state.hashmap.chunks import Table, apply_chunk, chunks_of
from penstock.state.hashmap.table_rows import rows_of
from penstock.state.spec import StateSpec, is_undeclared, specs_of, undecoded

PASS_BYTES: Final = 32 << 20
"""How much of the files is made objects in one pass: these take several times as much."""
_PIECE_KEYS: Final = 4_096


def heap_rows(
    handle: KeyedHandle,
    key_groups: KeyGroupRange,
    operator_name: str,
    max_parallelism: int,
    reader: SnapshotReader,
    directory: Path,
    names: Collection[str] | None,
) -> Iterator[tuple[StateSpec, Rows]]:
    """Undeclared values as they were pickled."""
    specs = specs_of(handle, operator_name)
    size = sum(file.file.size for file in handle.files)
    with tempfile.TemporaryDirectory(dir=directory, prefix="heap-") as folder:
        paths = []
        for number, file in enumerate(handle.files):
            paths.append(Path(folder) / str(number))
            reader.fetch(file.file, str(paths[-1]))
        ours = key_groups.intersection(KeyGroupRange(*handle.key_groups))
        for part in _parts(ours, 1 + size // PASS_BYTES):
            tables = [Table(undecoded(spec), {}) for spec in specs]
            for number, path in enumerate(paths):
                _apply(path, tables, part, max_parallelism, replaces=number > 0, where=f"state of {operator_name}")
            for spec, table in zip(specs, tables, strict=True):
                if names is None or spec.name in names:
                    for rows in _rows(table, max_parallelism):
                        yield spec, rows


def _parts(key_groups: KeyGroupRange, count: int) -> Iterator[KeyGroupRange]:
    step = max(1, -(-len(key_groups) // count))
    for first in range(key_groups.first, key_groups.last + 1, step):
        yield KeyGroupRange(first, min(first + step - 1, key_groups.last))


def _apply(
    path: Path, tables: Sequence[Table], part: KeyGroupRange, max_parallelism: int, *, replaces: bool, where: str
) -> None:
    first, last = part.first, part.last
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for keys, columns in chunks_of(data):
        wanted = [first <= group <= last for group in key_groups_of(keys, max_parallelism)]
        if not any(wanted):
            continue
        try:
            apply_chunk(keys, columns, tables, wanted, replaces=replaces)
        except (IndexError, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise DamagedData(f"{where} cannot be read: {error}") from error


def _rows(table: Table, max_parallelism: int) -> Iterator[Rows]:
    """By key group."""
    by_group: defaultdict[int, list[Any]] = defaultdict(list)
    keys = list(table.cells)
    for key, group in zip(keys, key_groups_of(keys, max_parallelism) if keys else (), strict=True):
        by_group[group].append(key)
    ordered = [(group, key) for group in sorted(by_group) for key in by_group[group]]
    for begin in range(0, len(ordered), _PIECE_KEYS):
        piece = ordered[begin : begin + _PIECE_KEYS]
        groups, part = [group for group, _ in piece], [key for _, key in piece]
        rows = rows_of(table.spec, groups, part, [table.cells[key] for key in part])
        if is_undeclared(table.spec) and rows.values is not None:
            rows.values = Serialised(rows.values)
        yield rows
