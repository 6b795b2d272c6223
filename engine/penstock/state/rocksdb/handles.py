"""Handles of maps, lists and namespaced state over the overlay's cells.

Plain single values need none of these: the heap's handles work on their store's dict.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

from penstock.state.api import AggregatingState, ListState, MapState, ReducingState, ValueState
from penstock.state.backend import CurrentKey
from penstock.state.rocksdb.cells import ListCell, MapCell
from penstock.state.rocksdb.stores import CellStore


class _OverCells:
    __slots__ = ("_current", "_namespace", "_store")

    def __init__(self, current: CurrentKey, store: CellStore) -> None:
        self._current = current
        self._store = store
        self._namespace: Any = None

    def set_namespace(self, namespace: Any) -> None:
        """What follows concerns this namespace."""
        self._namespace = namespace

    def _cell(self) -> Any:
        held = self._store.cells.get(self._current.key)
        if held is not None:
            found = held.get(self._namespace)
            if found is not None:
                return found
        return self._store.cell(self._current.key, self._namespace)


@final
class RocksListState(_OverCells, ListState[Any]):
    __slots__ = ()

    def get(self) -> list[Any]:
        cell: ListCell = self._cell()
        return cell.get()

    def add(self, value: Any) -> None:
        self._cell().add_all((value,))

    def add_all(self, values: Iterable[Any]) -> None:
        self._cell().add_all(list(values))

    def update(self, values: Iterable[Any]) -> None:
        self._cell().replace(list(values))

    def clear(self) -> None:
        self._cell().replace([])


@final
class RocksMapState(_OverCells, MapState[Any, Any]):
    """Values that `items` and `values` return from large maps are copies: change them with `put`."""

    __slots__ = ()

    def get(self, key: Any) -> Any:
        return self._cell().get(key)

    def put(self, key: Any, value: Any) -> None:
        self._cell().put(key, value)

    def put_all(self, dict_value: Mapping[Any, Any]) -> None:
        cell = self._cell()
        for key, value in dict(dict_value).items():
            cell.put(key, value)

    def remove(self, key: Any) -> None:
        self._cell().remove(key)

    def contains(self, key: Any) -> bool:
        cell: MapCell = self._cell()
        return cell.contains(key)

    def items(self) -> list[tuple[Any, Any]]:
        cell: MapCell = self._cell()
        return cell.items()

    def keys(self) -> list[Any]:
        return [key for key, _ in self._cell().items()]

    def values(self) -> list[Any]:
        return [value for _, value in self._cell().items()]

    def is_empty(self) -> bool:
        cell: MapCell = self._cell()
        return cell.is_empty()

    def clear(self) -> None:
        self._cell().clear()


class _OneOfNamespace(_OverCells):
    """A single value with a namespace: an entry of the key's map from namespace to value."""

    __slots__ = ()

    def _map(self) -> Any:
        held = self._store.cells.get(self._current.key)
        return self._store.cell(self._current.key, None) if held is None else held[None]

    def _read(self) -> Any:
        return self._map().get(self._namespace)

    def _set(self, value: Any) -> None:
        if value is None:
            self._map().remove(self._namespace)
        else:
            self._map().put(self._namespace, value)

    def clear(self) -> None:
        self._map().remove(self._namespace)


@final
class RocksNamespacedValueState(_OneOfNamespace, ValueState[Any]):
    __slots__ = ()

    def value(self) -> Any:
        return self._read()

    def update(self, value: Any) -> None:
        self._set(value)


@final
class RocksNamespacedReducingState(_OneOfNamespace, ReducingState[Any]):
    __slots__ = ("_reduce",)

    def __init__(self, current: CurrentKey, store: CellStore, reduce: Callable[[Any, Any], Any]) -> None:
        super().__init__(current, store)
        self._reduce = reduce

    def get(self) -> Any:
        return self._read()

    def add(self, value: Any) -> None:
        held = self._read()
        self._set(value if held is None else self._reduce(held, value))


@final
class RocksNamespacedAggregatingState(_OneOfNamespace, AggregatingState[Any, Any]):
    __slots__ = ("_function",)

    def __init__(self, current: CurrentKey, store: CellStore, function: Any) -> None:
        super().__init__(current, store)
        self._function = function

    def get(self) -> Any:
        held = self._read()
        return None if held is None else self._function.get_result(held)

    def add(self, value: Any) -> None:
        held = self._read()
        if held is None:
            held = self._function.create_accumulator()
        self._set(self._function.add(value, held))
