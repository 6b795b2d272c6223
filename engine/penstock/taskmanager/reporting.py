"""What a task says of itself to its worker."""

from typing import Protocol

from penstock.base.ids import AttemptId, CheckpointId
from penstock.checkpoint.cadence import Failure


class TaskReporter(Protocol):
    """Where a task says what became of it. Calls come on the loop."""

    def finished(self, attempt: AttemptId) -> None:
        """Ended well."""

    def failed(self, attempt: AttemptId, error: BaseException) -> None:
        """Ended badly."""

    def declined(self, attempt: AttemptId, checkpoint: CheckpointId, failure: Failure, error: BaseException) -> None:
        """Cannot take part in a checkpoint."""
