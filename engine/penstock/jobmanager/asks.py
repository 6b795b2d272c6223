"""What people ask of a job's checkpoints: a savepoint, a stop with one, a checkpoint, the disposal of a savepoint.

The job master passes on what it is asked; answers are operations (`penstock.jobmanager.operations`).
"""

from typing import final

from penstock.jobmanager.operations import Operation, OperationFailure, Operations, SavepointRequest


@final
class Asks:
    """Carries them out, once each."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def savepoint(self, request: SavepointRequest) -> Operation:
        """See `JobMaster.savepoint`."""
        operation, new = self._operations.begin("savepoint", request.trigger_id)
        if new:
            self._operations.fail(operation, OperationFailure("savepoints cannot be taken yet"))
        return operation

    def checkpoint(self, trigger_id: str | None) -> Operation:
        """See `JobMaster.take_checkpoint`."""
        operation, new = self._operations.begin("checkpoint", trigger_id)
        if new:
            self._operations.fail(operation, OperationFailure("checkpoints cannot be followed yet"))
        return operation

    def dispose(self, path: str, trigger_id: str | None) -> Operation:
        """See `JobMaster.dispose`."""
        operation, new = self._operations.begin("savepoint-disposal", trigger_id)
        if new:
            self._operations.fail(operation, OperationFailure(f"{path} cannot be disposed of yet"))
        return operation
