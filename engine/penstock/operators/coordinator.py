"""An operator's counterpart on the JobManager: hands out splits, gathers collected results.

Runs in a thread of its own in the JobManager, never on its event loop, because it may be the user's code.
Calls are never concurrent for one coordinator.
"""

from abc import ABC, abstractmethod
from typing import Protocol

from penstock.base.clock import Clock
from penstock.base.ids import CheckpointId
from penstock.common.configuration import Configuration


class CoordinatorContext(Protocol):
    """What the runtime offers a coordinator. Its methods may be called from any thread."""

    parallelism: int
    configuration: Configuration
    """The job's."""
    clock: Clock

    def send(self, subtask: int, event: bytes) -> None:
        """Deliver an event to the operator's subtask, in order; dropped if that attempt is gone."""

    def call_later(self, delay_s: float) -> None:
        """Have `tick` called after this delay (a folder to look at again)."""

    def fail_job(self, error: BaseException) -> None:
        """The coordinator cannot go on."""

    def deliver(self, payload: bytes) -> None:
        """Hand a collected result to the client that runs the job (collect sink only)."""


class OperatorCoordinator(ABC):
    """Life: `start` or `restore` then `start`; events and snapshots; `close`."""

    @abstractmethod
    def start(self, context: CoordinatorContext) -> None:
        """Begin. After `restore` if there is a checkpoint."""

    @abstractmethod
    def handle_event(self, subtask: int, attempt: int, event: bytes) -> None:
        """From the operator's subtask."""

    def subtask_ready(self, subtask: int, attempt: int) -> None:
        """This attempt of the subtask runs and can take events."""

    def subtask_failed(self, subtask: int, checkpoint: CheckpointId | None) -> None:
        """The subtask will be restored from `checkpoint` (None: from scratch): give again what it was given since."""

    def tick(self) -> None:
        """Asked for with `call_later`."""

    @abstractmethod
    def snapshot(self, checkpoint: CheckpointId) -> bytes:
        """Its state; events sent after this call are delivered after the checkpoint's barrier."""

    @abstractmethod
    def restore(self, checkpoint: CheckpointId, state: bytes | None) -> None:
        """Go back to a checkpoint's state (the whole job is restored); None: start over."""

    def checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        """The checkpoint is confirmed."""

    def close(self) -> None:
        """End."""
