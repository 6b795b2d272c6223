"""How a user's function takes part in checkpoints: Flink's CheckpointedFunction and CheckpointListener in Python."""

from abc import ABC, abstractmethod

from penstock.operators.functions import KeyedStateStore
from penstock.state.api import OperatorStateStore


class FunctionInitializationContext(ABC):
    """What `initialize_state` is given."""

    @abstractmethod
    def is_restored(self) -> bool:
        """Whether this is a start from a checkpoint."""

    @abstractmethod
    def get_restored_checkpoint_id(self) -> int | None: ...

    @abstractmethod
    def get_operator_state_store(self) -> OperatorStateStore: ...

    @abstractmethod
    def get_keyed_state_store(self) -> KeyedStateStore: ...


class FunctionSnapshotContext(ABC):
    """What `snapshot_state` is given."""

    @abstractmethod
    def get_checkpoint_id(self) -> int: ...

    @abstractmethod
    def get_checkpoint_timestamp(self) -> int:
        """When the checkpoint was triggered, in milliseconds since 1970."""


class CheckpointedFunction(ABC):
    """Mixed into any function: state of the function itself, kept by checkpoints."""

    @abstractmethod
    def initialize_state(self, context: FunctionInitializationContext) -> None:
        """Called once, before `open`: get the state, and read what was restored."""

    @abstractmethod
    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        """Called at each checkpoint: bring the state up to date."""


class CheckpointListener:
    """Mixed into any function: learns what became of checkpoints."""

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """The checkpoint is durable. A later one may be confirmed without this one ever being."""

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will never complete."""
