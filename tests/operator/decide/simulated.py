"""A world in which `decide` runs a job: processes that come up late or not at all, an engine with its journal, an
operator that dies. Small enough to be read, and strict: what must never happen fails where it happens.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
from tests.operator.decide.simulated_engine import BOOT_MS, SAVEPOINT_MS, Children, Engine, Journal, Manager

from penstock_operator.decide import acts, facts, questions
from penstock_operator.decide.deciding import decide
from penstock_operator.decide.facts import StandbyState, TriggerState, Unknown
from penstock_operator.decide.times import written
from penstock_operator.model.field_errors import FieldError
from penstock_operator.model.spec import Checkpoints, FlinkJobSpec, Job, Upgrade
from penstock_operator.model.status import Status

REMOVAL_MS = 2_000
UNHEARD_MS = 60_000
ROOT = "s3://bucket/savepoints"


def a_spec(*args: str, **job: Any) -> FlinkJobSpec:
    """Arguments are what the simulated engine heeds: raises, incompatible, crashes, fails, bounded, unscalable."""
    top = {name: job.pop(name) for name in tuple(job) if name in FlinkJobSpec.__struct_fields__}
    return FlinkJobSpec(
        image=top.pop("image", "good"),
        job=Job(script="/job.py", args=args, **job),
        checkpoints=top.pop("checkpoints", Checkpoints(dir="s3://bucket/checkpoints", savepoint_dir=ROOT)),
        upgrade=top.pop("upgrade", Upgrade(readiness_timeout="60 s")),
        **top,
    )


class World:
    """One FlinkJob, from its creation to its end."""

    def __init__(self, spec: FlinkJobSpec) -> None:
        self.engine = Engine()
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
        self.lost: list[tuple[int, Children]] = []
        """On machines that nobody hears of: since when, and what may live on there."""
        self.rest_up = True
        self.trouble: facts.Trouble | None = None
        """Why no process can run."""
        self.room = 2
        self.rescaling_works = True
        self.damaged = ""
        """What is wrong with what would be a newer state, if there is one."""
        self.missing: tuple[FieldError, ...] | Unknown = ()
        """A Secret without which the store cannot be read either."""
        self.unheard = ""
        """A trigger whose answers are lost."""
        self.snapshots: dict[str, facts.SnapshotObject] = {}
        self.stale_passes = 0
        self.stale = False
        """Whether the pass under way sees processes as they were before."""
        self.conflicts = 0
        self.deaths: list[int] = []
        """After how many writes and acts the operator dies in each of the next passes."""
        self.dies_after = 1_000_000
        """Of all its writes and acts."""
        self._seen_before: tuple[facts.Deployed, ...] = ()
        self.writes = 0
        self.passes = 0
        self.calls = 0
        self.events: list[str] = []
        self.sentences: list[str] = []
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
        self.deleting_since = self.deleting_since or written(self.engine.now)
        self.version += 1

    # What happens to it.

    def kill_jobmanager(self) -> None:
        for children in self.children.values():
            children.manager = self.engine.boot(children.revision, children.spec)

    def kill_workers(self) -> None:
        for children in self.children.values():
            children.workers_up_at = self.engine.now + BOOT_MS
            manager = children.manager
            if manager.job_state == "RUNNING":
                self.engine.restart(manager)

    def lose_node(self) -> None:
        """Everything runs on there, unseen, and is made anew elsewhere."""
        self.lost += [(self.engine.now, c) for c in self.children.values() if c.manager.job_state]
        self.children = {
            name: Children(name, old.spec, self.engine.boot(name, old.spec), self.engine.now + BOOT_MS, old.removal_at)
            for name, old in self.children.items()
        }

    def lose_children(self) -> None:
        self.children.clear()

    def running(self) -> list[str]:
        return [c.revision for c in self.children.values() if c.manager.job_state == "RUNNING"]

    # The operator.

    def one_pass(self) -> acts.Decision | None:
        """Whole, or up to its death."""
        if self.gone:
            return None
        self.passes += 1
        job = self.object()
        asked = questions.questions(job)
        self.stale = self.stale_passes > 0
        deployed = self._seen_before if self.stale else self._deployed()
        self.stale_passes, self._seen_before = max(0, self.stale_passes - 1), deployed
        seen = self._observe(job, asked, deployed)
        for _ in range(12):
            decision = decide(seen)
            if not decision.ask:
                break
            more = decision.ask - asked
            assert more, f"asked again: {decision.ask}"
            asked |= more
            seen = self._observe(job, more, deployed).after(seen)
        else:
            raise AssertionError("it never had enough")
        self.look_again_s = decision.look_again_s
        assert decision.look_again_s >= 0.2, "a hot loop"
        left = self.deaths.pop(0) if self.deaths else self.dies_after
        if decision.status != job.status:
            if left == 0:
                return self._die()
            left -= 1
            self.dies_after -= 1
            if self.conflicts:
                self.conflicts -= 1
                return None
            self.status, self.writes = decision.status, self.writes + 1
        self.events += [event.reason for event in decision.events]
        self.sentences += [event.message for event in decision.events]
        for act in decision.acts:
            if left == 0:
                return self._die()
            left -= 1
            self.dies_after -= 1
            self.done.append(act)
            if not self._carry_out(act):
                self.look_again_s = 1.0
                return None
        return decision

    def _die(self) -> None:
        self.dies_after = 1_000_000
        self.look_again_s = 1.0

    def run(self, seconds: float, until: Callable[["World"], bool] = lambda world: False) -> bool:
        """Passes as they are due, or as something is heard of the processes."""
        end, due = self.engine.now + int(seconds * 1_000), self.engine.now
        while self.engine.now < end and not self.gone:
            before = self._deployed()
            if self.engine.now >= due:
                self.one_pass()
                due = self.engine.now + max(200, int(self.look_again_s * 1_000))
            if until(self):
                return True
            self.tick(200 if self.look_again_s < 1.0 else 1_000)
            if self._deployed() != before:
                due = self.engine.now
        return until(self)

    def tick(self, milliseconds: int) -> None:
        self.engine.now += milliseconds
        for _, children in self.lost:
            self.engine.live(children)
        for children in list(self.children.values()):
            if children.removal_at is not None and self.engine.now >= children.removal_at:
                del self.children[children.revision]
            elif self._trouble(children) is None:
                self.engine.live(children)

    # What the operator sees.

    def object(self) -> facts.JobObject:
        return facts.JobObject(
            "shop", "orders", "uid-1", self.generation, str(self.version), written(1_000_000_000_000),
            None if self.errors else self.spec, self.errors, self.status,
            self.deleting_since, self.paused, self.finalizer,
        )  # fmt: skip

    def _observe(
        self,
        job: facts.JobObject,
        wanted: frozenset[questions.Question],
        deployed: tuple[facts.Deployed, ...],
    ) -> facts.Observed:
        answers: dict[str, facts.JobAnswer | Unknown] = {}
        triggers: dict[str, facts.TriggerAnswer | Unknown] = {}
        verified: dict[str, facts.Verified | Unknown] = {}
        store, retained, missing = None, None, None
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
                case questions.Retained():
                    retained = self._retained()
                case questions.Verification(folder):
                    verified[folder] = self._verify(folder)
                case questions.References():
                    missing = self.missing
        self._random += 1
        return facts.Observed(
            self.engine.now + self.skew, job, tuple(self.revisions.values()),
            deployed, self._unheard(), answers, triggers, store, retained, verified,
            tuple(self.snapshots.values()), missing, f"{self._random:032x}",
        )  # fmt: skip

    def _deployed(self) -> tuple[facts.Deployed, ...]:
        present = [self._seen(children) for children in self.children.values()]
        nothing = facts.Processes(0, 0, 0)
        for since, lost in self.lost:
            if self.engine.now < since + UNHEARD_MS and all(seen.revision != lost.revision for seen in present):
                present.append(facts.Deployed(lost.revision, nothing, nothing, being_removed=True))
        return tuple(present)

    def _unheard(self) -> tuple[facts.Unheard, ...]:
        overdue = (lost for since, lost in self.lost if self.engine.now >= since + UNHEARD_MS)
        return tuple(facts.Unheard(lost.revision, f"pod {lost.revision} on node one") for lost in overdue)

    def _seen(self, children: Children) -> facts.Deployed:
        trouble = self._trouble(children)
        up = trouble is None and self.engine.now >= children.manager.up_at
        workers = self.engine.now >= children.workers_up_at and trouble is None
        wanted = children.spec.job.parallelism
        return facts.Deployed(
            children.revision,
            facts.Processes(1, int(up), 0, trouble),
            facts.Processes(wanted, wanted if workers else 0, 0, trouble),
            being_removed=children.removal_at is not None,
        )

    def _trouble(self, children: Children) -> facts.Trouble | None:
        if self.trouble is not None:
            return self.trouble
        if children.spec.image == "bad":
            return facts.Trouble.IMAGE
        place = list(self.children).index(children.revision)
        return facts.Trouble.NO_ROOM if place >= self.room else None

    def _manager(self, revision: str) -> Manager | None:
        children = self.children.get(revision)
        if children is None or not self.rest_up or self._trouble(children) or self.engine.now < children.manager.up_at:
            return None
        return children.manager

    def _answer(self, revision: str) -> facts.JobAnswer | Unknown:
        manager = self._manager(revision)
        if manager is None:
            return Unknown("connection refused")
        slots = manager.spec.job.parallelism
        ready = self.engine.now >= self.children[revision].workers_up_at
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
            retained_max=manager.retained_max,
            pinned=manager.pinned,
            checkpoint_id=len(self.engine.journal.taken) if manager.completed else None,
            checkpoint_path=(self.engine.journal.lineage or [""])[-1],
            checkpoint_time_ms=self.engine.now,
            failure="it was restarted" if manager.restarts else "",
            bounded="bounded" in manager.spec.job.args,
            stopped_with=self.engine.journal.stopped or "" if manager.stopping is not None else "",
        )

    def _preflight(self, manager: Manager) -> facts.Preflight:
        newest = self.engine.journal.newest()
        if newest is None or manager.state in (StandbyState.LOADING, StandbyState.FAILED):
            return facts.Preflight(None, None)
        bad = "incompatible" in manager.spec.job.args or (
            newest in self.engine.journal.migrated and "migrates" not in manager.spec.job.args
        )
        return facts.Preflight(not bad, newest, ("state `seen` has no operator",) if bad else ())

    def _trigger(self, revision: str, trigger_id: str) -> facts.TriggerAnswer | Unknown:
        manager = self._manager(revision)
        if manager is None:
            return Unknown("connection refused")
        if trigger_id == self.unheard:
            return Unknown("it did not answer in time")
        if trigger_id in manager.pending:
            return facts.TriggerAnswer(TriggerState.IN_PROGRESS)
        return manager.triggers.get(trigger_id, facts.TriggerAnswer(TriggerState.UNKNOWN))

    def _store(self) -> facts.StoreFacts | Unknown:
        journal = self.engine.journal
        if not self.engine.store_up or (self.missing and not isinstance(self.missing, Unknown)):
            return Unknown("the store does not answer")
        newest = journal.newest()
        return facts.StoreFacts(
            journal.epoch > 0,
            newest is not None,
            newest,
            newest_time_ms=self.engine.now if newest else 0,
            ruling_revision=journal.owner,
            started_from=journal.origin,
            completed_in_reign=journal.completed,
            stopped_path=journal.stopped,
            ended=journal.finished,
            damaged=self.damaged,
        )

    def _retained(self) -> tuple[facts.Checkpoint, ...] | Unknown:
        journal = self.engine.journal
        if not self.engine.store_up:
            return Unknown("the store does not answer")
        kept = reversed(journal.lineage)
        return tuple(facts.Checkpoint(path, journal.taken[path], path == journal.newest()) for path in kept)

    def _verify(self, folder: str) -> facts.Verified | Unknown:
        if not self.engine.store_up:
            return Unknown("the store does not answer")
        if folder in self.engine.journal.taken:
            there = folder in self.engine.journal.lineage
            return facts.Verified(folder if there else "", False, finding="it is of a checkpoint")
        path = next((path for path in self.engine.sound if path.startswith(folder)), "")
        return facts.Verified(path, bool(path) and self.engine.sound[path], 1_000)

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
                    self.children[name] = Children(name, spec, self.engine.boot(name, spec), self.engine.now + BOOT_MS)
            case acts.Remove(name):
                if name in self.children and self.children[name].removal_at is None:
                    self.children[name].removal_at = self.engine.now + REMOVAL_MS
            case acts.StartJob():
                return self._start(act)
            case acts.CheckState():
                pass
            case acts.TriggerSavepoint(name, trigger_id, folder, stop, _):
                manager = self._manager(name)
                if manager is None or manager.job_state != "RUNNING":
                    return False
                if trigger_id not in manager.triggers:
                    manager.pending.setdefault(trigger_id, (self.engine.now + SAVEPOINT_MS, folder, stop))
            case acts.TriggerCheckpoint(name, trigger_id):
                manager = self._manager(name)
                if manager is None or manager.job_state != "RUNNING":
                    return False
                if trigger_id not in manager.triggers:
                    path = self.engine.take_checkpoint(manager)
                    manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.COMPLETED, path)
            case acts.Rescale(name, spec, trigger_id):
                manager = self._manager(name)
                if manager is None or not self.rescaling_works:
                    return False
                if "unscalable" in manager.spec.job.args:
                    manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.FAILED, failure="it cannot be")
                else:
                    manager.parallelism = spec.job.parallelism
            case acts.RetainCheckpoints(name, count, pinned):
                manager = self._manager(name)
                if manager is None:
                    return False
                manager.retained_max, manager.pinned = count, pinned
                self.engine.retain(manager)
            case acts.Dispose(paths, remover):
                assert not self._in_use().intersection(paths), f"of {paths} some are in use"
                assert remover or not self.children or self.stale, "somebody lives who may need it"
                self.engine.sound = {path: sound for path, sound in self.engine.sound.items() if path not in paths}
                self.engine.journal.lineage = [path for path in self.engine.journal.lineage if path not in paths]
            case acts.Purge():
                assert not self.children, "somebody may still write"
                self.engine.journal = Journal()
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
        if manager is None or not self.engine.store_up:
            return False
        for other in self.children.values():
            alive = other.revision != act.revision and other.manager.job_state in ("RUNNING", "RESTARTING")
            stopped = self.engine.journal.stopped is not None or other.manager.epoch != self.engine.journal.epoch
            assert not alive or stopped, f"{act.revision} is started while {other.revision} runs"
        if manager.start_id == act.start_id:
            return True
        if manager.state is not StandbyState.WAITING:
            return False
        manager.start_id = act.start_id
        if act.origin.kind == "empty" and self.engine.published and self.engine.journal.finished != "FINISHED":
            assert "stateless" in (manager.spec.job.upgrade_mode, self.spec.job.upgrade_mode), "state is thrown away"
        self.engine.begin(manager, act.origin.kind, act.origin.path)
        return True

    def _in_use(self) -> set[str]:
        """What the journal would go on from, or was begun with while nothing is completed."""
        newest = self.engine.journal.newest()
        return set() if newest is None else {newest}
