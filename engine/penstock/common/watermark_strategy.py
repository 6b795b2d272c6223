"""How records get their event time, and how a stream says how far event time has come; mirrors pyflink's module.

A WatermarkStrategy is a value that travels with the program; `penstock.operators.watermarks` acts on it. What PyFlink
lacks, generators written in Python, has the names of Flink's Java API: `WatermarkStrategy.for_generator(MyGenerator)`.
"""

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

from penstock.common.time import Duration

__all__ = [
    "AssignerWithPeriodicWatermarksWrapper",
    "TimestampAssigner",
    "WatermarkAlignment",
    "WatermarkGenerator",
    "WatermarkOutput",
    "WatermarkStrategy",
]


class TimestampAssigner(ABC):
    """Tells a record's event time."""

    @abstractmethod
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """Milliseconds since 1970; `record_timestamp` is what the record has already, -2**63 if nothing."""


class WatermarkOutput(ABC):
    """Where a generator emits."""

    @abstractmethod
    def emit_watermark(self, watermark: int) -> None:
        """No record with a timestamp at or below this one will follow."""

    @abstractmethod
    def mark_idle(self) -> None:
        """This stream holds back nobody's watermark until its next record."""

    @abstractmethod
    def mark_active(self) -> None:
        """This stream takes part in the watermark again."""


class WatermarkGenerator(ABC):
    """Makes watermarks: at records (punctuated), or when asked each `pipeline.auto-watermark-interval`."""

    @abstractmethod
    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        """A record has come; what is emitted now goes right behind it."""

    @abstractmethod
    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """The interval has passed."""


@final
@dataclass(frozen=True, slots=True)
class WatermarkAlignment:
    """Sources of one group wait for those that lag by more than the drift."""

    group: str
    max_drift_ms: int
    update_interval_ms: int = 1_000


@final
class _FunctionAssigner(TimestampAssigner):
    def __init__(self, function: Callable[[Any, int], int]) -> None:
        self._function = function

    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return self._function(value, record_timestamp)


@final
@dataclass(frozen=True, slots=True)
class WatermarkStrategy:
    """Timestamps, watermarks and idleness. Made by the functions below, refined by the `with_` methods."""

    out_of_orderness_ms: int | None = None
    """How much later than the latest record one may come; None: there are no watermarks, or `generator` makes them."""
    generator: Callable[[], WatermarkGenerator] | None = None
    timestamp_assigner: TimestampAssigner | None = None
    idle_timeout_ms: int | None = None
    alignment: WatermarkAlignment | None = None

    @staticmethod
    def for_monotonous_timestamps() -> "WatermarkStrategy":
        """Timestamps never go back."""
        return WatermarkStrategy(out_of_orderness_ms=0)

    @staticmethod
    def for_bounded_out_of_orderness(max_out_of_orderness: Duration) -> "WatermarkStrategy":
        """A record comes at most so much later than the latest one before it."""
        bound_ms = _milliseconds(max_out_of_orderness, "the bound of out-of-orderness")
        if bound_ms < 0:
            raise ValueError(f"the bound of out-of-orderness is not negative, but it is {bound_ms} ms")
        return WatermarkStrategy(out_of_orderness_ms=bound_ms)

    @staticmethod
    def no_watermarks() -> "WatermarkStrategy":
        """Processing time only."""
        return WatermarkStrategy()

    @staticmethod
    def for_generator(generator: Callable[[], WatermarkGenerator]) -> "WatermarkStrategy":
        """The user's own: a WatermarkGenerator class, or what makes one; each subtask and each split has its own."""
        if not callable(generator):
            raise TypeError(f"for_generator takes what makes a WatermarkGenerator, not {generator!r}")
        if not _takes_nothing(generator):
            raise TypeError(
                f"for_generator takes a WatermarkGenerator class, or a function without arguments that makes one; "
                f"{generator!r} wants arguments"
            )
        return WatermarkStrategy(generator=generator)

    def with_timestamp_assigner(
        self, timestamp_assigner: TimestampAssigner | Callable[[Any, int], int]
    ) -> "WatermarkStrategy":
        """Take event time from the records: an assigner, or a function of a record and the timestamp it has."""
        if callable(timestamp_assigner) and not isinstance(timestamp_assigner, TimestampAssigner):
            return replace(self, timestamp_assigner=_FunctionAssigner(timestamp_assigner))
        if not callable(getattr(timestamp_assigner, "extract_timestamp", None)):
            raise TypeError(f"a TimestampAssigner has a method extract_timestamp; {timestamp_assigner!r} has none")
        return replace(self, timestamp_assigner=timestamp_assigner)

    def with_idleness(self, idle_timeout: Duration) -> "WatermarkStrategy":
        """After so long without a record, hold back nobody's watermark."""
        timeout_ms = _milliseconds(idle_timeout, "the idle timeout")
        if timeout_ms <= 0:
            raise ValueError(f"the idle timeout is more than 0 ms, but it is {timeout_ms} ms")
        return replace(self, idle_timeout_ms=timeout_ms)

    def with_watermark_alignment(
        self,
        watermark_group: str,
        max_allowed_watermark_drift: Duration,
        update_interval: Duration | None = None,
    ) -> "WatermarkStrategy":
        """Kept with the strategy so that programs run; sources do not wait for each other yet."""
        drift_ms = _milliseconds(max_allowed_watermark_drift, "the drift")
        interval_ms = 1_000 if update_interval is None else _milliseconds(update_interval, "the update interval")
        warnings.warn(
            f"with_watermark_alignment({watermark_group!r}) has no effect: sources do not wait for each other",
            stacklevel=2,
        )
        return replace(self, alignment=WatermarkAlignment(watermark_group, drift_ms, interval_ms))


def _takes_nothing(maker: Callable[..., Any]) -> bool:
    try:
        inspect.signature(maker).bind()
    except TypeError:
        return False
    except ValueError:
        return True  # Of some that are written in C nobody can tell.
    return True


def _milliseconds(duration: Duration, what: str) -> int:
    if not isinstance(duration, Duration):
        raise TypeError(f"{what} is a Duration, as Duration.of_seconds(5), not {duration!r}")
    return duration.to_millis()


@final
class AssignerWithPeriodicWatermarksWrapper:
    """Wraps a Java class in PyFlink."""

    def __init__(self, j_assigner_with_periodic_watermarks: Any) -> None:
        raise TypeError(
            "there is no JVM here to wrap a Java assigner of: write a WatermarkGenerator and use "
            "WatermarkStrategy.for_generator"
        )
