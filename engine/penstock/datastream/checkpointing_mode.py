"""What checkpoints guarantee."""

from enum import Enum
from typing import final


@final
class CheckpointingMode(Enum):
    """`execution.checkpointing.mode`."""

    EXACTLY_ONCE = 0
    """After a failure, each record has affected the state exactly once."""
    AT_LEAST_ONCE = 1
    """After a failure, some records may count twice; barriers never hold records back."""
