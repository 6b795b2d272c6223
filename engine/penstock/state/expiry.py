"""State with a time to live, for both backends: handles over handles.

What lies in the backend's own state is the pair (value, time of last use in ms); elements of lists and entries of maps
have a time each. States without a time to live never come here.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

from penstock.base.clock import Clock
from penstock.state.api import AggregatingState, ListState, MapState, ReducingState, ValueState
from penstock.state.ttl_config import StateTtlConfig


@final
class Expiry:
    """The rules of one state's time to live."""

    __slots__ = ("_clock", "on_read", "shows_expired", "ttl_ms")

    def __init__(self, config: StateTtlConfig, clock: Clock) -> None:
        self._clock = clock
        self.ttl_ms = config.ttl_ms
        self.on_read = config.get_update_type() is StateTtlConfig.UpdateType.OnReadAndWrite
        self.shows_expired = config.get_state_visibility() is StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def deadline_ms(self) -> int:
        """What was last used at this time or before has expired."""
        return self._clock.now_ms() - self.ttl_ms


class _Expiring:
    """What the wrappers have in common."""

    __slots__ = ("_expiry", "_inner")

    def __init__(self, inner: Any, expiry: Expiry) -> None:
        self._inner = inner
        self._expiry = expiry

    def set_namespace(self, namespace: Any) -> None:
        self._inner.set_namespace(namespace)

    def clear(self) -> None:
        self._inner.clear()


class _ExpiringSingle(_Expiring):
    """One pair under the key: value, reducing and aggregating state."""

    __slots__ = ()

    def _read(self) -> Any:
        cell = self._inner.value()
        if cell is None:
            return None
        value, used_ms = cell
        expiry = self._expiry
        now_ms = expiry.now_ms()
        if used_ms + expiry.ttl_ms <= now_ms:
            self._inner.clear()
            return value if expiry.shows_expired else None
        if expiry.on_read:
            self._inner.update((value, now_ms))
        return value

    def _live(self) -> Any:
        """The value if it has not expired, read in order to be replaced."""
        cell = self._inner.value()
        return None if cell is None or cell[1] <= self._expiry.deadline_ms() else cell[0]

    def _write(self, value: Any) -> None:
        self._inner.update(None if value is None else (value, self._expiry.now_ms()))


@final
class ExpiringValueState(_ExpiringSingle, ValueState[Any]):
    __slots__ = ()

    def value(self) -> Any:
        return self._read()

    def update(self, value: Any) -> None:
        self._write(value)


@final
class ExpiringReducingState(_ExpiringSingle, ReducingState[Any]):
    __slots__ = ("_reduce",)

    def __init__(self, inner: Any, expiry: Expiry, reduce: Callable[[Any, Any], Any]) -> None:
        super().__init__(inner, expiry)
        self._reduce = reduce

    def get(self) -> Any:
        return self._read()

    def add(self, value: Any) -> None:
        held = self._live()
        self._write(value if held is None else self._reduce(held, value))


@final
class ExpiringAggregatingState(_ExpiringSingle, AggregatingState[Any, Any]):
    __slots__ = ("_function",)

    def __init__(self, inner: Any, expiry: Expiry, function: Any) -> None:
        super().__init__(inner, expiry)
        self._function = function

    def get(self) -> Any:
        held = self._read()
        return None if held is None else self._function.get_result(held)

    def add(self, value: Any) -> None:
        held = self._live()
        if held is None:
            held = self._function.create_accumulator()
        self._write(self._function.add(value, held))


@final
class ExpiringListState(_Expiring, ListState[Any]):
    """Each element has its own time."""

    __slots__ = ()

    def get(self) -> list[Any]:
        expiry = self._expiry
        cells = self._inner.get()
        now_ms = expiry.now_ms()
        deadline_ms = now_ms - expiry.ttl_ms
        live = [cell for cell in cells if cell[1] > deadline_ms]
        if expiry.on_read and live:
            self._inner.update([(value, now_ms) for value, _ in live])
        elif len(live) < len(cells):
            self._inner.update(live)
        return [value for value, _ in (cells if expiry.shows_expired else live)]

    def add(self, value: Any) -> None:
        self._inner.add((value, self._expiry.now_ms()))

    def add_all(self, values: Iterable[Any]) -> None:
        now_ms = self._expiry.now_ms()
        self._inner.add_all([(value, now_ms) for value in values])

    def update(self, values: Iterable[Any]) -> None:
        now_ms = self._expiry.now_ms()
        self._inner.update([(value, now_ms) for value in values])


@final
class ExpiringMapState(_Expiring, MapState[Any, Any]):
    """Each entry has its own time."""

    __slots__ = ()

    def get(self, key: Any) -> Any:
        cell = self._inner.get(key)
        if cell is None:
            return None
        value, used_ms = cell
        expiry = self._expiry
        now_ms = expiry.now_ms()
        if used_ms + expiry.ttl_ms <= now_ms:
            self._inner.remove(key)
            return value if expiry.shows_expired else None
        if expiry.on_read:
            self._inner.put(key, (value, now_ms))
        return value

    def put(self, key: Any, value: Any) -> None:
        self._inner.put(key, (value, self._expiry.now_ms()))

    def put_all(self, dict_value: Mapping[Any, Any]) -> None:
        now_ms = self._expiry.now_ms()
        self._inner.put_all({key: (value, now_ms) for key, value in dict(dict_value).items()})

    def remove(self, key: Any) -> None:
        self._inner.remove(key)

    def contains(self, key: Any) -> bool:
        cell = self._inner.get(key)
        if cell is None:
            return False
        if cell[1] > self._expiry.deadline_ms():
            if self._expiry.on_read:
                self._inner.put(key, (cell[0], self._expiry.now_ms()))
            return True
        self._inner.remove(key)
        return self._expiry.shows_expired

    def items(self) -> list[tuple[Any, Any]]:
        expiry = self._expiry
        now_ms = expiry.now_ms()
        found = []
        for key, (value, used_ms) in self._inner.items():
            expired = used_ms + expiry.ttl_ms <= now_ms
            if expired:
                self._inner.remove(key)
            elif expiry.on_read:
                self._inner.put(key, (value, now_ms))
            if not expired or expiry.shows_expired:
                found.append((key, value))
        return found

    def keys(self) -> list[Any]:
        return [key for key, _ in self.items()]

    def values(self) -> list[Any]:
        return [value for _, value in self.items()]

    def is_empty(self) -> bool:
        if self._expiry.shows_expired:
            return bool(self._inner.is_empty())
        deadline_ms = self._expiry.deadline_ms()
        return not any(used_ms > deadline_ms for _, used_ms in self._inner.values())


def live_part(cell: Any, kind: str, deadline_ms: int) -> Any:
    """What of a cell of this kind has not expired: the cell itself if nothing has, None if all has."""
    if kind == "list":
        live_list = [pair for pair in cell if pair[1] > deadline_ms]
        return cell if len(live_list) == len(cell) else live_list or None
    if kind == "map":
        live_map = {key: pair for key, pair in cell.items() if pair[1] > deadline_ms}
        return cell if len(live_map) == len(cell) else live_map or None
    return cell if cell[1] > deadline_ms else None
