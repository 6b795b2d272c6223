"""Statistics of keyed state: entries, keys and bytes per state and key group, and the largest keys. Pure.

Entries of one key come one after the other, as readers give them; so what is held here does not grow with the state.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, final


@final
@dataclass(frozen=True, slots=True)
class LargeKey:
    """One of the largest keys of a state."""

    key: Any
    key_group: int
    entries: int
    bytes: int


@final
@dataclass(slots=True)
class GroupTotals:
    """What one key group holds."""

    keys: int = 0
    entries: int = 0
    bytes: int = 0


@final
@dataclass(slots=True)
class TableStatistics:
    """Of one state of one operator. Feed entries with `add`, then call `end`."""

    largest_max: int
    keys: int = 0
    entries: int = 0
    bytes: int = 0
    groups: dict[int, GroupTotals] = field(default_factory=dict)
    _heap: list[tuple[int, int, LargeKey]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)
    _current: tuple[Any, int, int, int] | None = None
    """Key, key group, entries, bytes of the key under way."""

    def add(self, key: Any, key_group: int, size: int) -> None:
        """One entry of `size` bytes, key included."""
        current = self._current
        if current is not None and current[1] == key_group and _same(current[0], key):
            self._current = (key, key_group, current[2] + 1, current[3] + size)
        else:
            self.end()
            self._current = (key, key_group, 1, size)

    def end(self) -> None:
        """The key under way is complete."""
        if self._current is None:
            return
        key, key_group, entries, size = self._current
        self._current = None
        self.keys += 1
        self.entries += entries
        self.bytes += size
        group = self.groups.setdefault(key_group, GroupTotals())
        group.keys += 1
        group.entries += entries
        group.bytes += size
        large = (size, -next(self._order), LargeKey(key, key_group, entries, size))
        if len(self._heap) < self.largest_max:
            heapq.heappush(self._heap, large)
        elif self._heap and large[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, large)

    @property
    def largest(self) -> list[LargeKey]:
        """Largest first."""
        return [large for _, _, large in sorted(self._heap, key=lambda item: item[:2], reverse=True)]

    @property
    def skew(self) -> float:
        """Bytes of the largest key group over the mean of those that hold something; 1: even."""
        sizes = [group.bytes for group in self.groups.values()]
        return max(sizes) * len(sizes) / sum(sizes) if sum(sizes) else 1.0


def feed(statistics: TableStatistics, entries: Iterable[tuple[Any, int, int]]) -> TableStatistics:
    """All (key, key group, bytes)."""
    for key, key_group, size in entries:
        statistics.add(key, key_group, size)
    statistics.end()
    return statistics


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one == other or one is other)
