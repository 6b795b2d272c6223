"""FH7 and FH8: what is restarted after a failure, and how often."""

import re
from collections.abc import Callable

import pytest

from penstock.testing.cluster import MATRIX, FaultCluster, Job, Setup

Clusters = Callable[[Job, Setup], FaultCluster]

HEAP = Setup("hashmap", "file")


@pytest.mark.soak
@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_fh7_only_the_failed_region_restarts(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job("pipelines"), setup)
    cluster.start()
    cluster.wait_completed(2)

    cluster.raise_once("one")
    view = cluster.wait_restarted()

    assert {attempt for task, attempt in view.attempts.items() if "one" in task} == {1}
    assert {attempt for task, attempt in view.attempts.items() if "two" in task} == {0}
    cluster.wait_completed()
    cluster.finish()


@pytest.mark.soak
@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_fh7_a_killed_worker_restarts_only_the_regions_that_had_tasks_in_it(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job("pipelines", parallelism=1), setup)
    cluster.start()
    cluster.wait_completed(2)

    cluster.kill_worker()
    view = cluster.wait_restarted()

    assert sorted(set(view.attempts.values())) == [0, 1]
    cluster.wait_completed()
    cluster.finish()


def delays_s(cluster: FaultCluster) -> list[float]:
    """What the JobManager has decided to wait each time; how long it takes to deploy besides is the machine's."""
    return [float(found) for found in re.findall(r"restart scheduled .*delay_s=([\d.]+)", cluster.log())]


def strategy(kind: str | None) -> Job:
    """A job with Flink's defaults of this strategy."""
    return Job(
        options={
            "restart-strategy.type": kind,
            "restart-strategy.fixed-delay.attempts": None,
            "restart-strategy.fixed-delay.delay": None,
        }
    )


def test_fh8_none_fails_the_job_with_its_first_failure(clusters: Clusters) -> None:
    cluster = clusters(strategy("none"), HEAP)
    cluster.start()
    cluster.wait_running()

    cluster.raise_once("numbers")

    assert cluster.wait_exit() != 0
    assert cluster.view().status == "FAILED" and cluster.view().restarts == 0


@pytest.mark.parametrize("kind", ["fixed-delay", "failure-rate"])
def test_fh8_fixed_delay_and_failure_rate_restart_once_after_a_second_by_default(clusters: Clusters, kind: str) -> None:
    cluster = clusters(strategy(kind), HEAP)
    cluster.start()
    cluster.wait_completed()

    cluster.raise_once("numbers")
    view = cluster.wait_restarted()
    assert delays_s(cluster) == [1.0]
    assert view.running_since_ms - view.failed_at_ms[0] >= 1000
    cluster.raise_once("numbers")

    assert cluster.wait_exit() != 0
    assert cluster.view().status == "FAILED" and cluster.view().restarts == 1


@pytest.mark.parametrize("kind", ["exponential-delay", None])
def test_fh8_exponential_delay_is_the_default_and_waits_longer_each_time(clusters: Clusters, kind: str | None) -> None:
    cluster = clusters(strategy(kind), HEAP)
    cluster.start()
    cluster.wait_completed()

    for restart, (least_s, most_s) in enumerate([(0.9, 1.1), (1.35, 1.65)]):
        cluster.raise_once("numbers")
        view = cluster.wait_restarted(restart + 1)
        delay_s = delays_s(cluster)[restart]
        assert least_s <= delay_s <= most_s
        assert view.running_since_ms - view.failed_at_ms[restart] >= int(delay_s * 1000)

    cluster.finish()


def test_fh8_without_checkpoints_no_restart_is_the_default(clusters: Clusters) -> None:
    job = strategy(None)
    cluster = clusters(Job(options={**job.options, "execution.checkpointing.interval": None}), HEAP)
    cluster.start()
    cluster.wait_running()

    cluster.raise_once("numbers")

    assert cluster.wait_exit() != 0
    assert cluster.view().restarts == 0
