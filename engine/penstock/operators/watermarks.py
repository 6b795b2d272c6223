"""Timestamps and watermarks for one stream, or for one split of a source, by a WatermarkStrategy.

Used by `TimestampsAndWatermarks` and by `SourceOperator`. The built-in generators look at a batch at once; the
user's own see every record, and where one emits a watermark (punctuated) the batch is cut there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, final

from penstock.common.configuration import Configuration
from penstock.common.options.jobs import AUTO_WATERMARK_INTERVAL
from penstock.common.watermark_strategy import WatermarkGenerator, WatermarkOutput, WatermarkStrategy
from penstock.operators.milliseconds import all_whole, milliseconds
from penstock.records.batch import MIN_TIMESTAMP

Cut = tuple[int, int]
"""After so many records of the batch, this watermark."""


def watermark_interval_ms(configuration: Configuration) -> int:
    """How often generators are asked for a watermark; 0: never."""
    return configuration.get(AUTO_WATERMARK_INTERVAL).to_millis()


class _Generator:
    """No watermarks."""

    idle: bool | None = None
    """What the generator said when it was asked last: idle, active, or nothing."""

    def on_batch(self, values: Iterable[Any], timestamps: list[int] | None) -> list[Cut]:
        """Take note of records; cuts where the generator emits at once."""
        return []

    def periodic(self) -> int | None:
        """The watermark now, None if there is none to say."""
        return None


@final
class _BoundedOutOfOrderness(_Generator):
    """The highest timestamp less the bound, less one: equal timestamps may follow. Bound 0: monotonous."""

    def __init__(self, bound_ms: int) -> None:
        self._behind = bound_ms + 1
        self._highest = MIN_TIMESTAMP

    def on_batch(self, values: Iterable[Any], timestamps: list[int] | None) -> list[Cut]:
        if timestamps and (highest := max(timestamps)) > self._highest:
            self._highest = highest
        return []

    def periodic(self) -> int | None:
        return None if self._highest == MIN_TIMESTAMP else max(MIN_TIMESTAMP, self._highest - self._behind)


@final
class _Custom(_Generator):
    """The user's own."""

    def __init__(self, generator: WatermarkGenerator) -> None:
        self._generator = generator

    def on_batch(self, values: Iterable[Any], timestamps: list[int] | None) -> list[Cut]:
        output = _Gathered()
        on_event, emitted = self._generator.on_event, output.emitted
        cuts: list[Cut] = []
        for position, value in enumerate(values, 1):
            on_event(value, MIN_TIMESTAMP if timestamps is None else timestamps[position - 1], output)
            if emitted:
                cuts.append((position, max(emitted)))
                emitted.clear()
        return cuts

    def periodic(self) -> int | None:
        output = _Gathered()
        self._generator.on_periodic_emit(output)
        self.idle = output.idle
        return max(output.emitted, default=None)


@final
class _Gathered(WatermarkOutput):
    """What a generator said: watermarks, and whether the stream is idle."""

    def __init__(self) -> None:
        self.emitted: list[int] = []
        self.idle: bool | None = None

    def emit_watermark(self, watermark: int) -> None:
        self.emitted.append(milliseconds(watermark, "a watermark"))

    def mark_idle(self) -> None:
        self.idle = True

    def mark_active(self) -> None:
        self.idle = False


@final
class Stamper:
    """Timestamps, watermark and idleness of one stream."""

    def __init__(self, strategy: WatermarkStrategy | None, now_ms: int) -> None:
        assigner = None if strategy is None else strategy.timestamp_assigner
        self._extract = None if assigner is None else assigner.extract_timestamp
        self._generator = _generator(strategy)
        self._idle_after_ms = None if strategy is None else strategy.idle_timeout_ms
        self._last_record_ms = now_ms
        self._seen = False
        self.watermark = MIN_TIMESTAMP
        self.idle = False
        self.records: Iterator[Any] = iter(())
        """How far the user's code has come in a batch, for whoever has to say at which record it failed."""

    def stamp(self, values: list[Any], timestamps: list[int] | None) -> tuple[list[int] | None, list[Cut]]:
        """The records' timestamps, and where watermarks go between them."""
        self._seen = True
        self.idle = False
        extract = self._extract
        if extract is not None:
            given: Sequence[int] = timestamps if timestamps is not None else [MIN_TIMESTAMP] * len(values)
            records = self.records = iter(values)
            timestamps = [extract(value, timestamp) for value, timestamp in zip(records, given, strict=True)]
            if not all_whole(timestamps):
                records = self.records = iter(values)
                timestamps = [milliseconds(at, "a timestamp") for _, at in zip(records, timestamps, strict=True)]
        self.records = iter(values)
        cuts = [cut for cut in self._generator.on_batch(self.records, timestamps) if self.raise_to(cut[1])]
        return timestamps, cuts

    def periodic(self, now_ms: int) -> None:
        """Ask the generator, and see whether the stream has fallen idle."""
        emitted = self._generator.periodic()
        if emitted is not None:
            self.raise_to(emitted)
        if self._generator.idle is not None:
            self.idle = self._generator.idle
        if self._seen:
            self._seen = False
            self._last_record_ms = now_ms
        elif self._idle_after_ms is not None and now_ms - self._last_record_ms >= self._idle_after_ms:
            self.idle = True

    def raise_to(self, watermark: int) -> bool:
        """Watermarks never go back: whether this one is new."""
        if watermark <= self.watermark:
            return False
        self.watermark = watermark
        return True


def _generator(strategy: WatermarkStrategy | None) -> _Generator:
    if strategy is None:
        return _Generator()
    if strategy.generator is not None:
        return _Custom(_made(strategy.generator))
    if strategy.out_of_orderness_ms is None:
        return _Generator()
    return _BoundedOutOfOrderness(strategy.out_of_orderness_ms)


def _made(maker: Callable[[], WatermarkGenerator]) -> WatermarkGenerator:
    generator = maker()
    if not callable(getattr(generator, "on_event", None)):
        raise TypeError(f"for_generator() was given what makes {generator!r}, which is no WatermarkGenerator")
    return generator
