"""What a job's tasks are restored from: the plan, the state of each subtask, and what was passed over."""

import logging
from collections.abc import Callable, Iterable
from typing import Final, final

from penstock.base.ids import AttemptId, CheckpointId, JobId, SubtaskId
from penstock.checkpoint.assign import Assignment
from penstock.checkpoint.handles import KeyedHandle
from penstock.checkpoint.journal_state import FromCheckpoint, FromEmpty, FromSavepoint, Origin, Started
from penstock.checkpoint.recovery import Recovery, RestorePlan
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.checkpoints import CheckpointService
from penstock.jobmanager.history import CheckpointHistory
from penstock.jobmanager.placement import slots_of
from penstock.jobmanager.reign import Reign, assignment_of
from penstock.rpc.messages import OperatorRestore
from penstock.storage.objects import ObjectStore

log: Final = logging.getLogger(__name__)


@final
class Restoring:
    """Chooses anew whenever tasks failed; deals the state to subtasks."""

    def __init__(
        self,
        job: JobId,
        store: ObjectStore,
        open_root: Callable[[str], ObjectStore],
        reign: Reign,
        history: CheckpointHistory,
        *,
        allow_older: bool,
        passed_over: Callable[[str], None],
    ) -> None:
        """`passed_over(sentence)` is told of each checkpoint that could not be used."""
        self._job = job
        self._store = store
        self._open_root = open_root
        self._reign = reign
        self._graph: JobGraph = reign.graph
        self._history = history
        self._allow_older = allow_older
        self._passed_over = passed_over
        self._excluded: dict[Origin, str] = {}
        self._origins: dict[SubtaskId, Origin] = {}
        """What each was restored from last."""
        self.plan: RestorePlan = reign.plan
        self.assignment: Assignment | None = reign.assignment
        self._report()

    def reshape(self, graph: JobGraph) -> None:
        """The job's graph is this one now; state is dealt to its subtasks at the next choice."""
        self._graph = graph

    def deployed(self, attempts: Iterable[AttemptId]) -> None:
        """These are restored from what is chosen now."""
        self._origins.update((attempt.subtask, self.plan.origin) for attempt in attempts)

    def exclude(self, subtask: SubtaskId, reason: str) -> None:
        """It found what it was restored from damaged: do not choose that again.

        Others may have found it before, and something older been chosen since, which is as good as it was.
        """
        origin = self._origins[subtask]
        if not isinstance(origin, FromEmpty):
            self._excluded[origin] = reason

    async def choose(self, service: CheckpointService) -> None:
        """Settle on the newest usable checkpoint. Raises DamagedData when none may be used."""
        await service.restore_settled()
        reign = self._reign
        recovery = self._recovery()

        def choose() -> RestorePlan:
            plan = recovery.plan(reign.journal.state)
            if plan.passed_over:
                # So that a successor does not try the damaged one again.
                reign.journal.append(Started(plan.origin, self._graph.fingerprint))
            return plan

        plan = await service.beside_journal(choose)
        reign.retention.turned_to(plan.checkpoint)
        changed, self.plan = plan != self.plan, plan
        self.assignment = assignment_of(plan, self._graph, allow_unclaimed=True)
        if changed:
            self._report()

    async def ahead(
        self, graph: JobGraph, service: CheckpointService
    ) -> dict[SubtaskId, tuple[tuple[KeyedHandle, ...], ...]]:
        """What subtasks of another shape of the job would get back of state in RocksDB, if tasks failed now.

        By index in the chain; nobody who gets nothing. Raises DamagedData when there is nothing usable.
        """
        recovery = self._recovery()
        plan = await service.beside_journal(lambda: recovery.plan(self._reign.journal.state))
        assignment = assignment_of(plan, graph, allow_unclaimed=True)
        found: dict[SubtaskId, tuple[tuple[KeyedHandle, ...], ...]] = {}
        if assignment is None:
            return found
        for subtask in slots_of(graph):
            keyed = tuple(restore.keyed for restore in _restored(assignment, graph, subtask))
            if any(handle.backend == "rocksdb" for handles in keyed for handle in handles):
                found[subtask] = keyed
        return found

    @property
    def is_stopped(self) -> bool:
        """Whether the job was stopped with what it is restored from: tasks only commit what their state holds."""
        return self._reign.journal.state.stopped is not None

    @property
    def checkpoint(self) -> CheckpointId | None:
        """The checkpoint that tasks are told they are restored from; None on a start without state."""
        return None if self.assignment is None else self.assignment.checkpoint

    def of(self, subtask: SubtaskId) -> tuple[OperatorRestore, ...]:
        """What each operator of a subtask's chain gets back."""
        assert self.assignment is not None, "there is something to restore"
        return _restored(self.assignment, self._graph, subtask)

    def finished_before(self, attempts: Iterable[AttemptId]) -> set[SubtaskId]:
        """Subtasks all of whose operators the checkpoint found finished."""
        assignment = self.assignment
        if assignment is None:
            return set()
        found = set()
        for attempt in attempts:
            chain = self._graph.vertex(attempt.subtask.vertex).chain
            restored = [assignment.operators.get(operator.uid) for operator in chain]
            if all(item is not None and item.subtasks[attempt.subtask.index].finished for item in restored):
                found.add(attempt.subtask)
        return found

    def _recovery(self) -> Recovery:
        return Recovery(
            self._store,
            self._job,
            self._open_root,
            self._allow_older,
            self._reign.journal.confirm,
            excluded=dict(self._excluded),
        )

    def _report(self) -> None:
        plan = self.plan
        for passed in plan.passed_over:
            log.warning("checkpoint passed over", extra={"origin": str(passed.origin), "reason": passed.reason})
            self._passed_over(f"a checkpoint could not be used and the one before it was: {passed.reason}")
        if plan.metadata is None:
            return
        match plan.origin:
            case FromCheckpoint(id):
                path = f"{self._store.uri}/{self._job}/chk-{id}"
            case FromSavepoint(path):
                pass
            case _:
                path = ""
        self._history.restored(plan.metadata.checkpoint, path, is_savepoint=plan.metadata.kind == "savepoint")
        log.info("restoring", extra={"checkpoint": plan.metadata.checkpoint, "path": path})


def _restored(assignment: Assignment, graph: JobGraph, subtask: SubtaskId) -> tuple[OperatorRestore, ...]:
    found = []
    for operator in graph.vertex(subtask.vertex).chain:
        restored = assignment.operators.get(operator.uid)
        if restored is None:
            found.append(OperatorRestore())
        else:
            mine = restored.subtasks[subtask.index]
            found.append(OperatorRestore(mine.keyed, mine.operator, restored.states, restored.key_type))
    return tuple(found)
