"""Operators that users write themselves, for `DataStream.transform` and `ConnectedStreams.transform`."""

from penstock.operators.checkpointed import FunctionSnapshotContext
from penstock.operators.stream_operator import (
    OneInputStreamOperator,
    RecordOutput,
    StateInitializationContext,
    StreamOperator,
    StreamRecord,
    TwoInputStreamOperator,
)

__all__ = [
    "FunctionSnapshotContext",
    "OneInputStreamOperator",
    "RecordOutput",
    "StateInitializationContext",
    "StreamOperator",
    "StreamRecord",
    "TwoInputStreamOperator",
]
