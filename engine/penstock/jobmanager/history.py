"""What people ask about checkpoints: counts, the newest ones, a bounded history. For REST and the live view."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Literal, final

import msgspec

from penstock.base.ids import CheckpointId, SubtaskId, VertexId
from penstock.checkpoint.handles import SnapshotStats, TaskSnapshot
from penstock.checkpoint.metadata import Metadata
from penstock.records.batch import SavepointOptions

_FIGURES_MAX: Final = 10_000
"""Completed checkpoints that summaries are taken over; Flink's number."""


@final
class CheckpointFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one checkpoint came to, all its tasks together."""

    checkpointed_bytes: int
    state_bytes: int
    duration_ms: int
    processed_bytes: int
    persisted_bytes: int


@final
class CheckpointRecord(msgspec.Struct):
    """One checkpoint, as far as it came."""

    id: CheckpointId
    trigger_ms: int
    tasks: frozenset[SubtaskId]
    """All that the job had when it began: a job can be rescaled later."""
    savepoint: SavepointOptions | None = None
    """Not None: it is a savepoint."""
    status: Literal["IN_PROGRESS", "COMPLETED", "FAILED"] = "IN_PROGRESS"
    end_ms: int | None = None
    path: str = ""
    full_bytes: int = 0
    """All that a restore would read."""
    failure: str = ""
    discarded: bool = False
    subtasks: dict[SubtaskId, SnapshotStats] = msgspec.field(default_factory=dict)
    ack_ms: dict[SubtaskId, int] = msgspec.field(default_factory=dict)
    written: dict[SubtaskId, int] = msgspec.field(default_factory=dict)
    """Bytes that tasks which have not acknowledged yet have written of a savepoint."""

    def figures(self, now_ms: int) -> "CheckpointFigures":
        """What it has come to, or what it came to."""
        stats = self.subtasks.values()
        return CheckpointFigures(
            checkpointed_bytes=self.checkpointed_bytes,
            state_bytes=self.state_bytes,
            duration_ms=max(0, (self.end_ms or now_ms) - self.trigger_ms),
            processed_bytes=sum(item.processed_bytes for item in stats),
            persisted_bytes=sum(item.persisted_bytes for item in stats),
        )

    def subtasks_of(self, vertex: VertexId) -> list[SubtaskId]:
        """The tasks of a vertex, in their order."""
        return sorted(task for task in self.tasks if task.vertex == vertex)

    @property
    def state_bytes(self) -> int:
        return sum(stats.state_bytes for stats in self.subtasks.values())

    @property
    def checkpointed_bytes(self) -> int:
        underway = sum(written for subtask, written in self.written.items() if subtask not in self.subtasks)
        return sum(stats.checkpointed_bytes for stats in self.subtasks.values()) + underway


@final
class RestoreRecord(msgspec.Struct, frozen=True):
    """A restore: from what, and when."""

    checkpoint: CheckpointId
    path: str
    at_ms: int
    is_savepoint: bool = False


@final
class CheckpointHistory:
    """Kept by the checkpoint service."""

    def __init__(self, kept_max: int, now_ms: Callable[[], int]) -> None:
        self._kept_max = kept_max
        self._now_ms = now_ms
        self.records: OrderedDict[CheckpointId, CheckpointRecord] = OrderedDict()
        self.counts = {"restored": 0, "total": 0, "in_progress": 0, "completed": 0, "failed": 0}
        self.latest_completed: CheckpointRecord | None = None
        self.latest_savepoint: CheckpointRecord | None = None
        self.latest_failed: CheckpointRecord | None = None
        self.latest_restore: RestoreRecord | None = None
        self.completed_figures: deque[CheckpointFigures] = deque(maxlen=_FIGURES_MAX)
        self.tasks: frozenset[SubtaskId] = frozenset()

    def begun(self, checkpoint: CheckpointId, now_ms: int, savepoint: SavepointOptions | None = None) -> None:
        if checkpoint in self.records:
            return
        self.records[checkpoint] = CheckpointRecord(checkpoint, now_ms, self.tasks, savepoint)
        self.counts["total"] += 1
        self.counts["in_progress"] += 1
        self._forget_old()

    def acknowledged(self, checkpoint: CheckpointId, snapshot: TaskSnapshot) -> None:
        record = self.records.get(checkpoint)
        if record is not None:
            record.subtasks[snapshot.subtask] = snapshot.stats
            record.ack_ms[snapshot.subtask] = self._now_ms()

    def progress(self, checkpoint: CheckpointId, subtask: SubtaskId, bytes_written: int) -> None:
        """A task has written so much of a savepoint."""
        record = self.records.get(checkpoint)
        if record is not None:
            record.written[subtask] = bytes_written

    def written(self, checkpoint: CheckpointId, metadata: Metadata, path: str) -> None:
        record = self.records.get(checkpoint)
        if record is not None:
            record.path = path
            record.full_bytes = metadata.state_bytes()

    def completed(self, checkpoint: CheckpointId, now_ms: int) -> None:
        record = self._end(checkpoint, now_ms, "COMPLETED")
        if record is not None and record.savepoint is not None:
            self.latest_savepoint = record
        elif record is not None:
            self.latest_completed = record
            self.completed_figures.append(record.figures(now_ms))

    def failed(self, checkpoint: CheckpointId, now_ms: int, reason: str) -> None:
        record = self._end(checkpoint, now_ms, "FAILED")
        if record is not None:
            record.failure = reason
            self.latest_failed = record

    def withdrawn(self, checkpoint: CheckpointId) -> None:
        """Given up because its tasks or the job came to their end: nothing failed, and the next one has it all."""
        record = self.records.get(checkpoint)
        if record is not None and record.status == "IN_PROGRESS":
            del self.records[checkpoint]
            self.counts["total"] -= 1
            self.counts["in_progress"] -= 1

    def restored(self, checkpoint: CheckpointId, path: str, *, is_savepoint: bool = False) -> None:
        self.counts["restored"] += 1
        self.latest_restore = RestoreRecord(checkpoint, path, self._now_ms(), is_savepoint)

    def _forget_old(self) -> None:
        # Those under way stay, however many there are: their end is to be counted.
        ended = [known for known, record in self.records.items() if record.status != "IN_PROGRESS"]
        for known in ended[: max(0, len(self.records) - self._kept_max)]:
            del self.records[known]

    def _end(
        self, checkpoint: CheckpointId, now_ms: int, status: Literal["COMPLETED", "FAILED"]
    ) -> CheckpointRecord | None:
        record = self.records.get(checkpoint)
        if record is None or record.status != "IN_PROGRESS":
            return None
        record.status = status
        self._forget_old()
        record.end_ms = now_ms
        self.counts["in_progress"] -= 1
        self.counts["completed" if status == "COMPLETED" else "failed"] += 1
        return record
