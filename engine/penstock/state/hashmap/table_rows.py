"""Between the heap's cells and the rows of a canonical table. Pure but for the cells it is given."""

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

from penstock.state.canonical.rows import Rows
from penstock.state.descriptors import StateKind
from penstock.state.hashmap.handles import Cells
from penstock.state.spec import StateSpec


def rows_of(spec: StateSpec, groups: Sequence[int], keys: Sequence[Any], cells: Sequence[Any]) -> Rows:
    """All entries of some keys."""
    namespaces: list[Any] | None = None
    if spec.namespaced:
        counts = list(map(len, cells))
        groups, keys = _repeated(groups, counts), _repeated(keys, counts)
        namespaces = list(chain.from_iterable(cells))
        cells = [inner for cell in cells for inner in cell.values()]
    map_keys: list[Any] | None = None
    indexes: list[int] | None = None
    if spec.kind in (StateKind.LIST, StateKind.MAP):
        counts = list(map(len, cells))
        groups, keys = _repeated(groups, counts), _repeated(keys, counts)
        namespaces = None if namespaces is None else _repeated(namespaces, counts)
        if spec.kind is StateKind.LIST:
            indexes = list(chain.from_iterable(map(range, counts)))
            cells = list(chain.from_iterable(cells))
        else:
            map_keys = list(chain.from_iterable(cells))
            cells = [value for cell in cells for value in cell.values()]
    values, times = cells, None
    if spec.timed:
        values, times = [value for value, _ in cells], [used_ms for _, used_ms in cells]
    return Rows(groups, keys, namespaces, map_keys, indexes, values, times)


def _repeated(values: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    return list(chain.from_iterable(map(repeat, values, counts)))


def take_rows(spec: StateSpec, rows: Rows, cells: Cells) -> None:
    """Put rows into a table's cells."""
    values: Sequence[Any] = repeat(True, len(rows)) if rows.values is None else rows.values  # type: ignore[assignment]
    if rows.times is not None:
        values = list(zip(values, rows.times, strict=True))
    if not spec.namespaced:
        _take_plain(spec, rows, values, cells)
        return
    assert rows.namespaces is not None
    for place, value in enumerate(values):
        spaces = cells.setdefault(rows.keys[place], {})
        namespace = rows.namespaces[place]
        if rows.map_keys is not None:
            spaces.setdefault(namespace, {})[rows.map_keys[place]] = value
        elif spec.kind is StateKind.LIST:
            spaces.setdefault(namespace, []).append(value)
        else:
            spaces[namespace] = value


def _take_plain(spec: StateSpec, rows: Rows, values: Sequence[Any], cells: Cells) -> None:
    if rows.map_keys is not None:
        for key, map_key, value in zip(rows.keys, rows.map_keys, values, strict=False):
            cells.setdefault(key, {})[map_key] = value
    elif spec.kind is StateKind.LIST:
        for key, value in zip(rows.keys, values, strict=True):
            cells.setdefault(key, []).append(value)
    else:
        cells.update(zip(rows.keys, values, strict=True))
