"""Random faults over a running job, from a seed: what is killed, and when.

Whatever can be restarted by whoever runs a cluster is restarted: TaskManagers, JobManager, the S3 server. What was done
is remembered, to be told when the output is not exact.
"""

import time
from collections.abc import Callable
from random import Random
from typing import Final, final

from penstock.testing.processes import kill_and_wait
from penstock.testing.services import Minio
from penstock.testing.spread import SpreadCluster

_PAUSE_S: Final = (0.2, 2.0)
_AWAY_S: Final = (0.0, 1.0)
_TICK_S: Final = 0.02


@final
class Chaos:
    """Does harm to one cluster until the time is over."""

    def __init__(self, cluster: SpreadCluster, minio: Minio | None, seed: int) -> None:
        self._cluster = cluster
        self._minio = minio
        self._rng = Random(seed)
        self.deeds: list[str] = []
        faults: list[tuple[Callable[[], None], int]] = [
            (self._kill_worker, 4),
            (self._kill_taskmanager, 2),
            (self._kill_jobmanager, 2),
            (self._kill_both, 1),
        ]
        if minio is not None:
            faults.append((self._kill_minio, 2))
        self._faults = [fault for fault, weight in faults for _ in range(weight)]

    def run(self, seconds: float) -> None:
        """Kill at random, now and then in quick succession; after it all that is needed runs."""
        begun = time.monotonic()
        while (left := begun + seconds - time.monotonic()) > 0:
            # Half of the time the job gets as far as a checkpoint, otherwise it is hit whatever it is doing.
            if self._rng.random() < 0.5:
                self._until_progress(min(left, 10.0))
            self._pause(min(left, self._rng.uniform(*_PAUSE_S)))
            self._rng.choice(self._faults)()
            self._mend()
        self._mend()

    def end(self, timeout_s: float) -> int:
        """Let the job end, restarting what dies of what was done to it; the last exit code."""
        until = time.monotonic() + timeout_s
        self._cluster.hurry()  # Nothing more is done to it.
        self._cluster.let_end()
        while (code := self._cluster.host.poll()) is None or code != 0:
            assert time.monotonic() < until, f"the job has not ended: {self._cluster.view()}"
            self._mend()
            time.sleep(_TICK_S)
        return code

    def _until_progress(self, timeout_s: float) -> None:
        before = max(self._cluster.view().completed, default=0)
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and max(self._cluster.view().completed, default=0) <= before:
            self._mend()
            time.sleep(_TICK_S)

    def _pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def _mend(self) -> None:
        """Start again what has ended, as those do who run clusters."""
        cluster = self._cluster
        if cluster.host.poll() not in (None, 0):
            self._say(f"JobManager had ended with {cluster.host.returncode}: started again")
            cluster.start()
        for process in [p for p in cluster.taskmanagers if p.poll() is not None]:
            if cluster.host.poll() != 0:
                self._say(f"TaskManager had ended with {process.returncode}: started again")
                cluster.taskmanagers.remove(process)
                cluster.start_taskmanager()

    def _kill_worker(self) -> None:
        workers = self._cluster.workers()
        if workers:
            pid = self._rng.choice(workers)
            self._say(f"worker {pid} killed")
            kill_and_wait(pid)

    def _kill_taskmanager(self) -> None:
        index = self._rng.randrange(len(self._cluster.taskmanagers))
        self._say(f"TaskManager {self._cluster.taskmanagers[index].pid} killed")
        self._cluster.kill_taskmanager(index)
        self._cluster.start_taskmanager()

    def _kill_jobmanager(self) -> None:
        self._say(f"JobManager {self._cluster.host.pid} killed")
        self._cluster.kill_host()
        self._pause(self._rng.uniform(*_AWAY_S))
        self._cluster.start()

    def _kill_both(self) -> None:
        self._kill_taskmanager()
        self._kill_jobmanager()

    def _kill_minio(self) -> None:
        assert self._minio is not None
        self._say("MinIO killed")
        self._minio.kill()
        self._pause(self._rng.uniform(*_AWAY_S))
        self._minio.start()

    def _say(self, deed: str) -> None:
        self.deeds.append(f"{time.strftime('%H:%M:%S')} {deed}")
