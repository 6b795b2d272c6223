"""Whether a program runs as a stream or as a batch."""

from enum import Enum
from typing import final


@final
class RuntimeExecutionMode(Enum):
    """`execution.runtime-mode`."""

    STREAMING = 0
    BATCH = 1
    AUTOMATIC = 2
    """BATCH if all sources are bounded, else STREAMING."""
