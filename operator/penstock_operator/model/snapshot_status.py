"""`FlinkStateSnapshot.status`: how far what an object of its own asks for has come. Pure."""

from enum import StrEnum
from typing import final

from penstock_operator.model.status import Wire


@final
class SnapshotPhase(StrEnum):
    """Where it is, in one word."""

    PENDING = "Pending"
    """Not asked for yet: the job does not run, or another one is being taken."""
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    """As often as it may be tried."""
    ABANDONED = "Abandoned"
    """The job went away before it was taken."""


@final
class SnapshotStatus(Wire, frozen=True):
    """The whole of it."""

    observed_generation: int = 0
    phase: SnapshotPhase = SnapshotPhase.PENDING
    trigger_id: str = ""
    """Under which the job was asked; each attempt has its own."""
    path: str = ""
    """Where it lies, once completed."""
    attempts: int = 0
    message: str = ""
    """One sentence: why it failed, or what it waits for."""
