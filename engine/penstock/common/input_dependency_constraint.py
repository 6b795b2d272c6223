"""When a batch task may begin; mirrors pyflink.common.input_dependency_constraint."""

from enum import Enum
from typing import final

__all__ = ["InputDependencyConstraint"]


@final
class InputDependencyConstraint(Enum):
    """Kept for programs that name it; Flink itself no longer asks."""

    ANY = 0
    ALL = 1
