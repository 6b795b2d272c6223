"""What sources and sinks are made of: users implement these, as our connectors do."""

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any, final

from penstock.operators.sink_api import (
    CommitRequest,
    Committer,
    PrecommittingSinkWriter,
    Sink,
    SinkWriter,
    TwoPhaseCommittingSink,
    WriterInitContext,
)
from penstock.operators.source_api import (
    Boundedness,
    InputStatus,
    PickleSerializer,
    ReaderOutput,
    SimpleVersionedSerializer,
    Source,
    SourceOutput,
    SourceReader,
    SourceReaderContext,
    SplitEnumerator,
    SplitEnumeratorContext,
)

__all__ = [
    "Boundedness",
    "CommitRequest",
    "Committer",
    "DeliveryGuarantee",
    "InputStatus",
    "PickleSerializer",
    "PrecommittingSinkWriter",
    "ReaderOutput",
    "SimpleVersionedSerializer",
    "Sink",
    "SinkWriter",
    "Source",
    "SourceOutput",
    "SourceReader",
    "SourceReaderContext",
    "SplitEnumerator",
    "SplitEnumeratorContext",
    "StreamTransformer",
    "SupportsPreprocessing",
    "TwoPhaseCommittingSink",
    "WriterInitContext",
]


@final
class DeliveryGuarantee(Enum):
    """What a sink promises after a failure."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
    NONE = 2


class StreamTransformer(ABC):
    """Changes a stream on its way into a sink."""

    @abstractmethod
    def apply(self, ds: Any) -> Any: ...


class SupportsPreprocessing(ABC):
    """A sink that wants its stream changed first."""

    @abstractmethod
    def get_transformer(self) -> StreamTransformer | None: ...
