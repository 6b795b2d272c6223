"""Metrics: cheap to update, bounded in number, and never the reason a job fails."""

import pytest

from penstock.base.errors import JobDefinitionError
from penstock.common.metrics import MetricTree


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
    assert readings["mine.shard.7.spread"].values == {"count": 2, "sum": 2, "min": -2, "max": 4}
    assert readings["mine.shard.7.seen"].variables == {"shard": "7"}


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
