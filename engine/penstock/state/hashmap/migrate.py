"""Changes restored cells into what the program asks for now. Pure but for the table it is given."""

from collections.abc import Callable
from typing import Any

from penstock.state.descriptors import StateKind
from penstock.state.hashmap.chunks import Table
from penstock.state.spec import Change


def migrate(table: Table, change: Change, now_ms: int) -> None:
    """Rewrite every cell in place."""
    convert = _cell_conversion(table, change, now_ms)
    cells = table.cells
    for key in list(cells):
        cell = cells[key]
        cells[key] = {n: convert(inner) for n, inner in cell.items()} if table.spec.namespaced else convert(cell)


def _cell_conversion(table: Table, change: Change, now_ms: int) -> Callable[[Any], Any]:
    leaf = leaf_conversion(change, timed_before=table.spec.timed, now_ms=now_ms)
    key_of = change.map_key or (lambda key: key)
    match table.spec.kind:
        case StateKind.LIST:
            return lambda cell: [leaf(value) for value in cell]
        case StateKind.MAP:
            return lambda cell: {key_of(key): leaf(value) for key, value in cell.items()}
        case StateKind.VALUE | StateKind.REDUCING | StateKind.AGGREGATING:
            return leaf


def leaf_conversion(change: Change, *, timed_before: bool, now_ms: int) -> Callable[[Any], Any]:
    """From a stored value, with its time if it has one, to the one to store."""
    value_of = change.value or (lambda value: value)
    match change.timed:
        case True:
            return lambda value: (value_of(value), now_ms)
        case False:
            return lambda pair: value_of(pair[0])
        case None:
            if timed_before:
                return lambda pair: (value_of(pair[0]), pair[1])
            return value_of
