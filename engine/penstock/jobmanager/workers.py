"""The TaskManagers that have registered and their workers. Values and look-ups; the server feeds it."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, final

import msgspec

from penstock.base.ids import TaskManagerId, WorkerId
from penstock.rpc.connection import RpcConnection
from penstock.rpc.figures import ProcessMetrics
from penstock.rpc.messages import (
    RegisterTaskManager,
    TaskManagerMessage,
    ToWorker,
    WorkerMessage,
    WorkerReady,
    encode_worker,
)

_FATES_MAX: Final = 1_000


@final
class TaskManager(msgspec.Struct):
    """One registered TaskManager."""

    id: TaskManagerId
    registration: RegisterTaskManager
    connection: RpcConnection[TaskManagerMessage]
    registered_ms: int
    workers: dict[WorkerId, WorkerReady] = msgspec.field(default_factory=dict)
    process: ProcessMetrics | None = None
    """What its own process takes, as far as it has said."""
    worker_processes: dict[WorkerId, ProcessMetrics] = msgspec.field(default_factory=dict)
    """And what its workers' do."""


@final
class Workers:
    """All workers that may be given tasks, oldest first."""

    def __init__(self) -> None:
        self.taskmanagers: dict[TaskManagerId, TaskManager] = {}
        self._ready: dict[WorkerId, WorkerReady] = {}
        self._home: dict[WorkerId, TaskManager] = {}
        self._fates: OrderedDict[WorkerId, str] = OrderedDict()

    @property
    def alive(self) -> tuple[WorkerId, ...]:
        return tuple(self._ready)

    @property
    def slots(self) -> int:
        """Slots of all registered TaskManagers, whether their workers are up or not."""
        return sum(manager.registration.slots for manager in self.taskmanagers.values())

    def add(self, manager: TaskManager) -> None:
        self.taskmanagers[manager.id] = manager

    def ready(self, manager: TaskManager, worker: WorkerReady) -> None:
        manager.workers[worker.worker] = worker
        self._ready[worker.worker] = worker
        self._home[worker.worker] = manager

    @property
    def fates(self) -> Mapping[WorkerId, str]:
        """What became of those that were lost lately."""
        return self._fates

    def lost(self, worker: WorkerId, fate: str) -> None:
        self._fates[worker] = fate
        while len(self._fates) > _FATES_MAX:
            self._fates.popitem(last=False)
        self._ready.pop(worker, None)
        manager = self._home.pop(worker, None)
        if manager is not None:
            manager.workers.pop(worker, None)
            manager.worker_processes.pop(worker, None)

    def measured(self, worker: WorkerId, process: ProcessMetrics | None) -> None:
        """What a worker's process takes now, if it says so."""
        manager = self._home.get(worker)
        if manager is not None and process is not None:
            manager.worker_processes[worker] = process

    def remove(self, manager: TaskManager, reason: str) -> None:
        """A TaskManager is gone, with all its workers."""
        if self.taskmanagers.get(manager.id) is manager:
            del self.taskmanagers[manager.id]
        for worker in list(manager.workers):
            self.lost(worker, f"its TaskManager is gone: {reason}")

    def address(self, worker: WorkerId) -> tuple[str, int]:
        """Host and port of its data plane."""
        ready = self._ready[worker]
        return ready.host, ready.data_port

    def pid(self, worker: WorkerId) -> int | None:
        ready = self._ready.get(worker)
        return None if ready is None else ready.pid

    def home(self, worker: WorkerId) -> TaskManager | None:
        return self._home.get(worker)

    def send(self, worker: WorkerId, message: WorkerMessage) -> bool:
        """To a worker; False if it is gone, which its failure will tell in its own way."""
        manager = self._home.get(worker)
        if manager is None or not manager.connection.is_open:
            return False
        manager.connection.send(ToWorker(worker, encode_worker(message)))
        return True
