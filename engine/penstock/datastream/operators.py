"""Operators that users write themselves, for `DataStream.transform` and `ConnectedStreams.transform`."""

from penstock.operators.stream_operator import (
    OneInputStreamOperator,
    RecordOutput,
    StateInitializationContext,
    StreamOperator,
    StreamRecord,
    TwoInputStreamOperator,
)

__all__ = [
    "OneInputStreamOperator",
    "RecordOutput",
    "StateInitializationContext",
    "StreamOperator",
    "StreamRecord",
    "TwoInputStreamOperator",
]
