"""Metrics of user functions: PyFlink's interfaces, and the implementation that lives in a worker's process.

Functions get a `MetricGroup` from their runtime context; the task reads `MetricTree.readings` now and then and sends
them on. Updating costs an attribute or two; rates are worked out when read. The number of metrics is bounded: names
made from data (one counter per user) lose their later ones, and the count of those is a metric itself.
"""

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, TypeVar, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.errors import JobDefinitionError

__all__ = ["Counter", "Distribution", "Meter", "Metric", "MetricGroup", "MetricReading", "MetricTree"]

log = logging.getLogger(__name__)

METRICS_MAX: Final = 2_000
"""Metrics of one subtask."""
NEWEST_VALUES: Final = 512
"""Values of a distribution that its quantiles are taken over."""
QUANTILES: Final = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p98": 0.98, "p99": 0.99, "p999": 0.999}
"""Of a distribution, by the names that Flink's REST gives them."""
_INT_MAX: Final = 2**63


class Metric(ABC):
    """Base of all metrics."""


class Counter(Metric):
    """A number that goes up and down."""

    @abstractmethod
    def inc(self, n: int = 1) -> None: ...

    @abstractmethod
    def dec(self, n: int = 1) -> None: ...

    @abstractmethod
    def get_count(self) -> int: ...


class Meter(Metric):
    """Counts events and knows their rate."""

    @abstractmethod
    def mark_event(self, value: int = 1) -> None: ...

    @abstractmethod
    def get_count(self) -> int: ...


class Distribution(Metric):
    """Count, sum, smallest and largest of reported values, and quantiles of the newest of them."""

    @abstractmethod
    def update(self, value: int) -> None: ...


class MetricGroup(ABC):
    """A named place for metrics and further groups."""

    @abstractmethod
    def add_group(self, name: str, extra: str | None = None) -> "MetricGroup":
        """A group below this one; with `extra`, name and extra are key and value of a variable."""

    @abstractmethod
    def counter(self, name: str) -> Counter: ...

    @abstractmethod
    def gauge(self, name: str, obj: Callable[[], int]) -> None:
        """`obj` is called whenever the metric is read."""

    @abstractmethod
    def meter(self, name: str, time_span_in_seconds: int = 60) -> Meter: ...

    @abstractmethod
    def distribution(self, name: str) -> Distribution: ...


@final
class MetricReading(msgspec.Struct, frozen=True):
    """What one metric says now."""

    name: str
    """The group's names and its own, joined by dots."""
    kind: Literal["counter", "gauge", "meter", "distribution"]
    values: dict[str, float]
    """`value`; of a meter `count` and `rate`; of a distribution `count`, `sum`, `min`, `max`, `mean` and quantiles."""
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    logical: str = ""
    """The name without the values of variables: one for all metrics that differ in nothing else."""


@final
class _Counter(Counter):
    __slots__ = ("_count",)
    kind: Literal["counter"] = "counter"

    def __init__(self) -> None:
        self._count = 0

    def inc(self, n: int = 1) -> None:
        self._count += n

    def dec(self, n: int = 1) -> None:
        self._count -= n

    def get_count(self) -> int:
        return self._count

    def read(self, now_s: float) -> dict[str, float]:
        return {"value": self._count}


@final
class _Meter(Meter):
    __slots__ = ("_count", "_samples", "_span_s")
    kind: Literal["meter"] = "meter"

    def __init__(self, span_s: int, now_s: float) -> None:
        self._count = 0
        self._span_s = max(1, span_s)
        self._samples: deque[tuple[float, int]] = deque([(now_s, 0)], maxlen=128)

    def mark_event(self, value: int = 1) -> None:
        self._count += value

    def get_count(self) -> int:
        return self._count

    def read(self, now_s: float) -> dict[str, float]:
        samples = self._samples
        if now_s - samples[-1][0] >= self._span_s / 64:
            samples.append((now_s, self._count))
        while len(samples) > 1 and samples[1][0] <= now_s - self._span_s:
            samples.popleft()
        then_s, before = samples[0]
        elapsed_s = now_s - then_s
        return {"count": self._count, "rate": (self._count - before) / elapsed_s if elapsed_s > 0 else 0.0}


@final
class _Distribution(Distribution):
    __slots__ = ("_count", "_max", "_min", "_newest", "_read", "_read_at", "_sum")
    kind: Literal["distribution"] = "distribution"

    def __init__(self) -> None:
        self._count = self._sum = self._min = self._max = 0
        self._newest: deque[int] = deque(maxlen=NEWEST_VALUES)
        self._read: dict[str, float] = {}
        self._read_at = -1

    def update(self, value: int) -> None:
        if not self._count or value < self._min:
            self._min = value
        if not self._count or value > self._max:
            self._max = value
        self._count += 1
        self._sum += value
        self._newest.append(value)

    def read(self, now_s: float) -> dict[str, float]:
        if self._read_at != self._count:
            ordered, count = sorted(self._newest), self._count
            last = len(ordered) - 1
            self._read = {"count": count, "sum": self._sum, "min": self._min, "max": self._max}
            if count:
                self._read["mean"] = self._sum / count
                self._read |= {name: ordered[round(share * last)] for name, share in QUANTILES.items()}
            self._read_at = count
        return self._read


@final
class _Gauge(Metric):
    __slots__ = ("_function",)
    kind: Literal["gauge"] = "gauge"

    def __init__(self, function: Callable[[], int]) -> None:
        self._function = function

    def read(self, now_s: float) -> dict[str, float]:
        return {"value": self._function()}


_Readable = _Counter | _Meter | _Distribution | _Gauge
M = TypeVar("M", _Counter, _Meter, _Distribution, _Gauge)


@final
class MetricTree:
    """All metrics of one subtask; `root` is the group that its functions get."""

    def __init__(self, clock: Clock, metrics_max: int = METRICS_MAX, *, shown: bool = True) -> None:
        """`shown`: whether anybody is told of them."""
        self.clock = clock
        self._shown = shown
        self._metrics_max = metrics_max
        self._metrics: dict[str, tuple[_Readable, dict[str, str], str]] = {}
        self.dropped = 0

    @property
    def root(self) -> MetricGroup:
        return _Group(self, (), (), {})

    def register(self, name: str, logical: str, variables: dict[str, str], metric: M) -> M:
        """The metric of that name: this one, or the one that is there; one too many is kept out of the readings."""
        known = self._metrics.get(name)
        if known is not None:
            found = known[0]
            if not isinstance(found, type(metric)):
                raise JobDefinitionError(f"metric {name} is a {found.kind} already, it cannot be a {metric.kind} too")
            if not isinstance(metric, _Gauge):
                return found
        elif len(self._metrics) >= self._metrics_max:
            self.dropped += 1
            return metric
        self._metrics[name] = (metric, variables, logical)
        return metric

    def readings(self) -> Iterator[MetricReading]:
        """What all metrics say now; a gauge that raises, or gives what is no number, is left out."""
        if not self._shown:
            return
        now_s = self.clock.monotonic()
        for name, (metric, variables, logical) in self._metrics.items():
            try:
                values = {part: _number(value) for part, value in metric.read(now_s).items()}
            except Exception as error:
                log.debug("metric could not be read", extra={"metric": name, "error": repr(error)})
                continue
            yield MetricReading(name, metric.kind, values, variables, logical)
        if self.dropped:
            dropped = "numMetricsDropped"
            yield MetricReading(dropped, "counter", {"value": self.dropped}, logical=dropped)


def _number(value: Any) -> float:
    """A number that fits in a message; ValueError, TypeError or OverflowError for what is none."""
    if type(value) is int and -_INT_MAX <= value < _INT_MAX:
        return value
    if isinstance(value, str | bytes):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


@final
class _Group(MetricGroup):
    def __init__(
        self, tree: MetricTree, scope: tuple[str, ...], logical: tuple[str, ...], variables: dict[str, str]
    ) -> None:
        self._tree = tree
        self._scope = scope
        self._logical = logical
        self._variables = variables

    def add_group(self, name: str, extra: str | None = None) -> MetricGroup:
        name = str(name)
        logical = (*self._logical, name)
        if extra is None:
            return _Group(self._tree, (*self._scope, name), logical, self._variables)
        variables = {**self._variables, name: str(extra)}
        return _Group(self._tree, (*self._scope, name, str(extra)), logical, variables)

    def counter(self, name: str) -> Counter:
        return self._register(name, _Counter())

    def gauge(self, name: str, obj: Callable[[], int]) -> None:
        if not callable(obj):
            raise JobDefinitionError(f"gauge {name} needs a function without parameters, not {obj!r}")
        self._register(name, _Gauge(obj))

    def meter(self, name: str, time_span_in_seconds: int = 60) -> Meter:
        return self._register(name, _Meter(time_span_in_seconds, self._tree.clock.monotonic()))

    def distribution(self, name: str) -> Distribution:
        return self._register(name, _Distribution())

    def _register(self, name: str, metric: M) -> M:
        full, logical = ".".join((*self._scope, str(name))), ".".join((*self._logical, str(name)))
        return self._tree.register(full, logical, self._variables, metric)

    def __reduce__(self) -> Any:
        raise TypeError("a metric group belongs to one running subtask: get it from the runtime context in open()")
