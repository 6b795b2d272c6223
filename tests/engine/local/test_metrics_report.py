"""What users count in their functions reaches the JobManager while the job runs."""

import time

from penstock.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.testing.rest_jobs import running_with_rest


class Counted(MapFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        group = runtime_context.get_metrics_group().add_group("mine")
        self.seen, self.rate, self.sizes = group.counter("seen"), group.meter("rate"), group.distribution("sizes")
        self.last = -1
        group.gauge("last", lambda: self.last)

    def map(self, value: int) -> int:
        time.sleep(0.001)
        self.last = value
        self.seen.inc()
        self.rate.mark_event()
        self.sizes.update(value)
        return value


def test_counters_gauges_meters_and_distributions_reach_the_jobmanager() -> None:
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    env.from_sequence(1, 1_000_000).map(Counted()).name("counted")
    with running_with_rest(env) as seen:
        master, deadline = seen.job.cluster.master, time.monotonic() + 20
        assert master is not None
        reported: dict[str, float] = {}
        while not reported.get("mine.seen.value"):
            assert time.monotonic() < deadline, reported
            time.sleep(0.05)
            reported = {
                f"{metric.name}.{part}": value
                for task in master.metrics.values()
                for operator in task.operators
                for metric in operator.user
                for part, value in metric.values.items()
            }
    assert reported["mine.last.value"] > 0
    assert {name.split(".")[1] for name in reported} == {"seen", "rate", "sizes", "last"}
