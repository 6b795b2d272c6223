"""A running job as the program that started it sees it; mirrors pyflink.common.job_client."""

from typing import Any, Literal, Protocol, final

from penstock.common.completable_future import CompletableFuture
from penstock.common.job_execution_result import JobExecutionResult
from penstock.common.job_id import JobID
from penstock.common.job_status import JobStatus

__all__ = ["JobClient", "JobControl"]


SavepointFormat = Literal["native", "canonical"]


class JobControl(Protocol):
    """What the runtime gives a client to work with. All calls may block; they come from threads of the client's."""

    @property
    def job_id(self) -> str:
        """32 hexadecimal digits."""

    def status(self) -> JobStatus:
        """How the job is now."""

    def wait(self) -> JobExecutionResult:
        """Block until the job has ended well; otherwise raise JobFailed."""

    def cancel(self) -> None:
        """Ask for cancellation."""

    def trigger_savepoint(self, directory: str | None, format: SavepointFormat) -> str:
        """The path of a new savepoint, once it is complete."""

    def stop_with_savepoint(self, directory: str | None, format: SavepointFormat, *, drain: bool) -> str:
        """Stop the job after a savepoint; the savepoint's path."""


@final
class JobClient:
    """Asks about a job and steers it; every answer comes later."""

    def __init__(self, control: JobControl) -> None:
        self._control = control

    def get_job_id(self) -> JobID:
        return JobID(self._control.job_id)

    def get_job_status(self) -> CompletableFuture[JobStatus]:
        return CompletableFuture.supply(self._control.status, "job status")

    def cancel(self) -> CompletableFuture[None]:
        return CompletableFuture.supply(self._control.cancel, "job cancel")

    def stop_with_savepoint(
        self, advance_to_end_of_event_time: bool, savepoint_directory: str | None = None, format_type: Any = None
    ) -> CompletableFuture[str]:
        """The path of the savepoint."""
        return CompletableFuture.supply(
            lambda: self._control.stop_with_savepoint(
                savepoint_directory, _format(format_type), drain=advance_to_end_of_event_time
            ),
            "job stop",
        )

    def trigger_savepoint(
        self, savepoint_directory: str | None = None, format_type: Any = None
    ) -> CompletableFuture[str]:
        """The path of the savepoint."""
        return CompletableFuture.supply(
            lambda: self._control.trigger_savepoint(savepoint_directory, _format(format_type)), "job savepoint"
        )

    def get_accumulators(self) -> CompletableFuture[dict[str, Any]]:
        """As they are now: Python functions have none, here as in PyFlink."""
        return CompletableFuture.supply(dict[str, Any], "job accumulators")

    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        """Once the job has ended; `result()` raises if it ended badly."""
        return CompletableFuture.supply(self._control.wait, "job result")


def _format(given: Any) -> SavepointFormat:
    """`native` or `canonical` (the default, as Flink's), in any case, or an enum's member of that name."""
    name = "canonical" if given is None else str(getattr(given, "name", given)).lower()
    if name == "native":
        return "native"
    if name != "canonical":
        raise ValueError(f"a savepoint's format is NATIVE or CANONICAL; found {given!r}")
    return "canonical"
