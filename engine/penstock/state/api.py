"""State as user functions see it; the interfaces of pyflink.datastream.state.

Both backends implement them. What is read and written belongs to the key of the current record, except operator
and broadcast state, which belongs to the subtask.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor

__all__ = [
    "AggregatingState",
    "AppendingState",
    "BroadcastState",
    "ListState",
    "MapState",
    "MergingState",
    "OperatorStateStore",
    "ReadOnlyBroadcastState",
    "ReducingState",
    "State",
    "ValueState",
]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
IN = TypeVar("IN")
OUT = TypeVar("OUT")


class State(ABC):
    """Base of all state."""

    __slots__ = ()

    @abstractmethod
    def clear(self) -> None:
        """Remove what is there for the current key."""


class ValueState(State, Generic[T]):
    """One value per key."""

    __slots__ = ()

    @abstractmethod
    def value(self) -> T | None:
        """The value; None if there is none."""

    @abstractmethod
    def update(self, value: T | None) -> None:
        """Set the value. None removes it."""


class AppendingState(State, Generic[IN, OUT]):
    """State that things are added to."""

    __slots__ = ()

    @abstractmethod
    def get(self) -> Any:
        """What has become of all that was added."""

    @abstractmethod
    def add(self, value: IN) -> None:
        """Take in one more."""


class MergingState(AppendingState[IN, OUT]):
    """State of which two can become one, as windows that merge need it."""

    __slots__ = ()


class ReducingState(MergingState[T, T]):
    """One value per key, reduced from all that were added; `get` gives None before the first."""

    __slots__ = ()


class AggregatingState(MergingState[IN, OUT]):
    """One accumulator per key; `get` gives the function's result, None before the first `add`."""

    __slots__ = ()


class ListState(MergingState[T, Iterable[T]]):
    """A list per key. What `get` returns is the caller's own: changing it changes no state."""

    __slots__ = ()

    @abstractmethod
    def get(self) -> list[T]:
        """The elements, in the order they were added; empty if there are none."""

    @abstractmethod
    def update(self, values: Iterable[T]) -> None:
        """Replace all elements; nothing in `values` empties the list."""

    @abstractmethod
    def add_all(self, values: Iterable[T]) -> None:
        """Add several."""

    def __iter__(self) -> Iterator[T]:
        return iter(self.get())


class _ReadableMap(State, Generic[K, V]):
    """What maps and broadcast maps have in common."""

    __slots__ = ()

    @abstractmethod
    def get(self, key: K) -> V | None:
        """The value under `key`; None if there is none."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """Whether there is an entry for `key`."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """All entries. The map may be changed while they are iterated; it shows in the next call."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """All keys."""

    @abstractmethod
    def values(self) -> Iterable[V]:
        """All values."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is no entry."""

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class _WritableMap(_ReadableMap[K, V]):
    """What maps and broadcast maps have in common when they may be changed."""

    __slots__ = ()

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Set the value under `key`."""

    @abstractmethod
    def put_all(self, dict_value: Mapping[K, V]) -> None:
        """Set several."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Remove the entry for `key`, if there is one."""

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)


class MapState(_WritableMap[K, V]):
    """A map per key."""

    __slots__ = ()


class ReadOnlyBroadcastState(_ReadableMap[K, V]):
    """A broadcast map as the side sees it that may not change it."""

    __slots__ = ()


class BroadcastState(ReadOnlyBroadcastState[K, V], _WritableMap[K, V]):
    """A map of which every subtask holds the same copy; the program must change all copies in the same way."""

    __slots__ = ()


class OperatorStateStore(ABC):
    """State of a subtask rather than of a key."""

    @abstractmethod
    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """A list whose elements are dealt out anew when the parallelism changes."""

    @abstractmethod
    def get_union_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """A list of which every subtask gets the elements of all subtasks on restore."""

    @abstractmethod
    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        """A map of which every subtask holds the same copy."""
