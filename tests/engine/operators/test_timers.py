"""Timers against a model: any order of registering, deleting, advancing and restoring."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.operators.operator import Operator, OperatorContext, Output, StateContext, Steps
from penstock.operators.timers import Timers
from penstock.records.batch import Batch
from penstock.testing.operators import OperatorHarness, run

TIMES = st.integers(0, 12)
KEYS = st.sampled_from(["a", "b", "c"])
WINDOWS = st.sampled_from([(0, 5), (5, 10)])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("register"), TIMES, KEYS, WINDOWS),
        st.tuples(st.just("delete"), TIMES, KEYS, WINDOWS),
        st.tuples(st.just("advance"), TIMES),
        st.tuples(st.just("restore")),
    ),
    max_size=30,
)


class Windowed(Operator):
    """Timers per key and window, as a window operator has them."""

    def __init__(self) -> None:
        self.fired: list[tuple[int, Any, Any]] = []

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, output)

    def initialize_state(self, state: StateContext) -> None:
        assert state.keyed is not None
        self.keyed = state.keyed
        self.timers = Timers(
            self.context,
            state.keyed,
            on_event_time=self._fire,
            on_processing_time=self._fire,
            flush=lambda: None,
            namespaced=True,
        )

    def open(self) -> None:
        self.timers.start()

    def process(self, batch: Batch, port: int) -> None:
        raise AssertionError

    def watermark(self, timestamp_ms: int) -> Steps | None:
        return self.timers.advance(timestamp_ms)

    def at(self, key: Any) -> Timers:
        self.keyed.prepare([key])
        self.keyed.current.key = key
        return self.timers

    def _fire(self, timestamp: int, window: Any) -> None:
        self.fired.append((timestamp, self.keyed.current.key, window))


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.booleans())
def test_what_fires_is_what_was_registered_and_not_deleted_each_once(actions: list[Any], by_clock: bool) -> None:
    operator = Windowed()
    harness = OperatorHarness(operator, keyed=True)
    waiting: set[tuple[int, Any, Any]] = set()
    now = checkpoint = 0
    for action, *arguments in actions:
        if action == "restore":
            checkpoint += 1
            snapshot = harness.snapshot(checkpoint)
            harness.close()
            operator = Windowed()
            harness = OperatorHarness(operator, keyed=True, restore=snapshot, now_ms=now)
        elif action == "advance":
            now = max(now, arguments[0])
            if by_clock:
                harness.advance_time(now)
            else:
                run(operator.watermark(now))
            due = sorted(timer for timer in waiting if timer[0] <= now)
            waiting.difference_update(due)
            assert sorted(operator.fired) == due
            assert [time for time, _, _ in operator.fired] == [time for time, _, _ in due]
            operator.fired.clear()
        else:
            time, key, window = arguments
            timers = operator.at(key)
            kind = "processing_time" if by_clock else "event_time"
            getattr(timers, f"{action}_{kind}")(time, window)
            (waiting.add if action == "register" else waiting.discard)((time, key, window))
    harness.close()


def test_a_timer_moved_again_and_again_leaves_no_trail() -> None:
    operator = Windowed()
    with OperatorHarness(operator, keyed=True):
        timers = operator.at("a")
        for time in range(20_000):
            timers.register_event_time(time, "window")
            timers.delete_event_time(time - 1, "window")
        assert len(timers._event._heap) < 2_000
        run(operator.watermark(30_000))
        assert operator.fired == [(19_999, "a", "window")]
