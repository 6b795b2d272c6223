"""Hosts the operators' counterparts (split enumerators, collect sinks), each in a thread of its own.

They may be the user's code, so they never run on the JobManager's loop. What a coordinator sends while a checkpoint
is being taken waits until the barriers are on their way, so that nobody gets the same split twice after a restore.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.ids import CheckpointId, OperatorUid, SubtaskId
from penstock.checkpoint.assign import Assignment
from penstock.common.configuration import Configuration
from penstock.graph.job_graph import JobGraph, JobVertex
from penstock.graph.loading import unpickled
from penstock.operators.coordinator import OperatorCoordinator

log: Final = logging.getLogger(__name__)

Send = Callable[[SubtaskId, int | None, int, bytes], None]
"""`send(subtask, attempt, operator index, event)`: to this attempt, dropped if it is gone; None: to the current one."""


@final
class _Sent(msgspec.Struct, frozen=True):
    subtask: int
    attempt: int | None
    event: bytes


@final
class HostedCoordinator:
    """One coordinator, its thread, and what it wants to send."""

    def __init__(
        self,
        vertex: JobVertex,
        operator: int,
        *,
        configuration: Configuration,
        clock: Clock,
        send: Send,
        fail: Callable[[BaseException], None],
        deliver: Callable[[bytes], None],
    ) -> None:
        described = vertex.chain[operator]
        assert described.coordinator is not None, "only operators with a counterpart are hosted"
        self.uid: OperatorUid = described.uid
        self.vertex = vertex
        self.operator = operator
        self.parallelism = vertex.parallelism
        self.configuration = configuration
        self.clock = clock
        self._factory, self._name = described.coordinator, described.name
        self._send_event = send
        self._fail = fail
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"coordinator-{described.name}")
        self._coordinator: OperatorCoordinator | None = None
        self._held: list[_Sent] | None = None
        self._held_for: CheckpointId | None = None
        self._attempts: dict[int, int] = {}
        """Which attempts the coordinator talks to, as far as it has been told. Touched on its thread only."""
        self._closed = False
        self._generation = 0
        self.events_in = self.events_out = 0
        """For metrics."""

    # What the coordinator may call, from any thread.

    def send(self, subtask: int, event: bytes) -> None:
        sent = _Sent(subtask, self._attempts.get(subtask), event)
        self._loop.call_soon_threadsafe(self._send_or_hold, self._generation, sent)

    def call_later(self, delay_s: float) -> None:
        generation = self._generation

        def due() -> None:
            if generation == self._generation:
                self.call(lambda coordinator: coordinator.tick())

        self._loop.call_soon_threadsafe(lambda: self._loop.call_later(delay_s, due))

    def fail_job(self, error: BaseException) -> None:
        self._loop.call_soon_threadsafe(self._fail, error)

    def deliver(self, payload: bytes) -> None:
        self._loop.call_soon_threadsafe(self._deliver, payload)

    # What the job master calls, on the loop.

    def start(self, checkpoint: CheckpointId | None, state: bytes | None) -> None:
        """(Re)create the coordinator and start it, from a checkpoint's state if there is one."""
        self._generation += 1
        self._held = self._held_for = None
        old, parallelism = self._coordinator, self.vertex.parallelism

        def begin() -> None:
            if old is not None:
                old.close()
            self.parallelism = parallelism
            coordinator: OperatorCoordinator = unpickled(self._factory, f"operator {self._name!r}")()
            if checkpoint is not None:
                coordinator.restore(checkpoint, state)
            self._coordinator = coordinator
            coordinator.start(self)

        self._submit(begin)

    def call(self, work: Callable[[OperatorCoordinator], Any]) -> None:
        """Run something on the coordinator's thread."""

        def run() -> None:
            if self._coordinator is not None:
                work(self._coordinator)

        self._submit(run)

    def subtask_ready(self, subtask: int, attempt: int) -> None:
        """The attempt runs and can take events."""

        def ready(coordinator: OperatorCoordinator) -> None:
            self._attempts[subtask] = max(attempt, self._attempts.get(subtask, attempt))
            coordinator.subtask_ready(subtask, attempt)

        self.call(ready)

    def event(self, subtask: int, attempt: int, payload: bytes) -> None:
        """The attempt's operator has something to say."""
        self.events_in += 1

        def said(coordinator: OperatorCoordinator) -> None:
            self._attempts[subtask] = max(attempt, self._attempts.get(subtask, attempt))
            coordinator.handle_event(subtask, attempt, payload)

        self.call(said)

    def subtask_failed(self, subtask: int, checkpoint: CheckpointId | None) -> None:
        """The subtask will be restored from `checkpoint`; what it was given since must be given again."""
        self.call(lambda coordinator: coordinator.subtask_failed(subtask, checkpoint))

    async def snapshot(self, checkpoint: CheckpointId) -> bytes:
        """Its state; what it sends from now on is held until `release`."""

        def take() -> bytes:
            coordinator = self._coordinator
            assert coordinator is not None, "a coordinator is started before checkpoints are"
            state = coordinator.snapshot(checkpoint)
            # On the coordinator's own thread, so that nothing it sends after its snapshot can slip through.
            self._loop.call_soon_threadsafe(self._hold, checkpoint)
            return state

        return await self._loop.run_in_executor(self._thread, take)

    def release(self, checkpoint: CheckpointId) -> None:
        """The checkpoint's barriers are on their way, or never will be: what was held for it follows."""
        if self._held_for != checkpoint:
            return
        held, self._held, self._held_for = self._held, None, None
        for sent in held or ():
            self._forward(sent)

    def close(self) -> None:
        """End it; never waits."""
        if not self._closed:
            self._closed = True
            self._generation += 1
            self.call(lambda coordinator: coordinator.close())
            self._thread.shutdown(wait=False)

    def _hold(self, checkpoint: CheckpointId) -> None:
        self._held_for = checkpoint
        if self._held is None:
            self._held = []

    def _send_or_hold(self, generation: int, sent: _Sent) -> None:
        if generation != self._generation:
            return
        if self._held is not None:
            self._held.append(sent)
        else:
            self._forward(sent)

    def _forward(self, sent: _Sent) -> None:
        self.events_out += 1
        self._send_event(SubtaskId(self.vertex.id, sent.subtask), sent.attempt, self.operator, sent.event)

    def _submit(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                log.warning("an operator's coordinator failed", extra={"operator": self.uid}, exc_info=error)
                self.fail_job(error)

        if not self._closed or self._coordinator is not None:
            try:
                self._thread.submit(guarded)
            except RuntimeError:
                log.debug("coordinator is closed", extra={"operator": self.uid})


@final
class Coordinators:
    """All coordinators of a job."""

    def __init__(
        self,
        graph: JobGraph,
        *,
        configuration: Configuration,
        clock: Clock,
        send: Send,
        fail: Callable[[BaseException], None],
        deliver: Callable[[bytes], None],
    ) -> None:
        self.hosted: Mapping[OperatorUid, HostedCoordinator] = {
            operator.uid: HostedCoordinator(
                vertex, index, configuration=configuration, clock=clock, send=send, fail=fail, deliver=deliver
            )
            for vertex in graph.vertices
            for index, operator in enumerate(vertex.chain)
            if operator.coordinator is not None
        }

    def reshape(self, graph: JobGraph) -> None:
        """The job's graph is this one now; they learn of it when they are started anew."""
        for hosted in self.hosted.values():
            hosted.vertex = graph.vertex(hosted.vertex.id)

    def start(self, assignment: Assignment | None) -> None:
        """(Re)start all of them, from what the assignment has for each."""
        for uid, hosted in self.hosted.items():
            restored = None if assignment is None else assignment.operators.get(uid)
            if assignment is None or restored is None:
                hosted.start(None, None)
            else:
                hosted.start(assignment.checkpoint, restored.coordinator)

    def subtasks_failed(self, subtasks: Iterable[SubtaskId], checkpoint: CheckpointId | None) -> None:
        """These will be restored from the checkpoint; what they were given since must be given again."""
        for subtask in subtasks:
            for hosted in self.of(subtask):
                hosted.subtask_failed(subtask.index, checkpoint)

    def of(self, subtask: SubtaskId) -> list[HostedCoordinator]:
        """The counterparts of a subtask's operators."""
        return [hosted for hosted in self.hosted.values() if hosted.vertex.id == subtask.vertex]

    def event(self, subtask: SubtaskId, operator: int, attempt: int, payload: bytes) -> None:
        """An operator's subtask has something to say to its counterpart."""
        for hosted in self.of(subtask):
            if hosted.operator == operator:
                hosted.event(subtask.index, attempt, payload)

    async def snapshot(self, checkpoint: CheckpointId) -> dict[OperatorUid, bytes]:
        """The state of all of them; what they send is held until `release`."""
        hosted = list(self.hosted.items())
        # All of them end before the first failure is told, so that nobody begins to hold after the release.
        taken = await asyncio.gather(
            *(coordinator.snapshot(checkpoint) for _, coordinator in hosted), return_exceptions=True
        )
        states: dict[OperatorUid, bytes] = {}
        for (uid, _), state in zip(hosted, taken, strict=True):
            if isinstance(state, BaseException):
                raise state
            states[uid] = state
        return states

    def release(self, checkpoint: CheckpointId) -> None:
        for hosted in self.hosted.values():
            hosted.release(checkpoint)

    def completed(self, checkpoint: CheckpointId) -> None:
        for hosted in self.hosted.values():
            hosted.call(lambda coordinator: coordinator.checkpoint_complete(checkpoint))

    def close(self) -> None:
        for hosted in self.hosted.values():
            hosted.close()
