"""execute_and_collect: records to the client, through this operator's coordinator on the JobManager.

With checkpoints, a record is sent once the checkpoint it came before is confirmed, and each piece carries the subtask
and checkpoint it was made in, so that the coordinator drops what a restored task sends again. Without, it is sent at
once.
"""

import pickle
from typing import Any, final

from penstock.base.ids import CheckpointId
from penstock.operators.coordinator import CoordinatorContext, OperatorCoordinator
from penstock.operators.operator import Operator, SnapshotContext, StateContext
from penstock.records.batch import Batch
from penstock.state.descriptors import ListStateDescriptor

_Piece = tuple[int, CheckpointId, list[Any]]


@final
class Collect(Operator):
    """The sink of `execute_and_collect`."""

    def __init__(self) -> None:
        self._gathered: list[Any] = []
        self._prepared: list[_Piece] = []

    def initialize_state(self, state: StateContext) -> None:
        self._state = state.operator.get_list_state(ListStateDescriptor("_collect.prepared"))

    def open(self) -> None:
        for piece in sorted(self._state.get(), key=lambda piece: piece[:2]):
            self._send(piece)

    def process(self, batch: Batch, port: int) -> None:
        if self.context.checkpointing:
            self._gathered.extend(batch.values)
        else:
            self.context.send_event(pickle.dumps((self.context.subtask, None, batch.values), protocol=5))

    def prepare_snapshot_pre_barrier(self, checkpoint: CheckpointId) -> None:
        if self._gathered:
            self._prepared.append((self.context.subtask, checkpoint, self._gathered))
            self._gathered = []

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        self._state.update(self._prepared)

    def notify_checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        while self._prepared and self._prepared[0][1] <= checkpoint:
            self._send(self._prepared.pop(0))

    def _send(self, piece: _Piece) -> None:
        self.context.send_event(pickle.dumps(piece, protocol=5))


@final
class CollectCoordinator(OperatorCoordinator):
    """Hands records to the client, each once. A payload is a pickled list of values."""

    def __init__(self) -> None:
        self._context: CoordinatorContext | None = None
        self._delivered: dict[int, CheckpointId] = {}

    def start(self, context: CoordinatorContext) -> None:
        self._context = context

    def handle_event(self, subtask: int, attempt: int, event: bytes) -> None:
        made_by, checkpoint, values = pickle.loads(event)
        if checkpoint is not None:
            if checkpoint <= self._delivered.get(made_by, 0):
                return
            self._delivered[made_by] = checkpoint
        assert self._context is not None
        self._context.deliver(pickle.dumps(values, protocol=5))

    def snapshot(self, checkpoint: CheckpointId) -> bytes:
        return pickle.dumps(self._delivered, protocol=5)

    def restore(self, checkpoint: CheckpointId, state: bytes | None) -> None:
        """What was delivered stays delivered; a new JobManager learns of it from the checkpoint."""
        if state is not None and not self._delivered:
            self._delivered = pickle.loads(state)
