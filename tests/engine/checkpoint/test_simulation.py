"""Checkpointing under every misfortune at once: rival JobManagers, pauses, crashes, lost and reordered messages.

A seeded world runs the real coordinator, alignment, journal, retention and recovery over a store that loses answers;
tasks are modelled: two sources send barriers to two sinks, snapshots build on the files of confirmed ones. Savepoints
are taken in between, and some worlds are stopped with one. An observer of the store checks what must always hold, at
the very moment it could be broken.
"""

from collections.abc import Iterable
from random import Random

import pytest

from penstock.base.clock import SystemClock
from penstock.base.errors import LeadershipLost, StoreUnavailable
from penstock.base.ids import CheckpointId, JobId, OperatorUid, SubtaskId, VertexId
from penstock.checkpoint import journal_state as entries
from penstock.checkpoint import protocol as p
from penstock.checkpoint.alignment import Aborted, Alignment, Block, Snapshot, UnblockAll
from penstock.checkpoint.cadence import CheckpointSettings, Failure
from penstock.checkpoint.coordinator import Coordinator
from penstock.checkpoint.files import JobFolder, SavepointFolder, SnapshotFiles, checksum_of
from penstock.checkpoint.handles import KeyedHandle, OperatorSnapshot, StateFile, TaskSnapshot
from penstock.checkpoint.journal import Journal
from penstock.checkpoint.layout import Provenance, metadata_path
from penstock.checkpoint.metadata import Metadata, encode, gather
from penstock.checkpoint.plan import TaskShape
from penstock.checkpoint.recovery import Recovery, retained_of
from penstock.checkpoint.retention import ExternalizedRetention, Retention
from penstock.checkpoint.savepoints import drop_savepoint, write_savepoint
from penstock.records.batch import SavepointOptions, StopMode
from penstock.testing.judging_store import Folder, JudgingStore

JOB = JobId("d" * 32)
SOURCES = tuple(SubtaskId(VertexId("source"), i) for i in range(2))
SINKS = tuple(SubtaskId(VertexId("sink"), i) for i in range(2))
SHAPES = tuple(TaskShape(t, (OperatorUid("source"),), 2, 128, frozenset()) for t in SOURCES) + tuple(
    TaskShape(t, (OperatorUid("sink"),), 2, 128, frozenset(SOURCES)) for t in SINKS
)


SAVEPOINTS = "savepoints/"


class Task:
    """One attempt. Sources are triggered; sinks align what comes through their channels."""

    def __init__(self, world: "World", leader: "Leader", subtask: SubtaskId, restored: Metadata | None) -> None:
        self.world, self.leader, self.subtask = world, leader, subtask
        self.is_source = subtask in SOURCES
        self.alignment = Alignment(0 if self.is_source else 2, exactly_once=world.exactly_once)
        self.channels: list[list[CheckpointId | None]] = [] if self.is_source else [[], []]
        self.consumers: list[Task] = []
        self.inbox: list[p.Command] = []
        self.taken: dict[CheckpointId, tuple[StateFile, ...]] = {}
        self.confirmed: tuple[StateFile, ...] = ()
        self.ended = False
        self.stopped_at: CheckpointId | None = None
        if leader.journal.state.stopped is not None:
            self.end()
        elif restored is not None:
            operator = next(o for o in restored.operators if o.uid == subtask.vertex)
            self.confirmed = tuple(
                f for s in operator.subtasks if s.index == subtask.index for k in s.keyed for f in k.files if f.shared
            )
            for file in self.confirmed:
                world.store.objects.read(file.file.path)

    def step(self) -> None:
        rng = self.world.rng
        holds = self.stopped_at is not None
        ready = [] if holds else [i for i, c in enumerate(self.channels) if c and i not in self.alignment.blocked]
        if self.inbox and (not ready or rng.random() < 0.5):
            self._told(self.inbox.pop(rng.randrange(len(self.inbox))))
        elif ready:
            index = rng.choice(ready)
            barrier = self.channels[index].pop(0)
            self._carry_out(self.alignment.ended(index) if barrier is None else self.alignment.barrier(index, barrier))

    def _told(self, command: p.Command) -> None:
        match command:
            case p.TriggerTasks(checkpoint):
                if not self.ended:
                    self._carry_out(self.alignment.triggered(checkpoint))
            case p.NotifyComplete(checkpoint, _, stops):
                assert checkpoint in self.world.store.completed, f"told to commit {checkpoint}, which does not exist"
                assert stops == (checkpoint == self.world.store.stopped)
                if stops and not self.ended:
                    assert self.stopped_at == checkpoint, "a task that goes on is told that it stops"
                    self.end()
                if checkpoint in self.taken:
                    self.confirmed = tuple(f for f in self.taken[checkpoint] if f.shared)
                    self.taken = {id: files for id, files in self.taken.items() if id > checkpoint}
            case p.NotifyAborted(checkpoint):
                if self.stopped_at == checkpoint:
                    self.stopped_at = None
                self._carry_out(self.alignment.aborted(checkpoint))
                self.taken.pop(checkpoint, None)
            case _:
                raise AssertionError(command)

    def _carry_out(self, commands: list[object]) -> None:
        for command in commands:
            match command:
                case Snapshot(checkpoint):
                    for consumer in self.consumers:
                        consumer.channels[self.subtask.index].append(checkpoint)
                    self._snapshot(checkpoint)
                case Aborted(checkpoint, reason):
                    self._tell(p.Declined(self.world.now, checkpoint, self.subtask, Failure.SUBSUMED, reason))
                case Block(_) | UnblockAll():
                    pass

    def _snapshot(self, checkpoint: CheckpointId) -> None:
        rng, made = self.world.rng, Provenance(self.leader.journal.epoch, checkpoint)
        order = self.world.orders.get(checkpoint)
        place: JobFolder | SavepointFolder = JobFolder(self.world.store, JOB, made)  # type: ignore[arg-type]
        if order is not None:
            place = SavepointFolder(Folder(self.world.store, order.options.target), made)  # type: ignore[arg-type]
            self.stopped_at = None if order.stop is None else checkpoint
        files = SnapshotFiles(
            place,
            writer=str(self.subtask),
            inline_max_bytes=0,
            random=lambda: f"{rng.getrandbits(64):016x}",
        )
        try:
            is_shared = order is None
            shared = StateFile("delta", files.write("delta", rng.randbytes(8), shared=is_shared), shared=is_shared)
            own = StateFile("own", files.write("own", rng.randbytes(8), shared=False))
        except StoreUnavailable as error:
            files.discard()
            failed = p.Declined(self.world.now, checkpoint, self.subtask, Failure.TASK_ERROR, str(error))
            return self._tell(failed)
        # Now and then the chain is rewritten, so that files of older checkpoints are needed no more.
        base = () if order is not None or rng.random() < 0.3 else self.confirmed[-3:]
        if order is None:
            self.taken[checkpoint] = (*base, shared, own)
        keyed = KeyedHandle("model", (0, 127), (*base, shared, own))
        operator = OperatorSnapshot(OperatorUid(self.subtask.vertex), self.subtask.index, 2, 128, (keyed,))
        self._tell(p.Acknowledged(self.world.now, checkpoint, TaskSnapshot(self.subtask, 0, (operator,))))

    def _tell(self, event: p.Event) -> None:
        self.leader.inbox += [event] * self.world.copies()

    def end(self) -> None:
        self.ended = True
        for consumer in self.consumers:
            consumer.channels[self.subtask.index].append(None)
        self.leader.inbox.append(p.TaskEnded(self.world.now, self.subtask))


class Leader:
    """A JobManager, as far as checkpoints go: it may be paused or die between any two steps."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name = world, name
        self.journal = Journal(world.store, JOB, name, clock=SystemClock(), rng=Random(world.rng.random()))  # type: ignore[arg-type]
        self.coordinator: Coordinator | None = None
        self.inbox: list[p.Event] = []
        self.appends: list[p.Command] = []
        self.work: list[p.Command] = []
        self.tasks: dict[SubtaskId, Task] = {}
        self.paused = self.gone = False
        self.restoring = True
        self.ending = False

    def step(self) -> None:
        try:
            self._step()
        except StoreUnavailable:
            pass  # Tried again in a later step.
        except LeadershipLost:
            self.gone = True
            if self.coordinator is not None:
                self.coordinator.on(p.Deposed())

    def _step(self) -> None:
        rng = self.world.rng
        if self.coordinator is None:
            self._begin()
        elif self.restoring:
            self._restore()
        elif not self.ending and self.journal.state.stopped is not None and all(t.ended for t in self.tasks.values()):
            self.ending = True
            self._on(p.JobEnded(self.world.now, "FINISHED"))
        elif self.appends and rng.random() < 0.5:
            self._append(self.appends[0])
        elif self.work and rng.random() < 0.7:
            self._work(self.work.pop(rng.randrange(len(self.work))))
        elif self.inbox and rng.random() < 0.8:
            self._on(self.inbox.pop(rng.randrange(len(self.inbox))))
        else:
            self._on(p.Tick(self.world.now))

    def _begin(self) -> None:
        self.journal.take_epoch()
        state, store = self.journal.state, self.world.store
        known = retained_of(store, state)  # type: ignore[arg-type]
        retention = Retention(self.world.retained_max, known, first_id=state.first_id)
        if not self.world.rng.randrange(3):
            store.delete_many(
                retention.sweep([e.path for e in store.list("")], decided_below=state.first_id, referred=())
            )
        self.coordinator = Coordinator(
            self.world.settings,
            retention,
            externalized=ExternalizedRetention.RETAIN_ON_CANCELLATION,
            next_id=state.first_id,
            ids_below=state.ids_below,
            stopped=state.stopped is not None,
        )

    def _restore(self) -> None:
        if self.appends:
            self._append(self.appends[0])
            return
        store, state = self.world.store, self.journal.state
        if state.finished is not None:
            return  # There is nothing to do any more.
        recovery = Recovery(store, JOB, self._open, False, self.journal.confirm)  # type: ignore[arg-type]
        plan = recovery.plan(state)
        if state.stopped is None:
            self.journal.append(entries.Started(plan.origin, "f"))
        else:
            assert plan.origin == entries.FromSavepoint(state.stopped.path), "there is no way back behind a stop"
        self.tasks = {s.subtask: Task(self.world, self, s.subtask, plan.metadata) for s in SHAPES}
        for source in SOURCES:
            self.tasks[source].consumers = [self.tasks[sink] for sink in SINKS]
        self.world.tasks += self.tasks.values()
        self.restoring = False
        self._on(p.Running(self.world.now, self.world.rng.random(), SHAPES, frozenset(), plan.checkpoint))

    def _open(self, uri: str) -> Folder:
        return Folder(self.world.store, uri)

    def _on(self, event: p.Event) -> None:
        assert self.coordinator is not None
        if isinstance(event, p.TaskEnded) and not self.tasks[event.task].ended:
            return  # Of an earlier attempt.
        for command in self.coordinator.on(event):
            self._carry_out(command)

    def _carry_out(self, command: p.Command) -> None:
        match command:
            case p.TriggerTasks(checkpoint, tasks, _, order):
                assert self.world.store.stopped is None or self.journal.state.stopped is None, "a stopped job goes on"
                if order is not None:
                    self.world.orders[checkpoint] = order
                owner = self.world.triggered.setdefault(checkpoint, self.name)
                assert owner == self.name, f"checkpoint {checkpoint} was begun by {owner} and by {self.name}"
                self._send(command, tasks)
            case p.NotifyComplete(checkpoint, tasks):
                assert checkpoint in self.world.store.completed, f"{checkpoint} is announced before it exists"
                self._send(command, tasks)
            case p.NotifyAborted(checkpoint, tasks):
                assert checkpoint not in self.world.store.completed, f"{checkpoint} is aborted although it exists"
                self._send(command, tasks)
            case p.AppendCompleted() | p.AppendForgotten() | p.ReserveIds() | p.AppendStopped() | p.AppendFinished():
                self.appends.append(command)
            case p.WriteMetadata() | p.DeleteFiles() | p.DropSavepoint():
                self.work.append(command)
            case p.SavepointDone(checkpoint, order):
                assert order.options.target in self.world.store.needed
                self.world.answered(order, "done")
            case p.SavepointFailed(order, _):
                assert order.options.target not in self.world.store.needed, "what is there is said to have failed"
                self.world.answered(order, "failed")
            case p.RestoreNow():
                existence = (p.AppendCompleted, p.AppendStopped)
                appending = [append for append in self.appends if isinstance(append, existence)]
                assert not appending, "tasks are restored while it is open whether a checkpoint exists"
                self.restoring = True
            case p.FailJob():
                self._on(p.TasksFailed(self.world.now))
            case p.BeginAgain():
                pass  # All tasks fail at once here.
            case _:
                raise AssertionError(command)

    def _send(self, command: p.Command, tasks: Iterable[SubtaskId]) -> None:
        for subtask in sorted(tasks):
            self.tasks[subtask].inbox += [command] * self.world.copies()

    def _append(self, command: p.Command) -> None:
        """Stays first in the queue until its outcome is known."""
        now = self.world.now
        entry: entries.Entry
        answer: p.Event
        match command:
            case p.AppendCompleted(checkpoint, path, checksum, ids_below):
                entry, answer = entries.Completed(checkpoint, path, checksum, ids_below), p.Journaled(now, checkpoint)
            case p.AppendStopped(checkpoint, order, checksum):
                entry = entries.SavepointStopped(checkpoint, order.options.target, checksum)
                answer = p.Journaled(now, checkpoint)
            case p.AppendFinished(state):
                entry, answer = entries.Finished(state), p.EndJournaled(now)
            case p.AppendForgotten(checkpoint):
                entry, answer = entries.Forgotten(checkpoint), p.Forgot(now, checkpoint)
            case p.ReserveIds(below):
                entry, answer = entries.IdsReserved(below), p.Reserved(now, below)
            case _:
                raise AssertionError(command)
        self.journal.append(entry)
        self.appends.pop(0)
        self._on(answer)

    def _work(self, command: p.Command) -> None:
        match command:
            case p.DeleteFiles(paths):
                self.world.store.delete_many(paths)
            case p.DropSavepoint(order):
                try:
                    drop_savepoint(self._open, order.options.target)  # type: ignore[arg-type]
                except StoreUnavailable:
                    self.work.append(command)
            case p.WriteMetadata(checkpoint, snapshots, ended, coordinators, order):
                metadata = Metadata(
                    kind="checkpoint" if order is None else "savepoint",
                    job=JOB,
                    checkpoint=checkpoint,
                    epoch=self.journal.epoch,
                    triggered_ms=0,
                    fingerprint="f",
                    operators=gather(snapshots, ended, coordinators),
                )
                data = encode(metadata)
                if order is not None:
                    self._write_savepoint(command, order, metadata)
                    return
                path = metadata_path(JOB, checkpoint)
                try:
                    self.world.store.create(path, data)
                except StoreUnavailable as error:
                    self._on(p.WriteFailed(self.world.now, checkpoint, str(error)))
                else:
                    self._on(p.MetadataWritten(self.world.now, checkpoint, path, checksum_of(data)))
            case _:
                raise AssertionError(command)

    def _write_savepoint(self, command: p.WriteMetadata, order: p.SavepointOrder, metadata: Metadata) -> None:
        target = order.options.target
        try:
            checksum = write_savepoint(self._open, target, metadata)  # type: ignore[arg-type]
            if order.stop is None:
                self.journal.confirm()
        except StoreUnavailable as error:
            if self.world.rng.random() < 0.5:
                self.work.append(command)  # Tried again.
            else:
                self._on(p.WriteFailed(self.world.now, command.checkpoint, str(error)))
            return
        if order.stop is None and self.coordinator is not None and self.coordinator.is_pending(command.checkpoint):
            self.world.store.complete_savepoint(target, checksum)
        self._on(p.MetadataWritten(self.world.now, command.checkpoint, f"{target}/_metadata", checksum))


class World:
    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        self.store = JudgingStore(rng)
        self.now = 0.0
        self.lossy = True
        self.misery = rng.choice((0.1, 0.3, 1.0))
        """How often JobManagers come, go and pause, and tasks fail."""
        self.exactly_once = rng.random() < 0.7
        self.retained_max = rng.choice((1, 1, 2, 3))
        self.settings = CheckpointSettings(
            interval_s=1.0,
            timeout_s=8.0,
            concurrent_max=rng.choice((1, 1, 2, 3)),
            tolerable_failures=rng.choice((0, 3, 1000)),
            retained_max=self.retained_max,
        )
        self.stops = rng.random() < 0.4
        """Whether somebody will have the job stopped."""
        self.orders: dict[CheckpointId, p.SavepointOrder] = {}
        self.asked = 0
        self.answers: dict[str, str] = {}
        self.triggered: dict[CheckpointId, str] = {}
        self.tasks: list[Task] = []
        self.names = 0
        self.leaders = [self.new_leader()]

    def new_leader(self) -> Leader:
        self.names += 1
        return Leader(self, f"jobmanager-{self.names}")

    def ask(self, leader: Leader, stop: StopMode | None) -> None:
        """Somebody wants a savepoint."""
        self.asked += 1
        options = SavepointOptions(f"{SAVEPOINTS}sp-{self.asked}")
        leader.inbox.append(p.SavepointAsked(self.now, p.SavepointOrder(f"ask-{self.asked}", options, stop)))

    def answered(self, order: p.SavepointOrder, answer: str) -> None:
        assert order.id not in self.answers, f"{order.id} is {answer} after it was {self.answers[order.id]}"
        self.answers[order.id] = answer

    def copies(self) -> int:
        """A message arrives once, or not at all, or twice."""
        chance = self.rng.random() if self.lossy else 1.0
        return 0 if chance < 0.02 else 2 if chance < 0.04 else 1

    def step(self) -> None:
        rng = self.rng
        self.now += rng.random() * 0.05
        chance = rng.random() / self.misery
        active = [leader for leader in self.leaders if not leader.paused and not leader.gone]
        if active and rng.random() < 0.003:
            stop = rng.choice(("suspend", "drain")) if self.stops and rng.random() < 0.25 else None
            self.ask(rng.choice(active), stop)
        if chance < 0.004 or not self.leaders:
            self.leaders.append(self.new_leader())
        elif chance < 0.006:
            self.leaders.remove(rng.choice(self.leaders))
        elif chance < 0.016:
            leader = rng.choice(self.leaders)
            leader.paused = not leader.paused
        elif chance < 0.020 and active:
            rng.choice(active).inbox.append(p.TasksFailed(self.now))
        elif chance < 0.021 and self.tasks:
            task = rng.choice(self.tasks)
            if task.is_source and not task.ended:
                task.end()
        elif chance < 0.6 / self.misery and self.tasks:
            rng.choice(self.tasks[-8:]).step()
        elif active:
            rng.choice(active).step()

    def settle(self) -> None:
        """No more misfortune: one JobManager, a new one, must get a checkpoint through."""
        self.lossy, self.store.calm = False, True
        self.leaders = [*self.leaders[-1:], self.new_leader()]
        before = set(self.store.completed)
        for _ in range(4000):
            self.now += 0.02
            self.rng.choice(self.leaders).step()
            for task in self.tasks[-8:]:
                task.step()
            if self.store.finished if self.store.stopped is not None else self.store.completed - before:
                return
        raise AssertionError("no checkpoint completes although nothing fails any more")


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_nothing_that_must_hold_is_broken_in_any_interleaving(first: int) -> None:
    completed = reigns = savepoints = stops = 0
    for seed in range(first, first + 20):
        world = World(seed)
        try:
            for _ in range(3000):
                world.step()
            world.settle()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        completed += len(world.store.completed)
        reigns += world.store.state.epoch
        savepoints += sum(answer == "done" for answer in world.answers.values())
        stops += world.store.finished
    assert completed > 120 and reigns > 40 and savepoints > 10 and stops > 0, (
        "a world in which nothing happens proves nothing"
    )
