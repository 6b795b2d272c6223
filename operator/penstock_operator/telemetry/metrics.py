"""What Prometheus is told of the operator and its jobs: one object that cycle, handlers and clients speak to.

Nothing here awaits or fails: whoever says something goes on. Ages are worked out when somebody scrapes, so they grow
while nothing happens. Labels are bounded: per job there are a few series, which go when the job does.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Target = Literal["kubernetes", "jobmanager", "store"]
_PASS_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG_BUCKETS: Final = (0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1_800)
_STATE_BUCKETS: Final = (1, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400, 604_800)


@final
@dataclass(slots=True)
class _Job:
    """One job as it was seen last."""

    state: str
    since: float
    """When it was first seen so."""
    checkpoint_at: float | None = None


@final
class Metrics:
    """Of one operator process."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        """`now`: seconds since 1970."""
        self._now = now
        self._jobs: dict[tuple[str, str], _Job] = {}
        self._lock = threading.Lock()
        registry = self._registry = CollectorRegistry()
        self._state_time = Histogram(
            "penstock_operator_state_duration_seconds",
            "How long FlinkJobs were in a lifecycle state, when they left it.",
            ["lifecycle_state"],
            buckets=_STATE_BUCKETS,
            registry=registry,
        )
        self._pass_time = Histogram(
            "penstock_operator_reconcile_duration_seconds",
            "How long one pass over one FlinkJob takes.",
            ["outcome"],
            buckets=_PASS_BUCKETS,
            registry=registry,
        )
        self._wait_time = Histogram(
            "penstock_operator_reconcile_wait_seconds",
            "From when something changed, or was due, to the beginning of the pass.",
            buckets=_PASS_BUCKETS,
            registry=registry,
        )
        self._downtime = Histogram(
            "penstock_operator_upgrade_downtime_seconds",
            "From when the old version was told to stop to when the new one runs.",
            ["upgrade_mode"],
            buckets=_LONG_BUCKETS,
            registry=registry,
        )
        self._restore_time = Histogram(
            "penstock_operator_restore_duration_seconds",
            "From when a job was told to start with state, or lost a process, to when it runs.",
            buckets=_LONG_BUCKETS,
            registry=registry,
        )
        self._failures = Counter(
            "penstock_operator_failures",
            "What went wrong with FlinkJobs, by the reason of the event.",
            ["namespace", "reason"],
            registry=registry,
        )
        self._requests = Counter(
            "penstock_operator_requests",
            "Requests that the operator has sent.",
            ["target", "verb", "resource", "status"],
            registry=registry,
        )
        self._leading = Gauge("penstock_operator_leader", "1 while this replica leads.", registry=registry)
        registry.register(_Jobs(self))

    # What happens.

    def job_seen(self, namespace: str, name: str, lifecycle_state: str, *, checkpoint_at: float | None = None) -> None:
        """After every pass. `checkpoint_at`: when the newest completed checkpoint was taken."""
        with self._lock:
            now, key = self._now(), (namespace, name)
            known = self._jobs.get(key)
            if known is None:
                self._jobs[key] = _Job(lifecycle_state, now, checkpoint_at)
                return
            known.checkpoint_at = checkpoint_at if checkpoint_at is not None else known.checkpoint_at
            if known.state != lifecycle_state:
                self._state_time.labels(known.state).observe(max(0.0, now - known.since))
                known.state, known.since = lifecycle_state, now

    def job_gone(self, namespace: str, name: str) -> None:
        """The FlinkJob exists no more."""
        with self._lock:
            self._jobs.pop((namespace, name), None)

    def passed(self, outcome: Literal["steady", "changed", "conflict", "failed", "gone"], duration_s: float) -> None:
        """A pass has ended."""
        self._pass_time.labels(outcome).observe(duration_s)

    def waited(self, duration_s: float) -> None:
        """A pass has begun, so long after there was a reason for it."""
        self._wait_time.observe(max(0.0, duration_s))

    def upgraded(self, upgrade_mode: str, downtime_s: float) -> None:
        """A job runs in its new version."""
        self._downtime.labels(upgrade_mode).observe(max(0.0, downtime_s))

    def restored(self, duration_s: float) -> None:
        """A job runs again."""
        self._restore_time.observe(max(0.0, duration_s))

    def failed(self, namespace: str, reason: str) -> None:
        """A warning was told: `reason` is the event's one word."""
        self._failures.labels(namespace, reason).inc()

    def request(self, target: Target, verb: str, resource: str, status: str) -> None:
        """A request was answered, or not (status `none`)."""
        self._requests.labels(target, verb, resource, status).inc()

    def counter_of(self, target: Target) -> Callable[[str, str, str], None]:
        """`request` as clients call it."""
        return lambda verb, resource, status: self.request(target, verb, resource, status)

    def leading(self, leads: bool) -> None:
        """Whether this replica leads."""
        self._leading.set(leads)

    # What is told.

    def text(self) -> bytes:
        """For Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Series of jobs, as they are now."""
        with self._lock:
            now, jobs = self._now(), {key: _Job(j.state, j.since, j.checkpoint_at) for key, j in self._jobs.items()}
        counts: dict[tuple[str, str], int] = {}
        in_state = GaugeMetricFamily(
            "penstock_operator_job_state_seconds",
            "How long each FlinkJob has been in its lifecycle state, as far as this process has seen.",
            labels=["namespace", "name", "lifecycle_state"],
        )
        age = GaugeMetricFamily(
            "penstock_operator_checkpoint_age_seconds",
            "Age of each FlinkJob's newest completed checkpoint.",
            labels=["namespace", "name"],
        )
        for (namespace, name), job in sorted(jobs.items()):
            counts[namespace, job.state] = counts.get((namespace, job.state), 0) + 1
            in_state.add_metric([namespace, name, job.state], max(0.0, now - job.since))
            if job.checkpoint_at is not None:
                age.add_metric([namespace, name], max(0.0, now - job.checkpoint_at))
        by_state = GaugeMetricFamily(
            "penstock_operator_jobs", "FlinkJobs by lifecycle state.", labels=["namespace", "lifecycle_state"]
        )
        for (namespace, state), number in sorted(counts.items()):
            by_state.add_metric([namespace, state], number)
        yield from (by_state, in_state, age)


@final
class _Jobs(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()
