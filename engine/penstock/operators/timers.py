"""Timers by event time and by the clock, per key (and per window): state, and a heap derived from it.

A timer is an entry of a map state of the keyed backend under its key, so checkpoints hold it and rescaling moves it.
Beside that, in memory, each domain keeps its timers in buckets by time and the times in a heap; both are rebuilt from
the state on restore. Operators own a `Timers` each; nothing here knows what a timer means.

Rules (PyFlink's): a timer registered twice fires once; `on_timer` sees the current watermark, not its own time; a timer
registered below the watermark waits for its next advance, so none fires after MAX_WATERMARK.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, final

from penstock.common.typeinfo import Types
from penstock.operators.operator import Cancellable, OperatorContext, Steps
from penstock.records.batch import MAX_WATERMARK, MIN_TIMESTAMP
from penstock.state.backend import KeyedBackend
from penstock.state.descriptors import MapStateDescriptor

_SLICE_S: Final = 0.002
_SLICE_TIMERS_MAX: Final = 4_096

OnTimer = Callable[[int, Any], None]
"""Called with the timer's time and namespace; the current key is set."""


@final
class TimerQueue:
    """The timers of one domain."""

    def __init__(self, keyed: KeyedBackend, state_name: str, *, namespaced: bool) -> None:
        descriptor = MapStateDescriptor(state_name, Types.LONG(), Types.BOOLEAN())
        self._state: Any = keyed.state(descriptor, namespaced=namespaced)
        self._current = keyed.current
        self._namespaced = namespaced
        self._buckets: dict[int, dict[Any, None]] = {}
        self._firing: dict[int, dict[Any, None]] = {}
        self._due: deque[int] = deque()
        self._heap: list[int] = []
        for key, namespace, timestamp, _ in keyed.entries(state_name):
            self._put(timestamp, (key, namespace) if namespaced else key)

    def next(self) -> int | None:
        """The time of the earliest timer that is not firing already."""
        heap, buckets = self._heap, self._buckets
        while heap and heap[0] not in buckets:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def register(self, timestamp: int, namespace: Any = None) -> bool:
        """Add a timer of the current key; False if it is there already."""
        entry = (self._current.key, namespace) if self._namespaced else self._current.key
        bucket = self._buckets.get(timestamp)
        if bucket is not None and entry in bucket:
            return False
        firing = self._firing.get(timestamp)
        if firing is not None and entry in firing:
            return False
        self._put(timestamp, entry)
        self._select(namespace)
        self._state.put(timestamp, True)
        return True

    def delete(self, timestamp: int, namespace: Any = None) -> None:
        """Forget a timer of the current key, if it is there."""
        entry = (self._current.key, namespace) if self._namespaced else self._current.key
        if self._drop(self._buckets, timestamp, entry) or self._drop(self._firing, timestamp, entry):
            self._select(namespace)
            self._state.remove(timestamp)

    def begin(self, until: int) -> None:
        """Set apart all timers up to `until`: these will fire, and none that is registered from now on."""
        timestamp = self.next()
        while timestamp is not None and timestamp <= until:
            self._firing.setdefault(timestamp, {}).update(self._buckets.pop(timestamp))
            self._due.append(timestamp)
            timestamp = self.next()

    def firing(self, count: int) -> list[tuple[int, Any]]:
        """The next `count` timers set apart, in the order of time. They stay until claimed."""
        found: list[tuple[int, Any]] = []
        while self._due and self._due[0] not in self._firing:
            self._due.popleft()
        for timestamp in self._due:
            for entry in self._firing.get(timestamp, ()):
                found.append((timestamp, entry))
                if len(found) >= count:
                    return found
        return found

    def key_of(self, entry: Any) -> Any:
        return entry[0] if self._namespaced else entry

    def claim(self, timestamp: int, entry: Any) -> bool:
        """Make the entry's key current and take its timer out; False if it was deleted meanwhile."""
        if not self._drop(self._firing, timestamp, entry):
            return False
        self._current.key = self.key_of(entry)
        self._select(self.namespace_of(entry))
        self._state.remove(timestamp)
        return True

    def namespace_of(self, entry: Any) -> Any:
        return entry[1] if self._namespaced else None

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values())) + sum(map(len, self._firing.values()))

    def _put(self, timestamp: int, entry: Any) -> None:
        bucket = self._buckets.get(timestamp)
        if bucket is None:
            self._buckets[timestamp] = {entry: None}
            if len(self._heap) > 2 * len(self._buckets) + 1_000:
                # Timers moved again and again leave their old times behind.
                self._heap = list(self._buckets)
                heapq.heapify(self._heap)
            else:
                heapq.heappush(self._heap, timestamp)
        else:
            bucket[entry] = None

    def _select(self, namespace: Any) -> None:
        if self._namespaced:
            self._state.set_namespace(namespace)

    @staticmethod
    def _drop(buckets: dict[int, dict[Any, None]], timestamp: int, entry: Any) -> bool:
        bucket = buckets.get(timestamp)
        if bucket is None or entry not in bucket:
            return False
        del bucket[entry]
        if not bucket:
            del buckets[timestamp]
        return True


@final
class Timers:
    """Both domains of one operator: registering, and firing in slices of about two milliseconds."""

    def __init__(
        self,
        context: OperatorContext,
        keyed: KeyedBackend,
        *,
        on_event_time: OnTimer,
        on_processing_time: OnTimer,
        flush: Callable[[], None],
        name: str = "timers",
        namespaced: bool = False,
    ) -> None:
        """`flush` is called after each slice: hand on what the timers emitted."""
        self._context = context
        self._keyed = keyed
        self._on_event_time = on_event_time
        self._on_processing_time = on_processing_time
        self._flush = flush
        self._event = TimerQueue(keyed, f"_{name}.event-time", namespaced=namespaced)
        self._processing = TimerQueue(keyed, f"_{name}.processing-time", namespaced=namespaced)
        self._alarm: Cancellable | None = None
        self._alarm_at = 0
        self._slice_timers = 64
        self._closed = False
        self.watermark = MIN_TIMESTAMP

    def start(self) -> None:
        """Set the clock for what was restored."""
        self._arm()

    def current_processing_time(self) -> int:
        return self._context.clock.now_ms()

    def register_event_time(self, timestamp: int, namespace: Any = None) -> None:
        self._event.register(timestamp, namespace)

    def register_processing_time(self, timestamp: int, namespace: Any = None) -> None:
        if self._processing.register(timestamp, namespace) and (self._alarm is None or timestamp < self._alarm_at):
            self._arm()

    def delete_event_time(self, timestamp: int, namespace: Any = None) -> None:
        self._event.delete(timestamp, namespace)

    def delete_processing_time(self, timestamp: int, namespace: Any = None) -> None:
        self._processing.delete(timestamp, namespace)

    def advance(self, watermark: int) -> Steps | None:
        """Event time has reached `watermark`: steps that fire what is due, or None if nothing is."""
        self.watermark = watermark
        earliest = self._event.next()
        if earliest is None or earliest > watermark:
            return None
        self._event.begin(watermark)
        return self._fire(self._event, self._on_event_time)

    def key_ended(self) -> Steps:
        """In a batch, where no timer of an earlier key is left: both times are over for the current key alone."""
        self.watermark = MAX_WATERMARK
        for queue, on_timer in ((self._event, self._on_event_time), (self._processing, self._on_processing_time)):
            queue.begin(MAX_WATERMARK)
            yield from self._fire(queue, on_timer)
        # Those that were registered by others as they fired: too late.
        for queue in (self._event, self._processing):
            queue.begin(MAX_WATERMARK)
            for timestamp, entry in queue.firing(len(queue)):
                queue.claim(timestamp, entry)
        self.watermark = MIN_TIMESTAMP

    def close(self) -> None:
        """No processing-time timer fires any more: input has ended, or the operator closes."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _arm(self) -> None:
        earliest = self._processing.next()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if earliest is not None and not self._closed:
            self._alarm_at = earliest
            self._alarm = self._context.processing_time.at(earliest, self._ring)

    def _ring(self, timestamp_ms: int) -> Steps:
        self._alarm = None
        self._processing.begin(max(timestamp_ms, self._context.clock.now_ms()))
        return self._ring_steps()

    def _ring_steps(self) -> Iterator[None]:
        yield from self._fire(self._processing, self._on_processing_time)
        self._arm()

    def _fire(self, queue: TimerQueue, on_timer: OnTimer) -> Iterator[None]:
        clock = self._context.clock
        while due := queue.firing(self._slice_timers):
            started = clock.monotonic()
            self._keyed.prepare([queue.key_of(entry) for _, entry in due])
            for timestamp, entry in due:
                if queue.claim(timestamp, entry):
                    on_timer(timestamp, queue.namespace_of(entry))
            self._flush()
            self._adapt(len(due), clock.monotonic() - started)
            yield

    def _adapt(self, fired: int, took_s: float) -> None:
        """Keep a slice near its time: timers that cost more make smaller slices."""
        if took_s > _SLICE_S:
            self._slice_timers = max(1, int(fired * _SLICE_S / took_s))
        elif fired == self._slice_timers:
            self._slice_timers = min(_SLICE_TIMERS_MAX, fired * 2)
