"""What Prometheus is told of the operator."""

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from penstock_operator.telemetry.exporter import Exporter
from penstock_operator.telemetry.metrics import CONTENT_TYPE, Metrics


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """By name and label values in the order of label names."""
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_jobs_are_counted_by_state_and_go_when_they_are_gone() -> None:
    metrics = Metrics(now=Clock())
    metrics.job_seen("a", "one", "Stable")
    metrics.job_seen("a", "two", "Stable")
    metrics.job_seen("b", "one", "Failed")
    found = samples(metrics)
    assert found["penstock_operator_jobs", "Stable", "a"] == 2
    assert found["penstock_operator_jobs", "Failed", "b"] == 1
    metrics.job_gone("a", "one")
    metrics.job_gone("a", "two")
    assert not [key for key in samples(metrics) if key[0] != "x" and "a" in key[1:]]


def test_ages_grow_while_nothing_happens() -> None:
    clock = Clock()
    metrics = Metrics(now=clock)
    metrics.job_seen("a", "one", "Stable", checkpoint_at=990.0)
    clock.now += 50
    found = samples(metrics)
    assert found["penstock_operator_checkpoint_age_seconds", "one", "a"] == 60
    assert found["penstock_operator_job_state_seconds", "Stable", "one", "a"] == 50
    metrics.job_seen("a", "one", "Stable")
    assert samples(metrics)["penstock_operator_checkpoint_age_seconds", "one", "a"] == 60


def test_time_in_a_state_is_known_when_it_is_left() -> None:
    clock = Clock()
    metrics = Metrics(now=clock)
    metrics.job_seen("a", "one", "Upgrading")
    clock.now += 7
    metrics.job_seen("a", "one", "Stable")
    found = samples(metrics)
    assert found["penstock_operator_state_duration_seconds_sum", "Upgrading"] == 7
    assert found["penstock_operator_job_state_seconds", "Stable", "one", "a"] == 0


def test_a_clock_that_goes_back_gives_no_negative_time() -> None:
    clock = Clock()
    metrics = Metrics(now=clock)
    metrics.job_seen("a", "one", "Upgrading", checkpoint_at=2000.0)
    clock.now -= 500
    metrics.job_seen("a", "one", "Stable")
    assert min(samples(metrics).values()) >= 0


def test_what_happens_is_counted() -> None:
    metrics = Metrics(now=Clock())
    metrics.passed("steady", 0.01)
    metrics.waited(0.2)
    metrics.upgraded("savepoint", 2.5)
    metrics.restored(1.5)
    metrics.failed("a", "PreflightFailed")
    metrics.counter_of("jobmanager")("GET", "summary", "200")
    metrics.request("kubernetes", "PATCH", "flinkjobs", "409")
    metrics.leading(True)
    found = samples(metrics)
    assert found["penstock_operator_reconcile_duration_seconds_count", "steady"] == 1
    assert found["penstock_operator_reconcile_wait_seconds_sum",] == 0.2
    assert found["penstock_operator_upgrade_downtime_seconds_sum", "savepoint"] == 2.5
    assert found["penstock_operator_restore_duration_seconds_sum",] == 1.5
    assert found["penstock_operator_failures_total", "a", "PreflightFailed"] == 1
    assert found["penstock_operator_requests_total", "summary", "200", "jobmanager", "GET"] == 1
    assert found["penstock_operator_requests_total", "flinkjobs", "409", "kubernetes", "PATCH"] == 1
    assert found["penstock_operator_leader",] == 1


async def test_prometheus_scrapes_it() -> None:
    metrics = Metrics(now=Clock())
    metrics.job_seen("a", "one", "Stable")
    exporter = Exporter(metrics)
    await exporter.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{exporter.port}/metrics") as response:
                assert response.headers["Content-Type"] == CONTENT_TYPE
                assert await response.read() == metrics.text()
            async with session.get(f"http://127.0.0.1:{exporter.port}/other") as response:
                assert response.status == 404
    finally:
        await exporter.stop()
