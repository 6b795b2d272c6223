"""Has workers load a job before it is started, so that a start waits for no import and no class of the script."""

from typing import final

import msgspec

from penstock.base.ids import WorkerId
from penstock.jobmanager.workers import Workers
from penstock.rpc.messages import LoadJob


@final
class Prewarming:
    """Feed it with workers that come and go and with what they say; `loaded` is how many are ready."""

    def __init__(self, load: LoadJob, workers: Workers) -> None:
        """`load` names no reign yet: the start tells each worker of its own."""
        self._load = msgspec.structs.replace(load, ahead=True, restores=True)
        self._workers = workers
        self._told: set[WorkerId] = set()
        self._loaded: set[WorkerId] = set()

    @property
    def loaded(self) -> int:
        """Workers that live and have all that the job's operators import."""
        return len(self._loaded & set(self._workers.alive))

    def workers_changed(self) -> None:
        """Tell those that have come."""
        alive = set(self._workers.alive)
        self._told &= alive
        self._loaded &= alive
        for worker in alive - self._told:
            self._told.add(worker)
            self._workers.send(worker, self._load)

    def on_loaded(self, worker: WorkerId) -> None:
        """It has said so."""
        self._loaded.add(worker)
