"""Snapshot files of the hashmap backend: chunks of keys, each with all its entries in every state.

Pure: cells in, bytes out, and back. A chunk is the keys and one column per state that has entries for them; a key
without any entry was deleted. Applying a chunk replaces whatever its keys had before.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from mmap import mmap
from typing import Any, Final, final

import msgspec

from penstock.base.errors import DamagedData, StateError
from penstock.state.codec import decode_keys, encode_keys
from penstock.state.descriptors import StateKind
from penstock.state.hashmap.handles import Removals
from penstock.state.spec import StateSpec

MAGIC: Final = b"PSH1"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


@final
class Table(msgspec.Struct):
    """One state's cells, by key (and, inside, by namespace)."""

    spec: StateSpec
    cells: dict[Any, Any]
    removals: Removals = msgspec.field(default_factory=Removals)
    expired_before_ms: Callable[[], int] | None = None
    """Set where expired entries are left out of full snapshots."""


def encode_chunk(
    keys: Sequence[Any], tables: Sequence[Table], leave_out_expired: Callable[[Any, Table], Any] | None
) -> bytes:
    """All entries of these keys. `leave_out_expired` filters cells of tables that have `expired_before_ms`."""
    columns: list[Any] = []
    for number, table in enumerate(tables):
        if not table.cells:
            continue
        places, cells = _cells_at(keys, table, leave_out_expired)
        if cells:
            columns.append((number, places, _column(cells, table.spec)))
    body = _encode((encode_keys(keys), columns))
    return len(body).to_bytes(4, "big") + body


def _cells_at(
    keys: Sequence[Any], table: Table, leave_out_expired: Callable[[Any, Table], Any] | None
) -> tuple[list[int] | None, list[Any]]:
    """Which of the keys have a cell, None for all, and these cells."""
    held = table.cells
    if leave_out_expired is None or table.expired_before_ms is None:
        try:
            return None, list(map(held.__getitem__, keys))  # As mostly, and faster than to look for gaps.
        except KeyError:
            cells = list(map(held.get, keys))
    else:
        cells = [None if cell is None else leave_out_expired(cell, table) for cell in map(held.get, keys)]
    places = [place for place, cell in enumerate(cells) if cell is not None]
    return (None if len(places) == len(cells) else places), [cells[place] for place in places]


def _column(cells: Sequence[Any], spec: StateSpec) -> Any:
    if not spec.namespaced:
        return _values(cells, spec)
    namespaces = [namespace for cell in cells for namespace in cell]
    inner = [value for cell in cells for value in cell.values()]
    return list(map(len, cells)), encode_keys(namespaces), _values(inner, spec)


def _values(cells: Sequence[Any], spec: StateSpec) -> Any:
    try:
        match spec.kind:
            case StateKind.LIST:
                return list(map(len, cells)), _leaves([value for cell in cells for value in cell], spec)
            case StateKind.MAP:
                assert spec.map_key is not None
                keys = spec.map_key.dumps_many([key for cell in cells for key in cell])
                return list(map(len, cells)), keys, _leaves([value for cell in cells for value in cell.values()], spec)
            case StateKind.VALUE | StateKind.REDUCING | StateKind.AGGREGATING:
                return _leaves(cells, spec)
    except StateError as error:
        raise StateError(f"state {spec.name}: {error}") from error


def _leaves(values: Sequence[Any], spec: StateSpec) -> Any:
    if spec.timed:
        return [used_ms for _, used_ms in values], spec.value.dumps_many([value for value, _ in values])
    return spec.value.dumps_many(values)


def chunks_of(data: bytes | mmap) -> Iterator[tuple[list[Any], list[Any]]]:
    """(keys, raw columns) of every chunk of a file."""
    if data[:4] != MAGIC:
        raise DamagedData(f"a snapshot file begins with {data[:4]!r}, expected {MAGIC!r}")
    view = memoryview(data)
    at = 4
    while at < len(data):
        end = at + 4 + int.from_bytes(view[at : at + 4], "big")
        try:
            keys, columns = _decode(view[at + 4 : end])
        except (msgspec.MsgspecError, ValueError) as error:
            raise DamagedData(f"a snapshot file cannot be read at byte {at}: {error}") from error
        yield decode_keys(keys), columns
        at = end


def apply_chunk(
    keys: list[Any], columns: list[Any], tables: Sequence[Table], wanted: list[bool] | None, *, replaces: bool
) -> None:
    """Put a chunk into the tables.

    Args:
        wanted: which of its keys belong here; None: all.
        replaces: whether the tables may hold something of these keys that is to go: not before the second file.
    """
    if replaces:
        for table in tables:
            deque(map(table.cells.pop, keys, repeat(None)), maxlen=0)
    for number, places, column in columns:
        table = tables[number]
        cells = _cells_of(column, table.spec)
        held = table.cells
        if places is None and wanted is None:
            held.update(zip(keys, cells, strict=True))
            continue
        for place, cell in zip(range(len(keys)) if places is None else places, cells, strict=True):
            if wanted is None or wanted[place]:
                held[keys[place]] = cell


def _cells_of(column: Any, spec: StateSpec) -> list[Any]:
    if not spec.namespaced:
        return _values_of(column, spec)
    counts, namespaces, inner = column
    pairs = iter(zip(decode_keys(namespaces), _values_of(inner, spec), strict=True))
    return [dict(_take(pairs, count)) for count in counts]


def _values_of(column: Any, spec: StateSpec) -> list[Any]:
    match spec.kind:
        case StateKind.LIST:
            counts, leaves = column
            values = iter(_leaves_of(leaves, spec))
            return [list(_take(values, count)) for count in counts]
        case StateKind.MAP:
            counts, keys, leaves = column
            assert spec.map_key is not None
            pairs = iter(zip(spec.map_key.loads_many(keys), _leaves_of(leaves, spec), strict=True))
            return [dict(_take(pairs, count)) for count in counts]
        case StateKind.VALUE | StateKind.REDUCING | StateKind.AGGREGATING:
            return _leaves_of(column, spec)


def _take(values: Iterator[Any], count: int) -> Iterator[Any]:
    return (next(values) for _ in range(count))


def _leaves_of(leaves: Any, spec: StateSpec) -> list[Any]:
    if spec.timed:
        times, data = leaves
        return list(zip(spec.value.loads_many(data), times, strict=True))
    return spec.value.loads_many(leaves)
