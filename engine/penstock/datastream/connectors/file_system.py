"""The file source and the file sink, under the module path that PyFlink has for them."""

from penstock.connectors.buckets import (
    BucketAssigner,
    DefaultRollingPolicy,
    OnCheckpointRollingPolicy,
    OutputFileConfig,
    RollingPolicy,
)
from penstock.connectors.file_choices import (
    FileCompactor,
    FileCompactStrategy,
    FileEnumeratorProvider,
    FileSplitAssignerProvider,
)
from penstock.connectors.file_sink import FileSink
from penstock.connectors.file_source import FileSource, FileSourceBuilder
from penstock.connectors.formats import StreamFormat

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "DefaultRollingPolicy",
    "FileCompactStrategy",
    "FileCompactor",
    "FileEnumeratorProvider",
    "FileSink",
    "FileSource",
    "FileSourceBuilder",
    "FileSplitAssignerProvider",
    "OnCheckpointRollingPolicy",
    "OutputFileConfig",
    "RollingPolicy",
    "StreamFormat",
    "StreamingFileSink",
]

BulkFormat = StreamFormat
"""A format that is read in big pieces."""

StreamingFileSink = FileSink
"""PyFlink 1.x's name for it."""
