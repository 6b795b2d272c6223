"""Metrics: cheap to update, bounded in number, and never the reason a job fails."""

import pytest

from penstock.base.errors import JobDefinitionError
from penstock.common.metrics import NEWEST_VALUES, MetricTree


class StoppedClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return int(self.now_s * 1_000)


def test_metrics_are_read_with_their_scope_and_variables() -> None:
    tree = MetricTree(StoppedClock())
    group = tree.root.add_group("mine").add_group("shard", "7")
    group.counter("seen").inc(3)
    group.counter("seen").dec()
    group.gauge("size", lambda: 5)
    spread = group.distribution("spread")
    spread.update(-2)
    spread.update(4)
    readings = {reading.name: reading for reading in tree.readings()}
    assert readings["mine.shard.7.seen"].values == {"value": 2}
    assert readings["mine.shard.7.size"].values == {"value": 5}
    assert readings["mine.shard.7.spread"].values.items() >= {"count": 2, "sum": 2, "min": -2, "max": 4}.items()
    assert readings["mine.shard.7.seen"].variables == {"shard": "7"}
    assert readings["mine.shard.7.seen"].logical == "mine.shard.seen"


def test_quantiles_are_of_the_newest_values_while_count_and_extremes_are_of_all() -> None:
    tree = MetricTree(StoppedClock())
    spread = tree.root.distribution("spread")
    for value in range(10 * NEWEST_VALUES):
        spread.update(value)
    (reading,) = tree.readings()
    last = 10 * NEWEST_VALUES - 1
    assert reading.values["min"] == 0 and reading.values["max"] == last
    assert reading.values["count"] == last + 1
    assert reading.values["p50"] == pytest.approx(last - NEWEST_VALUES / 2, abs=2)
    assert reading.values["p999"] <= last


@pytest.mark.parametrize("given", ["many", None, b"7", [1], 10**400, complex(1, 1)])
def test_a_gauge_that_gives_no_number_is_left_out(given: object) -> None:
    tree = MetricTree(StoppedClock())
    tree.root.gauge("odd", lambda: given)  # type: ignore[arg-type,return-value]
    tree.root.gauge("even", lambda: 2)
    assert [reading.name for reading in tree.readings()] == ["even"]


def test_metrics_that_are_not_wanted_work_and_are_not_read() -> None:
    tree = MetricTree(StoppedClock(), shown=False)
    counter = tree.root.counter("seen")
    counter.inc(2)
    assert counter.get_count() == 2 and list(tree.readings()) == []


def test_numbers_too_large_for_a_message_become_floats() -> None:
    tree = MetricTree(StoppedClock())
    tree.root.gauge("huge", lambda: 10**30)
    tree.root.gauge("true", lambda: True)
    assert [reading.values["value"] for reading in tree.readings()] == [1e30, 1.0]


def test_a_meter_gives_the_rate_over_its_span() -> None:
    clock = StoppedClock()
    tree = MetricTree(clock)
    meter = tree.root.meter("events", 10)
    for _ in range(30):
        clock.now_s += 1
        meter.mark_event(5)
        (reading,) = tree.readings()
    assert reading.values == {"count": 150, "rate": pytest.approx(5)}
    clock.now_s += 10
    list(tree.readings())
    clock.now_s += 10
    (reading,) = tree.readings()
    assert reading.values["rate"] == 0


def test_metrics_beyond_the_bound_work_but_are_not_read() -> None:
    tree = MetricTree(StoppedClock(), metrics_max=2)
    for number in range(5):
        tree.root.counter(f"user-{number}").inc()
    assert [reading.name for reading in tree.readings()] == ["user-0", "user-1", "numMetricsDropped"]
    assert tree.dropped == 3


def test_a_gauge_that_raises_is_left_out() -> None:
    tree = MetricTree(StoppedClock())
    tree.root.gauge("bad", lambda: 1 // 0)
    tree.root.counter("good").inc()
    assert [reading.name for reading in tree.readings()] == ["good"]


def test_one_name_has_one_kind() -> None:
    root = MetricTree(StoppedClock()).root
    root.counter("x")
    with pytest.raises(JobDefinitionError, match="metric x is a counter already"):
        root.meter("x")
