"""Timestamps, watermarks and idleness by strategy."""

from typing import Any

import pytest

from penstock.base.errors import UserFunctionError
from penstock.common.time import Duration
from penstock.common.watermark_strategy import (
    TimestampAssigner,
    WatermarkGenerator,
    WatermarkOutput,
    WatermarkStrategy,
)
from penstock.operators.timestamps import TimestampsAndWatermarks
from penstock.records.batch import MAX_WATERMARK
from penstock.testing.operators import OperatorHarness

MONOTONOUS = WatermarkStrategy.for_monotonous_timestamps()


class Second(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[1])


class AtMarks(WatermarkGenerator):
    """Punctuated: a watermark behind each record that is a mark."""

    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        if event[0] == "mark":
            output.emit_watermark(event_timestamp)

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        return None


def harness(strategy: WatermarkStrategy, **how: Any) -> OperatorHarness:
    return OperatorHarness(TimestampsAndWatermarks(strategy), **how)


def test_monotonous_watermarks_are_one_less_than_the_highest_timestamp() -> None:
    with harness(MONOTONOUS) as given:
        given.process(["a", "b"], [20, 10])
        assert given.output.watermarks == []
        given.advance_time(200)
        assert given.output.watermarks == [19]


def test_bounded_watermarks_are_behind_by_the_bound_and_one() -> None:
    with harness(WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(5))) as given:
        given.process(["a"], [20])
        given.advance_time(200)
        assert given.output.watermarks == [14]


def test_watermarks_come_at_the_configured_interval_and_only_when_they_rise() -> None:
    with harness(MONOTONOUS, configuration={"pipeline.auto-watermark-interval": "50 ms"}) as given:
        given.process(["a"], [20])
        given.advance_time(49)
        assert given.output.watermarks == []
        given.advance_time(120)
        given.process(["b"], [15])
        given.advance_time(1_000)
        assert given.output.watermarks == [19]


def test_an_assigner_replaces_timestamps_and_without_one_they_stay() -> None:
    with harness(MONOTONOUS.with_timestamp_assigner(Second())) as given:
        given.process([("a", 7)], [1])
        assert given.output.timestamps == [7]
    with harness(MONOTONOUS) as given:
        given.process([("a", 7)], [1])
        assert given.output.timestamps == [1]


def test_a_watermark_emitted_at_a_record_goes_right_behind_it() -> None:
    strategy = WatermarkStrategy.for_generator(AtMarks).with_timestamp_assigner(Second())
    with harness(strategy) as given:
        given.process([("a", 1), ("mark", 2), ("b", 3), ("mark", 4)])
        assert given.output.events == [
            ("records", [("a", 1), ("mark", 2)]),
            ("watermark", 2),
            ("records", [("b", 3), ("mark", 4)]),
            ("watermark", 4),
        ]


def test_watermarks_never_go_back() -> None:
    strategy = WatermarkStrategy.for_generator(AtMarks).with_timestamp_assigner(Second())
    with harness(strategy) as given:
        given.process([("mark", 9), ("mark", 5)])
        assert given.output.watermarks == [9]


def test_upstream_watermarks_and_idleness_are_replaced_but_the_end_passes() -> None:
    with harness(MONOTONOUS) as given:
        given.watermark(100)
        given.operator.status(True)
        assert given.output.events == []
        given.watermark(MAX_WATERMARK)
        assert given.output.events == [("watermark", MAX_WATERMARK)]


def test_a_stream_without_records_falls_idle_and_a_record_wakes_it() -> None:
    with harness(MONOTONOUS.with_idleness(Duration.of_seconds(1))) as given:
        given.process(["a"], [1])
        given.advance_time(1_000)
        assert given.output.statuses == []
        given.advance_time(1_400)
        assert given.output.statuses == [True]
        given.process(["b"], [2])
        assert given.output.events[-2:] == [("idle", False), ("records", ["b"])]


def test_no_watermarks_makes_none() -> None:
    with harness(WatermarkStrategy.no_watermarks()) as given:
        given.process(["a"], [1])
        given.advance_time(1_000)
        assert given.output.watermarks == []


class As(TimestampAssigner):
    """The record itself is the timestamp, whatever it is."""

    def extract_timestamp(self, value: Any, record_timestamp: int) -> Any:
        return 1 // 0 if value == "fail" else value


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("fail", "record 'fail': ZeroDivisionError"),
        ("x", "record 'x': TypeError: a timestamp is a whole number of milliseconds .*; found 'x'"),
        (None, "record None: TypeError: a timestamp is a whole number"),
        (2**63, "record 9223372036854775808: TypeError: a timestamp is .* in 64 bits"),
    ],
)
def test_what_gives_no_timestamp_fails_with_its_record(record: Any, said: str) -> None:
    failed = pytest.raises(UserFunctionError, match=rf"\(subtask 1 of 1\) failed in {said}")
    with harness(MONOTONOUS.with_timestamp_assigner(As())) as given, failed:
        given.process([1, record, 3])


def test_a_timestamp_loses_its_fraction_as_a_long_does() -> None:
    with harness(MONOTONOUS.with_timestamp_assigner(As())) as given:
        given.process([5.7, -5.7, True])
        assert [(at, type(at)) for at in given.output.timestamps] == [(5, int), (-5, int), (1, int)]


class Nonsense(AtMarks):
    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        output.emit_watermark(event)


def test_a_generator_that_fails_is_told_with_the_record_it_was_given() -> None:
    failed = pytest.raises(UserFunctionError, match="failed in record 'b': TypeError: a watermark is a whole number")
    with harness(WatermarkStrategy.for_generator(Nonsense)) as given, failed:
        given.process([1, "b"])


def test_what_makes_no_generator_is_told_before_the_first_record() -> None:
    with (
        pytest.raises(UserFunctionError, match="failed in making its watermark generator: TypeError: .* makes None"),
        harness(WatermarkStrategy.for_generator(lambda: None)),  # type: ignore[arg-type,return-value]
    ):
        pass


def test_an_idle_stream_is_active_again_when_event_time_ends() -> None:
    with harness(MONOTONOUS.with_idleness(Duration.of_seconds(1))) as given:
        given.advance_time(2_000)
        given.watermark(MAX_WATERMARK)
        assert given.output.events == [("idle", True), ("idle", False), ("watermark", MAX_WATERMARK)]


def test_nothing_is_emitted_by_the_clock_once_the_input_has_ended() -> None:
    with harness(MONOTONOUS) as given:
        given.process(["a"], [5])
        given.finish()
        assert given.output.watermarks == [4]
        assert given.processing_time.pending == 0
