"""What becomes of checkpoints when their job is cancelled."""

from enum import Enum
from typing import final


@final
class ExternalizedCheckpointRetention(Enum):
    """`execution.checkpointing.externalized-checkpoint-retention`."""

    DELETE_ON_CANCELLATION = 0
    RETAIN_ON_CANCELLATION = 1
    NO_EXTERNALIZED_CHECKPOINTS = 2
