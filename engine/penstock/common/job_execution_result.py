"""What `execute()` answers; mirrors pyflink.common.job_execution_result."""

from collections.abc import Mapping
from typing import Any, final

from penstock.common.job_id import JobID

__all__ = ["JobExecutionResult"]


@final
class JobExecutionResult:
    """A job that has ended well."""

    def __init__(self, job_id: str, net_runtime_ms: int, accumulators: Mapping[str, Any] | None = None) -> None:
        self._job_id = JobID(job_id)
        self._net_runtime_ms = net_runtime_ms
        self._accumulators = dict(accumulators or {})

    def get_job_id(self) -> JobID:
        return self._job_id

    def get_net_runtime(self) -> int:
        """In milliseconds."""
        return self._net_runtime_ms

    def get_accumulator_result(self, accumulator_name: str) -> Any:
        """None if there is no such accumulator."""
        return self._accumulators.get(accumulator_name)

    def get_all_accumulator_results(self) -> dict[str, Any]:
        return dict(self._accumulators)

    def is_job_execution_result(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"Job with JobID {self._job_id} has finished.\nJob Runtime: {self._net_runtime_ms} ms"
