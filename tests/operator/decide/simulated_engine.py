"""The engine as `simulated.py` needs it: JobManagers that share a journal, whose job counts its input.

The state of the job is how far it has come, and its sinks have published as far as its last completed checkpoint or
savepoint; so a start from a state that says anything else than what was published lost or doubled something, and fails
the test, unless a start without state was asked for.
"""

from dataclasses import dataclass, field

from penstock_operator.decide import facts
from penstock_operator.decide.facts import StandbyState, TriggerState
from penstock_operator.model.spec import FlinkJobSpec

BOOT_MS = 3_000
CHECKPOINT_MS = 5_000
SAVEPOINT_MS = 2_000
RESTART_MS = 1_500


@dataclass
class Journal:
    """What the engine has written down."""

    epoch: int = 0
    owner: str = ""
    started_by: str = ""
    origin: str = ""
    position: dict[str, int] = field(default_factory=dict)
    """Of every checkpoint and savepoint, by path."""
    taken: dict[str, int] = field(default_factory=dict)
    """When each checkpoint was."""
    migrated: set[str] = field(default_factory=set)
    """Those that only a job with the argument `migrates` can read."""
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
    retained_max: int = 3
    pinned: tuple[str, ...] | None = ()
    """None: it knows no pins."""
    triggers: dict[str, facts.TriggerAnswer] = field(default_factory=dict)
    pending: dict[str, tuple[int, str, bool]] = field(default_factory=dict)
    """Trigger id: when it will be complete, where, and whether the job ends then."""
    stopping: tuple[int, str] | None = None
    """The journal says that it was stopped: when its tasks will have ended, and for which trigger."""


@dataclass
class Children:
    """What exists of a revision."""

    revision: str
    spec: FlinkJobSpec
    manager: Manager
    workers_up_at: int
    removal_at: int | None = None


class Engine:
    """All JobManagers of one job, and what they have in the store."""

    def __init__(self) -> None:
        self.now = 1_000_000_000_000
        self.journal = Journal()
        self.published = 0
        self.sound: dict[str, bool] = {}
        """Savepoints, and whether they can be read."""
        self.store_up = True
        self.failing_savepoints = 0
        self.damaging_savepoints = False
        self.checkpoints_stop = False
        self.end_ms = 600
        """From the journal's word that a job was stopped to its end."""
        self._turned_from = 0
        """What had been published when a start without state was asked for; going back behind it is no loss."""

    def boot(self, revision: str, spec: FlinkJobSpec) -> Manager:
        return Manager(
            revision,
            spec,
            self.now + BOOT_MS,
            parallelism=spec.job.parallelism,
            retained_max=spec.checkpoints.retention.count_in_effect,
            pinned=spec.checkpoints.retention.pin,
        )

    def live(self, children: Children) -> None:
        manager, journal = children.manager, self.journal
        if self.now < manager.up_at or not self.store_up:
            return
        if manager.state is StandbyState.LOADING:
            if "raises" in manager.spec.job.args:
                manager.state = StandbyState.FAILED
            elif journal.started_by != manager.revision or (journal.owner != manager.revision):
                manager.state = StandbyState.WAITING
            elif journal.finished is not None or journal.stopped is not None:
                manager.state, manager.job_state = StandbyState.ENDED, journal.finished or "FINISHED"
            else:
                self.begin(manager, "newest", None, again=True)
        if manager.job_state in ("RUNNING", "RESTARTING") and manager.epoch != journal.epoch:
            manager.state, manager.job_state = StandbyState.ENDED, "FAILED"  # Deposed.
        elif manager.job_state == "RESTARTING" and self.now >= max(manager.running_at, children.workers_up_at):
            manager.job_state = "RUNNING"
            newest = journal.newest()
            manager.position = 0 if newest is None else journal.position[newest]
            self._check_position(manager.position)
        elif manager.job_state == "RUNNING":
            self._work(manager)

    def begin(self, manager: Manager, kind: str, path: str | None, again: bool = False) -> None:
        journal = self.journal
        chosen = journal.newest() if kind == "newest" else path
        if chosen is not None and not self.sound.get(chosen, True):
            manager.state = StandbyState.FAILED
            return
        turns_back = journal.origin == "empty" and not journal.lineage and journal.stopped is None
        journal.epoch += 1
        journal.owner = manager.revision
        manager.epoch = journal.epoch
        if not again:
            if kind != "newest" or journal.stopped is not None:
                journal.lineage = []
                journal.origin = chosen or "empty"
            journal.started_by, journal.stopped, journal.finished, journal.completed = manager.revision, None, None, 0
            if kind == "empty":
                self.published, self._turned_from = 0, self.published
            elif chosen is not None and turns_back:
                self.published = self._turned_from
        manager.state, manager.job_state = StandbyState.STARTED, "RESTARTING"
        manager.running_at = self.now + 500

    def _check_position(self, position: int) -> None:
        assert position == self.published, f"goes on from {position}, published is {self.published}"

    def restart(self, manager: Manager) -> None:
        manager.job_state, manager.restarts = "RESTARTING", manager.restarts + 1
        manager.running_at = self.now + RESTART_MS
        manager.next_checkpoint_at = 0
        for trigger_id in list(manager.pending):
            del manager.pending[trigger_id]
            manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.FAILED, failure="the job was restarted")

    def _work(self, manager: Manager) -> None:
        if manager.stopping is not None:
            self._stop(manager, *manager.stopping)
            return
        args = manager.spec.job.args
        if "fails" in args:
            manager.job_state, self.journal.finished = "FAILED", "FAILED"
            manager.state = StandbyState.ENDED
            return
        if "crashes" in args or ("crashes-later" in args and manager.completed):
            self.restart(manager)
            return
        manager.position += 1
        for trigger_id, (at, folder, stop) in list(manager.pending.items()):
            if self.now >= at:
                del manager.pending[trigger_id]
                self._take_savepoint(manager, trigger_id, folder, stop)
        if manager.job_state != "RUNNING" or manager.stopping is not None:
            return
        manager.next_checkpoint_at = manager.next_checkpoint_at or self.now + CHECKPOINT_MS
        if self.now >= manager.next_checkpoint_at and not self.checkpoints_stop:
            manager.next_checkpoint_at = self.now + CHECKPOINT_MS
            self.take_checkpoint(manager)
        if "bounded" in args and manager.completed >= 3:
            manager.state, manager.job_state, self.journal.finished = StandbyState.ENDED, "FINISHED", "FINISHED"

    def take_checkpoint(self, manager: Manager) -> str:
        path = f"s3://bucket/checkpoints/chk-{self.journal.next_id}"
        self.journal.migrated |= {path} if "migrates" in manager.spec.job.args else set()
        self.journal.next_id += 1
        self.journal.lineage.append(path)
        self.retain(manager)
        self.journal.taken[path] = self.now
        self.journal.position[path] = self.published = manager.position
        self.journal.completed += 1
        manager.completed += 1
        return path

    def retain(self, manager: Manager) -> None:
        counted = [path for path in self.journal.lineage if path not in (manager.pinned or ())]
        surplus = counted[: -manager.retained_max]
        self.journal.lineage = [path for path in self.journal.lineage if path not in surplus]

    def _take_savepoint(self, manager: Manager, trigger_id: str, folder: str, stop: bool) -> None:
        if self.failing_savepoints > 0:
            self.failing_savepoints -= 1
            manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.FAILED, failure="the store said no")
            return
        path = f"{folder}/savepoint-{trigger_id[:6]}"
        self.journal.position[path] = manager.position
        self.sound[path] = not self.damaging_savepoints
        if stop:
            self.published, self.journal.stopped = manager.position, path
            manager.stopping = self.now + self.end_ms, trigger_id
        else:
            manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.COMPLETED, path)

    def _stop(self, manager: Manager, ended_at: int, trigger_id: str) -> None:
        if self.now < ended_at:
            return
        manager.triggers[trigger_id] = facts.TriggerAnswer(TriggerState.COMPLETED, self.journal.stopped or "")
        self.journal.finished = "FINISHED"
        manager.state, manager.job_state = StandbyState.ENDED, "FINISHED"
