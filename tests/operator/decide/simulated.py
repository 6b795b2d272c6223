"""A world in which `decide` runs a job: processes that come up late or not at all, an engine with its journal, an
operator that dies. Small enough to be read, and strict: what must never happen fails where it happens.

The job counts its input. Its state is how far it has come, its sinks have published as far as its last completed
checkpoint or savepoint; so a start from a state that says anything else than what was published lost or doubled
something, and fails the test, unless the start without state was asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from penstock_operator.decide import acts, facts, questions
from penstock_operator.decide.deciding import decide
from penstock_operator.decide.facts import StandbyState, TriggerState, Unknown
from penstock_operator.decide.times import written
from penstock_operator.model.field_errors import FieldError
from penstock_operator.model.spec import Checkpoints, FlinkJobSpec, Job, Upgrade
from penstock_operator.model.status import Status

BOOT_MS = 3_000
CHECKPOINT_MS = 5_000
SAVEPOINT_MS = 2_000
REMOVAL_MS = 2_000
RESTART_MS = 1_500
ROOT = "s3://bucket/savepoints"


def a_spec(*args: str, **job: Any) -> FlinkJobSpec:
    """Arguments are what the simulated engine heeds: raises, incompatible, crashes, fails, bounded."""
    top = {name: job.pop(name) for name in tuple(job) if name in FlinkJobSpec.__struct_fields__}
    return FlinkJobSpec(
        image=top.pop("image", "good"),
        job=Job(script="/job.py", args=args, **job),
        checkpoints=top.pop("checkpoints", Checkpoints(dir="s3://bucket/checkpoints", savepoint_dir=ROOT)),
        upgrade=top.pop("upgrade", Upgrade(readiness_timeout="60 s")),
        **top,
    )


@dataclass
class Journal:
    """What the engine has written down."""

    epoch: int = 0
    owner: str = ""
    started_by: str = ""
    origin: str = ""
    position: dict[str, int] = field(default_factory=dict)
    """Of every checkpoint and savepoint, by path."""
    lineage: list[str] = field(default_factory=list)
    completed: int = 0
    stopped: str | None = None
    finished: str | None = None
    next_id: int = 1

    def newest(self) -> str | None:
        if self.stopped is not None:
            return self.stopped
        if self.lineage:
            return self.lineage[-1]
        return None if self.origin in ("", "empty") else self.origin


@dataclass
class Manager:
    """A JobManager."""

    revision: str
    spec: FlinkJobSpec
    up_at: int
    state: StandbyState = StandbyState.LOADING
    start_id: str = ""
    epoch: int = 0
    job_state: str = ""
    position: int = 0
    restarts: int = 0
    completed: int = 0
    next_checkpoint_at: int = 0
    running_at: int = 0
    parallelism: int = 1
    triggers: dict[str, facts.TriggerAnswer] = field(default_factory=dict)
    pending: dict[str, tuple[int, str, bool]] = field(default_factory=dict)
    """Trigger id: when it will be complete, where, and whether the job ends then."""


@dataclass
class Children:
    """What exists of a revision."""

    revision: str
    spec: FlinkJobSpec
    manager: Manager
    workers_up_at: int
    removal_at: int | None = None


class World:
    """One FlinkJob, from its creation to its end."""

    def __init__(self, spec: FlinkJobSpec) -> None:
        self.now = 1_000_000_000_000
        self.skew = 0
        self.spec: FlinkJobSpec = spec
        self.errors: tuple[FieldError, ...] = ()
        self.generation = 1
        self.version = 1
        self.status = Status()
        self.finalizer = False
        self.deleting_since: str | None = None
        self.gone = False
        self.paused = False
        self.revisions: dict[str, facts.Revision] = {}
        self.children: dict[str, Children] = {}
        self.journal = Journal()
        self.published = 0
        self.sound: dict[str, bool] = {}
        self.store_up = True
        self.rest_up = True
        self.room = 2
        self.failing_savepoints = 0
        self.rescaling_works = True
        self.snapshots: dict[str, facts.SnapshotObject] = {}
        self.stale: tuple[facts.Deployed, ...] | None = None
        self.writes = 0
        self.passes = 0
        self.calls = 0
        self.events: list[str] = []
        self.done: list[acts.Act] = []
        self.look_again_s = 0.0
        self._random = 0

    # What a person does.

    def edit(self, spec: FlinkJobSpec | None = None, **job: Any) -> None:
        self.spec = spec or msgspec.structs.replace(self.spec, job=msgspec.structs.replace(self.spec.job, **job))
        self.generation += 1
        self.version += 1
        self.errors = ()

    def delete(self) -> None:
        self.deleting_since = self.deleting_since or written(self.now)
        self.version += 1

    # What happens to it.

    def kill_jobmanager(self) -> None:
        for children in self.children.values():
            children.manager = self._boot(children.revision, children.spec)

    def kill_workers(self) -> None:
        for children in self.children.values():
            children.workers_up_at = self.now + BOOT_MS
            manager = children.manager
            if manager.job_state == "RUNNING":
                self._restart(manager)

    def lose_children(self) -> None:
        self.children.clear()

    def running(self) -> list[str]:
        return [c.revision for c in self.children.values() if c.manager.job_state == "RUNNING"]

    # The operator.

    def one_pass(self, dies_after: int | None = None) -> acts.Decision | None:
        """Whole, or up to its death after so many writes and acts."""
        if self.gone:
            return None
        self.passes += 1
        job = self._object()
        wanted = questions.questions(job)
        for _ in range(12):
            decision = decide(self._observe(job, wanted))
            if not decision.ask:
                break
            assert not decision.ask <= wanted, f"asked again: {decision.ask}"
            wanted |= decision.ask
        else:
            raise AssertionError("it never had enough")
        self.look_again_s = decision.look_again_s
        left = 10_000 if dies_after is None else dies_after
        if decision.status != job.status:
            if left == 0:
                return None
            left -= 1
            self.status, self.writes = decision.status, self.writes + 1
        self.events += [event.reason for event in decision.events]
        for act in decision.acts:
            if left == 0:
                return None
            left -= 1
            self.done.append(act)
            if not self._carry_out(act):
                self.look_again_s = 1.0
                return None
        return decision

    def run(self, seconds: float, until: Callable[["World"], bool] = lambda world: False) -> bool:
        """Passes as they are due, or as something is heard of the processes."""
        end, due = self.now + int(seconds * 1_000), self.now
        while self.now < end and not self.gone:
            before = self._deployed()
            if self.now >= due:
                self.one_pass()
                due = self.now + max(200, int(self.look_again_s * 1_000))
            if until(self):
                return True
            self.tick(200 if self.look_again_s < 1.0 else 1_000)
            if self._deployed() != before:
                due = self.now
        return until(self)

    def tick(self, milliseconds: int) -> None:
        self.now += milliseconds
        for children in list(self.children.values()):
            if children.removal_at is not None and self.now >= children.removal_at:
                del self.children[children.revision]
            else:
                self._live(children)

    # The engine.

    def _boot(self, revision: str, spec: FlinkJobSpec) -> Manager:
        return Manager(revision, spec, self.now + BOOT_MS, parallelism=spec.job.parallelism)

    def _live(self, children: Children) -> None:
        manager, journal = children.manager, self.journal
        if self._trouble(children) is not None or self.now < manager.up_at or not self.store_up:
            return
        if manager.state is StandbyState.LOADING:
            if "raises" in manager.spec.job.args:
                manager.state = StandbyState.FAILED
            elif journal.started_by != manager.revision or (journal.owner != manager.revision):
                manager.state = StandbyState.WAITING
            elif journal.finished is not None or journal.stopped is not None:
                manager.state, manager.job_state = StandbyState.ENDED, journal.finished or "FINISHED"
            else:
                self._begin(manager, "newest", None, again=True)
        if manager.job_state in ("RUNNING", "RESTARTING") and manager.epoch != journal.epoch:
            manager.state, manager.job_state = StandbyState.ENDED, "FAILED"  # Deposed.
        elif manager.job_state == "RESTARTING" and self.now >= max(manager.running_at, children.workers_up_at):
            manager.job_state = "RUNNING"
            newest = journal.newest()
            manager.position = 0 if newest is None else journal.position[newest]
            self._check_position(manager.position)
        elif manager.job_state == "RUNNING":
            self._work(manager)

    def _begin(self, manager: Manager, kind: str, path: str | None, again: bool = False) -> None:
        journal = self.journal
        chosen = journal.newest() if kind == "newest" else path
        if chosen is not None and not self.sound.get(chosen, True):
            manager.state = StandbyState.FAILED
            return
        journal.epoch += 1
        journal.owner = manager.revision
        manager.epoch = journal.epoch
        if not again:
            if kind != "newest" or journal.stopped is not None:
                journal.lineage = []
                journal.origin = chosen or "empty"
            journal.started_by, journal.stopped, journal.finished, journal.completed = manager.revision, None, None, 0
            if kind == "empty":
                self.published = 0  # Whoever asked for that begins the count again.
        manager.state, manager.job_state = StandbyState.STARTED, "RESTARTING"
        manager.running_at = self.now + 500

    def _check_position(self, position: int) -> None:
        assert position == self.published, f"goes on from {position}, published is {self.published}"

    def _restart(self, manager: Manager) -> None:
        manager.job_state, manager.restarts = "RESTARTING", manager.restarts + 1
        manager.running_at = self.now + RESTART_MS
        manager.next_checkpoint_at = 0
        for trigger_id in list(manager.pending):
            del manager.pending[trigger_id]
            manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.FAILED, failure="the job was restarted")

    def _work(self, manager: Manager) -> None:
        args = manager.spec.job.args
        if "fails" in args:
            manager.job_state, self.journal.finished = "FAILED", "FAILED"
            manager.state = StandbyState.ENDED
            return
        if "crashes" in args:
            self._restart(manager)
            return
        manager.position += 1
        for trigger_id, (at, folder, stop) in list(manager.pending.items()):
            if self.now >= at:
                del manager.pending[trigger_id]
                self._take_savepoint(manager, trigger_id, folder, stop)
        if manager.job_state != "RUNNING":
            return
        manager.next_checkpoint_at = manager.next_checkpoint_at or self.now + CHECKPOINT_MS
        if self.now >= manager.next_checkpoint_at:
            manager.next_checkpoint_at = self.now + CHECKPOINT_MS
            self._take_checkpoint(manager)
        if "bounded" in args and manager.completed >= 3:
            manager.state, manager.job_state, self.journal.finished = StandbyState.ENDED, "FINISHED", "FINISHED"

    def _take_checkpoint(self, manager: Manager) -> None:
        path = f"s3://bucket/checkpoints/chk-{self.journal.next_id}"
        self.journal.next_id += 1
        self.journal.lineage.append(path)
        self.journal.position[path] = self.published = manager.position
        self.journal.completed += 1
        manager.completed += 1

    def _take_savepoint(self, manager: Manager, trigger_id: str, folder: str, stop: bool) -> None:
        if self.failing_savepoints > 0:
            self.failing_savepoints -= 1
            manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.FAILED, failure="the store said no")
            return
        path = f"{folder}/savepoint-{trigger_id[:6]}"
        self.journal.position[path] = manager.position
        self.sound[path] = True
        manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.COMPLETED, path)
        if stop:
            self.published = manager.position
            self.journal.stopped, self.journal.finished = path, "FINISHED"
            manager.state, manager.job_state = StandbyState.ENDED, "FINISHED"

    # What the operator sees.

    def _object(self) -> facts.JobObject:
        return facts.JobObject(
            "shop", "orders", "uid-1", self.generation, str(self.version), written(1_000_000_000_000),
            None if self.errors else self.spec, self.errors, self.status,
            self.deleting_since, self.paused, self.finalizer,
        )  # fmt: skip

    def _observe(self, job: facts.JobObject, wanted: frozenset[questions.Question]) -> facts.Observed:
        answers: dict[str, facts.JobAnswer | Unknown] = {}
        triggers: dict[str, facts.TriggerAnswer | Unknown] = {}
        verified: dict[str, facts.Verified | Unknown] = {}
        store, missing = None, None
        for question in wanted:
            self.calls += 1
            match question:
                case questions.Children():
                    pass
                case questions.Answer(revision):
                    answers[revision] = self._answer(revision)
                case questions.Trigger(revision, trigger_id, _):
                    triggers[trigger_id] = self._trigger(revision, trigger_id)
                case questions.Store():
                    store = self._store()
                case questions.Verification(folder):
                    verified[folder] = self._verify(folder)
                case questions.References():
                    missing = ()
        self._random += 1
        return facts.Observed(
            self.now + self.skew, job, tuple(self.revisions.values()),
            self._deployed() if self.stale is None else self.stale,
            answers, triggers, store, verified, tuple(self.snapshots.values()), missing, f"{self._random:032x}",
        )  # fmt: skip

    def _deployed(self) -> tuple[facts.Deployed, ...]:
        return tuple(self._seen(children) for children in self.children.values())

    def _seen(self, children: Children) -> facts.Deployed:
        trouble = self._trouble(children)
        up = trouble is None and self.now >= children.manager.up_at
        workers = self.now >= children.workers_up_at and trouble is None
        wanted = children.spec.job.parallelism
        return facts.Deployed(
            children.revision,
            facts.Processes(1, int(up), 0, trouble),
            facts.Processes(wanted, wanted if workers else 0, 0, trouble),
            being_removed=children.removal_at is not None,
        )

    def _trouble(self, children: Children) -> facts.Trouble | None:
        if children.spec.image == "bad":
            return facts.Trouble.IMAGE
        place = list(self.children).index(children.revision)
        return facts.Trouble.NO_ROOM if place >= self.room else None

    def _manager(self, revision: str) -> Manager | None:
        children = self.children.get(revision)
        if children is None or not self.rest_up or self._trouble(children) or self.now < children.manager.up_at:
            return None
        return children.manager

    def _answer(self, revision: str) -> facts.JobAnswer | Unknown:
        manager = self._manager(revision)
        if manager is None:
            return Unknown("connection refused")
        slots = manager.spec.job.parallelism
        ready = self.now >= self.children[revision].workers_up_at
        return facts.JobAnswer(
            manager.state,
            manager.start_id,
            "ValueError: no" if manager.state is StandbyState.FAILED else "",
            slots,
            slots if ready else 0,
            self._preflight(manager),
            manager.job_state,
            completed=manager.completed,
            restarts=manager.restarts,
            parallelism=manager.parallelism if manager.job_state else None,
        )

    def _preflight(self, manager: Manager) -> facts.Preflight:
        newest = self.journal.newest()
        if newest is None or manager.state is StandbyState.LOADING:
            return facts.Preflight(None, None)
        bad = "incompatible" in manager.spec.job.args
        return facts.Preflight(not bad, newest, ("state `seen` has no operator",) if bad else ())

    def _trigger(self, revision: str, trigger_id: str) -> facts.TriggerAnswer | Unknown:
        manager = self._manager(revision)
        if manager is None:
            return Unknown("connection refused")
        if trigger_id in manager.pending:
            return facts.TriggerAnswer(TriggerState.IN_PROGRESS)
        return manager.triggers.get(trigger_id, facts.TriggerAnswer(TriggerState.UNKNOWN))

    def _store(self) -> facts.StoreFacts | Unknown:
        journal = self.journal
        if not self.store_up:
            return Unknown("the store does not answer")
        newest = journal.newest()
        return facts.StoreFacts(
            journal.epoch > 0,
            newest is not None,
            newest,
            newest_time_ms=self.now if newest else 0,
            ruling_revision=journal.owner,
            started_from=journal.origin,
            completed_in_reign=journal.completed,
            stopped_path=journal.stopped,
            ended=journal.finished,
        )

    def _verify(self, folder: str) -> facts.Verified | Unknown:
        if not self.store_up:
            return Unknown("the store does not answer")
        path = next((path for path in self.sound if path.startswith(folder)), "")
        return facts.Verified(path, bool(path) and self.sound[path], 1_000)

    # What the operator does.

    def _carry_out(self, act: acts.Act) -> bool:
        match act:
            case acts.SetFinalizer(present):
                self.finalizer = present
                self.gone = self.deleting_since is not None and not present
            case acts.KeepRevision(name, generation, spec):
                self.revisions[name] = facts.Revision(name, generation, spec)
            case acts.ForgetRevision(name):
                self.revisions.pop(name, None)
            case acts.Deploy(name, spec):
                if name not in self.children:
                    self.children[name] = Children(name, spec, self._boot(name, spec), self.now + BOOT_MS)
            case acts.Remove(name):
                if name in self.children and self.children[name].removal_at is None:
                    self.children[name].removal_at = self.now + REMOVAL_MS
            case acts.StartJob():
                return self._start(act)
            case acts.CheckState():
                pass
            case acts.TriggerSavepoint(name, trigger_id, folder, stop, _):
                manager = self._manager(name)
                if manager is None or manager.job_state != "RUNNING":
                    return False
                if trigger_id not in manager.triggers:
                    manager.pending.setdefault(trigger_id, (self.now + SAVEPOINT_MS, folder, stop))
            case acts.TriggerCheckpoint(name, trigger_id):
                manager = self._manager(name)
                if manager is None or manager.job_state != "RUNNING":
                    return False
                manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.COMPLETED, "chk")
            case acts.Rescale(name, spec):
                manager = self._manager(name)
                if manager is None or not self.rescaling_works:
                    return False
                manager.parallelism = spec.job.parallelism
            case acts.Dispose(path, _):
                assert path not in self._in_use(), f"{path} is in use"
                self.sound.pop(path, None)
            case acts.Purge():
                assert not self.children, "somebody may still write"
                self.journal = Journal()
            case acts.WriteSnapshotStatus() | acts.SetSnapshotFinalizer():
                self._about_snapshot(act)
        return True

    def _about_snapshot(self, act: acts.WriteSnapshotStatus | acts.SetSnapshotFinalizer) -> None:
        snapshot = self.snapshots[act.name]
        if isinstance(act, acts.SetSnapshotFinalizer):
            self.snapshots[act.name] = replace(snapshot, finalizer=act.present)
            if snapshot.deleting and not act.present:
                del self.snapshots[act.name]
        else:
            self.snapshots[act.name] = replace(
                snapshot, phase=act.phase, trigger_id=act.trigger_id, path=act.path, attempts=act.attempts
            )

    def _start(self, act: acts.StartJob) -> bool:
        manager = self._manager(act.revision)
        if manager is None or not self.store_up:
            return False
        for other in self.children.values():
            alive = other.revision != act.revision and other.manager.job_state in ("RUNNING", "RESTARTING")
            stopped = self.journal.stopped is not None or other.manager.epoch != self.journal.epoch
            assert not alive or stopped, f"{act.revision} is started while {other.revision} runs"
        if manager.start_id == act.start_id:
            return True
        if manager.state is not StandbyState.WAITING:
            return False
        manager.start_id = act.start_id
        self._begin(manager, act.origin.kind, act.origin.path)
        return True

    def _in_use(self) -> set[str]:
        """What the journal would go on from, or was begun with while nothing is completed."""
        newest = self.journal.newest()
        return set() if newest is None else {newest}
