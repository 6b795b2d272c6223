"""What the workers of one TaskManager have reported last, for whoever scrapes it.

Reports are kept as the bytes in which they pass on to the JobManager, and decoded only when somebody asks.
"""

from collections.abc import Iterator
from typing import final

import msgspec

from penstock.base.ids import AttemptId, WorkerId
from penstock.rpc.figures import ProcessMetrics, TaskMetrics
from penstock.rpc.messages import MetricsReport, TaskDescribed, decode_worker

_DESCRIBED_MAX = 4_096
"""Tasks of one worker that are remembered by name."""


@final
class MeasuredTask(msgspec.Struct, frozen=True):
    """A task with its names."""

    described: TaskDescribed
    metrics: TaskMetrics


@final
class Measured:
    """Fed by the supervisor, on its loop."""

    def __init__(self) -> None:
        self._reports: dict[WorkerId, bytes] = {}
        self._described: dict[WorkerId, dict[AttemptId, TaskDescribed]] = {}

    def described(self, task: TaskDescribed) -> None:
        """A worker has a new task."""
        known = self._described.setdefault(task.worker, {})
        known[task.attempt] = task
        while len(known) > _DESCRIBED_MAX:
            del known[next(iter(known))]

    def report(self, worker: WorkerId, body: bytes) -> None:
        """A worker has measured."""
        self._reports[worker] = body

    def forget(self, worker: WorkerId) -> None:
        """The worker is gone."""
        self._reports.pop(worker, None)
        self._described.pop(worker, None)

    def newest(self) -> "Newest":
        """What there is now; takes no time."""
        return Newest(tuple(self._reports.items()), {worker: dict(known) for worker, known in self._described.items()})


@final
class Newest(msgspec.Struct, frozen=True):
    """A moment's reports; may be read in another thread."""

    reports: tuple[tuple[WorkerId, bytes], ...]
    known: dict[WorkerId, dict[AttemptId, TaskDescribed]]

    def read(self) -> Iterator[tuple[ProcessMetrics | None, tuple[MeasuredTask, ...]]]:
        """Of each worker: its process, and its tasks."""
        for worker, body in self.reports:
            report = decode_worker(body)
            assert isinstance(report, MetricsReport), "workers measure nothing else"
            known = self.known.get(worker, {})
            tasks = (MeasuredTask(known[task.attempt], task) for task in report.tasks if task.attempt in known)
            yield report.process, tuple(tasks)
