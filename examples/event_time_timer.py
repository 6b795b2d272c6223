"""Finds sessions that went quiet: an event-time timer per user, moved by each click.

Clicks come out of order by up to two seconds; the watermark waits for them. A user who has not clicked for five seconds
of event time has left.

    python examples/event_time_timer.py
"""

from collections.abc import Iterator
from typing import Any

from penstock.common import Duration, Types, WatermarkStrategy
from penstock.common.watermark_strategy import TimestampAssigner
from penstock.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.datastream.state import ValueStateDescriptor

QUIET_MS = 5_000
CLICKS = [
    ("ada", 1_000), ("ben", 2_000), ("ada", 4_000), ("ben", 3_000), ("ada", 6_000), ("cleo", 9_000), ("ada", 15_000),
]  # fmt: skip


class ClickTime(TimestampAssigner):
    def extract_timestamp(self, value: tuple[str, int], record_timestamp: int) -> int:
        return value[1]


class Departures(KeyedProcessFunction):
    """Remembers when each user was last seen; one timer per user is in force at any time."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.last_seen = runtime_context.get_state(ValueStateDescriptor("last seen", Types.LONG()))

    def process_element(self, value: tuple[str, int], ctx: KeyedProcessFunction.Context) -> None:
        last_seen = self.last_seen.value()
        if last_seen is not None and ctx.timestamp() <= last_seen:
            return
        if last_seen is not None:
            ctx.timer_service().delete_event_time_timer(last_seen + QUIET_MS)
        self.last_seen.update(ctx.timestamp())
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + QUIET_MS)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        yield f"{ctx.get_current_key()} left at {self.last_seen.value()}"
        self.last_seen.clear()


def main() -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    clicks = env.from_collection(CLICKS, Types.TUPLE([Types.STRING(), Types.LONG()]))
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(2))
    clicks.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(ClickTime())).key_by(
        lambda click: click[0], Types.STRING()
    ).process(Departures(), Types.STRING()).print()
    env.execute("event-time timer")


if __name__ == "__main__":
    main()
