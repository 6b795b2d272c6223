"""State handles with a namespace (windows): from key to a dict from namespace to cell.

All namespaces of a key lie together, because a snapshot takes a key as a whole. `set_namespace` is called by the
window operator, once per window and record.
"""

from collections.abc import Iterable, Mapping
from typing import Any, final

from penstock.state.api import AggregatingState, ListState, MapState, ReducingState, ValueState
from penstock.state.backend import CurrentKey
from penstock.state.hashmap.handles import Cells, Reduce, Removals


class _Namespaced:
    """The cell of the current key and namespace."""

    __slots__ = ("_cells", "_current", "_get", "_namespace", "_removals")

    def __init__(self, current: CurrentKey, cells: Cells, removals: Removals) -> None:
        self._current = current
        self._cells = cells
        self._get = cells.get
        self._removals = removals
        self._namespace: Any = None

    def set_namespace(self, namespace: Any) -> None:
        """What follows concerns this namespace."""
        self._namespace = namespace

    def _read(self) -> Any:
        held = self._get(self._current.key)
        return None if held is None else held.get(self._namespace)

    def _write(self, cell: Any) -> None:
        held = self._get(self._current.key)
        if held is None:
            self._cells[self._current.key] = {self._namespace: cell}
        else:
            held[self._namespace] = cell

    def clear(self) -> None:
        held = self._get(self._current.key)
        if held is not None:
            held.pop(self._namespace, None)
            if not held:
                del self._cells[self._current.key]
                self._removals.count += 1

    def _set(self, value: Any) -> None:
        if value is None:
            self.clear()
        else:
            self._write(value)


@final
class NamespacedValueState(_Namespaced, ValueState[Any]):
    __slots__ = ()

    def value(self) -> Any:
        held = self._get(self._current.key)
        return None if held is None else held.get(self._namespace)

    def update(self, value: Any) -> None:
        self._set(value)


@final
class NamespacedReducingState(_Namespaced, ReducingState[Any]):
    __slots__ = ("_reduce",)

    def __init__(self, current: CurrentKey, cells: Cells, removals: Removals, reduce: Reduce) -> None:
        super().__init__(current, cells, removals)
        self._reduce = reduce

    def get(self) -> Any:
        return self._read()

    def add(self, value: Any) -> None:
        held = self._read()
        self._set(value if held is None else self._reduce(held, value))


@final
class NamespacedAggregatingState(_Namespaced, AggregatingState[Any, Any]):
    __slots__ = ("_function",)

    def __init__(self, current: CurrentKey, cells: Cells, removals: Removals, function: Any) -> None:
        super().__init__(current, cells, removals)
        self._function = function

    def get(self) -> Any:
        held = self._read()
        return None if held is None else self._function.get_result(held)

    def add(self, value: Any) -> None:
        held = self._read()
        if held is None:
            held = self._function.create_accumulator()
        self._set(self._function.add(value, held))


@final
class NamespacedListState(_Namespaced, ListState[Any]):
    __slots__ = ()

    def get(self) -> list[Any]:
        held = self._read()
        return [] if held is None else held[:]

    def add(self, value: Any) -> None:
        held = self._read()
        if held is None:
            self._write([value])
        else:
            held.append(value)

    def add_all(self, values: Iterable[Any]) -> None:
        added = list(values)
        held = self._read()
        if held is not None:
            held.extend(added)
        elif added:
            self._write(added)

    def update(self, values: Iterable[Any]) -> None:
        replaced = list(values)
        if replaced:
            self._write(replaced)
        else:
            self.clear()


@final
class NamespacedMapState(_Namespaced, MapState[Any, Any]):
    __slots__ = ()

    def get(self, key: Any) -> Any:
        held = self._read()
        return None if held is None else held.get(key)

    def put(self, key: Any, value: Any) -> None:
        held = self._read()
        if held is None:
            self._write({key: value})
        else:
            held[key] = value

    def put_all(self, dict_value: Mapping[Any, Any]) -> None:
        added = dict(dict_value)
        held = self._read()
        if held is not None:
            held.update(added)
        elif added:
            self._write(added)

    def remove(self, key: Any) -> None:
        held = self._read()
        if held is not None:
            held.pop(key, None)
            if not held:
                self.clear()

    def contains(self, key: Any) -> bool:
        held = self._read()
        return held is not None and key in held

    def items(self) -> list[tuple[Any, Any]]:
        held = self._read()
        return [] if held is None else list(held.items())

    def keys(self) -> list[Any]:
        held = self._read()
        return [] if held is None else list(held)

    def values(self) -> list[Any]:
        held = self._read()
        return [] if held is None else list(held.values())

    def is_empty(self) -> bool:
        return self._read() is None
