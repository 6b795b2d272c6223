"""The states of a job; mirrors pyflink.common.job_status."""

from enum import Enum
from typing import final


@final
class JobStatus(Enum):
    """Flink's states."""

    CREATED = 0
    RUNNING = 1
    FAILING = 2
    FAILED = 3
    CANCELLING = 4
    CANCELED = 5
    FINISHED = 6
    RESTARTING = 7
    SUSPENDED = 8
    RECONCILING = 9

    def is_globally_terminal_state(self) -> bool:
        """Whether the job has ended for good: FINISHED, CANCELED or FAILED."""
        return self in (JobStatus.FAILED, JobStatus.CANCELED, JobStatus.FINISHED)

    def is_terminal_state(self) -> bool:
        """Whether the job has ended here; another JobManager may go on with a SUSPENDED one."""
        return self.is_globally_terminal_state() or self is JobStatus.SUSPENDED
