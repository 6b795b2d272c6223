"""How a FlinkJob is at one moment, in the words that the screen shows. Pure."""

from dataclasses import dataclass
from typing import Final, final

from penstock_operator.model.status import OperationKind, Status, Step

_DOING: Final[dict[tuple[OperationKind | None, Step], str]] = {
    (None, Step.PREPARING): "pre-flight: {new} loads, without starting",
    (OperationKind.UPGRADE, Step.PREPARING): "pre-flight: {new} loads beside {old}",
    (None, Step.SAVEPOINTING): "{old} stops with a savepoint",
    (None, Step.VERIFYING): "the savepoint is looked at in the store",
    (None, Step.STOPPING): "{old} is removed",
    (OperationKind.SCALE, Step.STARTING): "{new} is rescaled",
    (None, Step.STARTING): "{new} is told to start from {origin}",
    (None, Step.SETTLING): "{new} runs from {origin}; waiting for checkpoints",
    (None, Step.CLEANING): "its data are removed",
}


@final
@dataclass(frozen=True, slots=True)
class Pulse:
    """What the job's JobManager says about now."""

    at_s: float
    records: int
    """Read by all sources since the tasks were started."""
    checkpoints: int
    checkpoint_at_ms: int
    restarts: int
    state: str


@final
@dataclass(frozen=True, slots=True)
class Look:
    """One FlinkJob, now."""

    name: str
    lifecycle: str
    doing: str
    """What the operation is at; empty while there is none."""
    parallelism: int | None
    taskmanagers: str
    state: str
    """Of the job, in Flink's words."""
    checkpoints: int
    checkpoint_age_s: float | None
    records_per_s: float | None
    restarts: int
    error: str

    def line(self) -> str:
        """For where lines scroll by."""
        parts = [
            self.lifecycle,
            self.state,
            "" if self.parallelism is None else f"parallelism {self.parallelism}",
            "" if self.records_per_s is None else f"{self.records_per_s:,.0f} records/s",
            f"{self.checkpoints} checkpoints" if self.checkpoints else "",
            f"{self.restarts} restarts" if self.restarts else "",
            self.doing,
            self.error,
        ]
        return f"{self.name}: " + ", ".join(part for part in parts if part)


def look(name: str, status: Status, pulse: Pulse | None, before: Pulse | None, now_ms: int) -> Look:
    """`before`: an earlier pulse to work a rate out with."""
    known = status.checkpoints
    managers = status.task_managers
    age_ms = None if pulse is None or not pulse.checkpoint_at_ms else now_ms - pulse.checkpoint_at_ms
    return Look(
        name=name,
        lifecycle=status.lifecycle_state,
        doing=doing(status),
        parallelism=status.parallelism,
        taskmanagers=f"{managers.ready}/{managers.replicas}" if managers.replicas else "",
        state=pulse.state if pulse is not None else "" if status.job_status is None else status.job_status.state,
        checkpoints=known.count if pulse is None else pulse.checkpoints,
        checkpoint_age_s=None if age_ms is None else max(0.0, age_ms / 1_000),
        records_per_s=_rate(before, pulse),
        restarts=known.restarts if pulse is None else pulse.restarts,
        error=status.error,
    )


def doing(status: Status) -> str:
    """A few words on the operation that is under way."""
    operation = status.operation
    if operation is None:
        return ""
    words = _DOING.get((operation.kind, operation.step)) or _DOING[None, operation.step]
    return words.format(
        new=operation.revision or "the job",
        old=operation.from_revision or "the job",
        origin=_origin(operation.origin.kind if operation.origin else "", operation.origin and operation.origin.path),
    )


def _origin(kind: str, path: str | None) -> str:
    match kind:
        case "savepoint":
            return f"{(path or 'a savepoint').rstrip('/').rpartition('/')[2]}"
        case "newest":
            return "its newest checkpoint"
        case _:
            return "nothing"


def _rate(before: Pulse | None, now: Pulse | None) -> float | None:
    if before is None or now is None or now.at_s <= before.at_s or now.records < before.records:
        return None  # Counters begin anew when tasks do.
    return (now.records - before.records) / (now.at_s - before.at_s)
