"""Has workers open the state of a job's next shape while the present one runs, so that it stands still for less.

A hint and no more. What could not be opened, or is another checkpoint's than the one that is chosen in the end, or was
opened in a worker that does not get the task, is restored when the tasks are deployed. Driven by the rescaler.
"""

import asyncio
import logging
from typing import Final, final

from penstock.base.ids import WorkerId
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.checkpoints import CheckpointService
from penstock.jobmanager.lifecycle import JobLifecycle
from penstock.jobmanager.placement import Missing, place, slots_of
from penstock.jobmanager.restoring import Restoring
from penstock.jobmanager.workers import Workers
from penstock.rpc.messages import RestoreAhead, StateAhead

log: Final = logging.getLogger(__name__)


@final
class RestoringAhead:
    """For one job during one reign; one shape at a time."""

    def __init__(
        self,
        restoring: Restoring,
        service: CheckpointService,
        lifecycle: JobLifecycle,
        workers: Workers,
        *,
        timeout_s: float,
    ) -> None:
        """`timeout_s`: for so long it is waited for workers."""
        self._restoring = restoring
        self._service = service
        self._lifecycle = lifecycle
        self._workers = workers
        self._timeout_s = timeout_s
        self._request = 0
        self._told: set[WorkerId] = set()
        """Those that may hold something."""
        self._awaited: set[WorkerId] = set()
        self._answered = asyncio.Event()

    async def restore(self, graph: JobGraph) -> None:
        """Until all have opened what they can of the state that this shape would be given back now."""
        try:
            async with asyncio.timeout(self._timeout_s):
                tasks = await self._tasks(graph)
                self._request += 1
                self._awaited = {worker for worker in tasks if self._tell(worker, tuple(tasks[worker]))}
                self._told |= self._awaited
                self._look()
                await self._answered.wait()
        except Exception as error:
            # Whatever it is: the tasks restore their state themselves then.
            log.info("state is not restored ahead", exc_info=error)

    def drop(self) -> None:
        """Tasks of that shape are not going to be deployed any more, or all of them are."""
        self._request += 1
        for worker in self._told:
            self._tell(worker, ())
        self._told.clear()

    def restored(self, worker: WorkerId, request: int) -> None:
        """A worker's answer."""
        if request == self._request:
            self._awaited.discard(worker)
            self._look()

    def workers_changed(self) -> None:
        """Those that are gone will not answer."""
        self._awaited.intersection_update(self._workers.alive)
        self._look()

    async def _tasks(self, graph: JobGraph) -> dict[WorkerId, list[StateAhead]]:
        """By the worker that will probably run them: what is kept in place when the shape changes stays where it is."""
        wanted = slots_of(graph)
        keys = set(wanted.values())
        kept = {key: worker for key, worker in self._lifecycle.slots.items() if key in keys}
        placed = place(sorted(keys), kept, self._workers.alive)
        found: dict[WorkerId, list[StateAhead]] = {}
        if isinstance(placed, Missing):
            return found
        handles = await self._restoring.ahead(graph, self._service)
        for subtask, keyed in handles.items():
            parallelism = graph.vertex(subtask.vertex).parallelism
            worker = placed.workers[wanted[subtask]]
            found.setdefault(worker, []).append(StateAhead(subtask, parallelism, keyed))
        return found

    def _tell(self, worker: WorkerId, tasks: tuple[StateAhead, ...]) -> bool:
        return self._workers.send(worker, RestoreAhead(self._request, tasks))

    def _look(self) -> None:
        if self._awaited:
            self._answered.clear()
        else:
            self._answered.set()
