"""Where the operator's scenarios are played: one FlinkJob in some world, handled from outside as a person would.

The job numbers its input and counts by key, so that what it has committed proves that nothing was lost or doubled. The
scenarios know this Protocol only; `penstock.testing.local_stage` is the world of processes on this machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, final

from penstock.testing.oracle import Expectation

Process = Literal["jobmanager", "taskmanager", "operator"]
Manifest = dict[str, Any]
TIMEOUT_S: Final = 50.0
NAME: Final = "count"


@final
@dataclass(frozen=True, slots=True)
class Seen:
    """A FlinkJob as it lies in its world."""

    object: Manifest

    @property
    def generation(self) -> int:
        return int(self.object["metadata"]["generation"])

    @property
    def status(self) -> Manifest:
        return dict(self.object.get("status") or {})

    @property
    def lifecycle(self) -> str:
        return str(self.status.get("lifecycleState", "Created"))

    @property
    def observed(self) -> bool:
        """Whether the operator has taken up the newest spec."""
        return bool(self.status.get("observedGeneration") == self.generation)

    @property
    def operation(self) -> Manifest | None:
        found: Manifest | None = self.status.get("operation")
        return found

    @property
    def step(self) -> str:
        return str(self.operation["step"]) if self.operation else ""

    @property
    def revision(self) -> str:
        """The one that runs."""
        return str(self.status.get("activeRevision", ""))

    @property
    def job_state(self) -> str:
        return str((self.status.get("jobStatus") or {}).get("state", ""))

    @property
    def error(self) -> str:
        return str(self.status.get("error", ""))

    @property
    def savepoints(self) -> list[Manifest]:
        """Newest first."""
        return list(self.status.get("savepoints") or [])

    @property
    def stable(self) -> bool:
        """The newest spec runs, and has proved that it does."""
        return self.observed and self.lifecycle == "Stable" and self.operation is None

    def condition(self, type: str) -> Manifest:
        found = [one for one in self.status.get("conditions", ()) if one["type"] == type]
        return dict(found[0]) if found else {"type": type, "status": "Unknown", "reason": "", "message": ""}


@final
@dataclass(frozen=True, slots=True)
class Told:
    """An event."""

    type: str
    reason: str
    message: str


class Stage(Protocol):
    """One FlinkJob called `count` and its world."""

    checkpoints: str
    savepoints: str
    numbers: int

    def manifest(self, **job: Any) -> Manifest:
        """Of the job that counts, with these fields of `spec.job`."""

    def arguments(self, **changes: str | int) -> list[str]:
        """Of its program; `rate=500` for `--rate 500`."""

    def apply(self, *manifests: Manifest) -> None:
        """All there is to be, now. The world may refuse it."""

    def refusal(self) -> str:
        """What was said about the last manifests if they were refused; waits for it."""

    def delete(self) -> None:
        """Ask for the FlinkJob's deletion; does not wait."""

    def seen(self) -> Seen | None:
        """None while there is none."""

    def snapshot(self, name: str) -> Manifest | None:
        """The status of a FlinkStateSnapshot; None while there is none."""

    def events(self) -> list[Told]:
        """Oldest first."""

    def kill(self, *processes: Process) -> None:
        """SIGKILL to these of the active revision, all at once; the world brings them back, but for the operator."""

    def start_operator(self) -> None:
        """Again, after it was killed."""

    def raise_once(self) -> None:
        """Have the running job fail at its next record."""

    def let_finish(self) -> None:
        """Let the job come to its end."""

    def committed(self) -> list[str]:
        """What it has published so far."""

    def wait(self, what: str, holds: Callable[[Seen], bool], timeout_s: float = TIMEOUT_S) -> Seen:
        """Until it holds of the FlinkJob."""

    def story(self) -> str:
        """What was seen, for a test that failed."""

    def wait_gone(self, timeout_s: float = TIMEOUT_S) -> None:
        """Until there is no FlinkJob, and no process of it."""


def said(seen: Seen) -> str:
    """All that the object tells a person, in one text."""
    return " ".join([seen.error, *(str(condition["message"]) for condition in seen.status.get("conditions", ()))])


def finish(stage: Stage) -> None:
    """Let the job end; what it has committed must be exact."""
    stage.let_finish()
    stage.wait("the job has finished", lambda seen: seen.lifecycle == "Finished")
    check(stage)


def check(stage: Stage) -> None:
    """What was committed in all must be exact."""
    differences = Expectation.of("count", stage.numbers, 1).differences(stage.committed())
    assert not differences, "the output is not exact: " + "; ".join(differences)


def stable(stage: Stage) -> Seen:
    """Wait until the newest spec runs and has proved that it does."""
    return stage.wait("the newest spec is stable", lambda seen: seen.stable)


def reasons(stage: Stage) -> list[str]:
    """Of all events, oldest first."""
    return [told.reason for told in stage.events()]


def upgraded(stage: Stage, before: Seen) -> Seen:
    """Wait until another revision than before is stable."""
    return stage.wait(
        f"another revision than {before.revision} is stable",
        lambda seen: seen.stable and seen.revision != before.revision,
    )
