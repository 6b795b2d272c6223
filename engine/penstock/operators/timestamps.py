"""assign_timestamps_and_watermarks on any stream.

A second strategy replaces the watermarks and the idleness that come from upstream; only the end of event time passes.
"""

from typing import final

from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.operators.failures import Failure, GuardedOutput, blame, blame_record
from penstock.operators.operator import Cancellable, Operator, OperatorContext, Output, Steps
from penstock.operators.watermarks import Stamper, watermark_interval_ms
from penstock.records.batch import MAX_WATERMARK, Batch


@final
class TimestampsAndWatermarks(Operator):
    """Gives records their timestamps and the stream its watermarks."""

    def __init__(self, strategy: WatermarkStrategy) -> None:
        self._strategy = strategy
        self._idle = False
        self._ended = False
        self._alarm: Cancellable | None = None

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, GuardedOutput(output))
        self._interval_ms = watermark_interval_ms(context.configuration)
        try:
            self._stamper = Stamper(self._strategy, context.clock.now_ms())
        except Failure as error:
            blame(self, error, "making its watermark generator")

    def open(self) -> None:
        if self._interval_ms > 0:
            self._tick_later()

    def process(self, batch: Batch, port: int) -> None:
        try:
            timestamps, cuts = self._stamper.stamp(batch.values, batch.timestamps)
        except Failure as error:
            blame_record(self, error, batch, self._stamper.records)
        self._tell_status()
        stamped = Batch(batch.values, timestamps, batch.keys)
        start = 0
        for position, watermark in cuts:
            self.output.batch(stamped.slice(start, position))
            self.output.watermark(watermark)
            start = position
        if start == 0:
            self.output.batch(stamped)
        elif start < len(stamped):
            self.output.batch(stamped.slice(start, len(stamped)))

    def watermark(self, timestamp_ms: int) -> Steps | None:
        if timestamp_ms == MAX_WATERMARK:
            self._ended = True
            self._cancel_alarm()
            self._stamper.idle = False
            self._tell_status()
            self.output.watermark(timestamp_ms)
        return None

    def status(self, idle: bool) -> None:
        return None

    def finish(self) -> Steps | None:
        if not self._ended:
            self._emit_periodic()
        self._ended = True
        self._cancel_alarm()
        return None

    def close(self) -> None:
        self._cancel_alarm()

    def _tick_later(self) -> None:
        at = self.context.clock.now_ms() + self._interval_ms
        self._alarm = self.context.processing_time.at(at, self._tick)

    def _tick(self, timestamp_ms: int) -> None:
        if not self._ended:
            self._emit_periodic()
            self._tick_later()

    def _emit_periodic(self) -> None:
        before = self._stamper.watermark
        try:
            self._stamper.periodic(self.context.clock.now_ms())
        except Failure as error:
            blame(self, error, "generating a watermark")
        self._tell_status()
        if self._stamper.watermark > before:
            self.output.watermark(self._stamper.watermark)

    def _tell_status(self) -> None:
        if self._stamper.idle != self._idle:
            self._idle = self._stamper.idle
            self.output.status(self._idle)

    def _cancel_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
