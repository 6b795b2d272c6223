"""The file source: files and folders, local or on S3, bounded or watched for new files.

The enumerator lists files and cuts them into splits; readers work through splits with the format's reader. Local files
are read on the task's thread, a bounded piece at a time; remote ones in the background, one piece ahead.
"""

from collections.abc import Callable
from typing import Final, final

import msgspec

from penstock.base.errors import JobDefinitionError
from penstock.common.arguments import check_argument
from penstock.common.time import Duration
from penstock.common.type_infos import TypeInformation
from penstock.connectors.file_access import AnyFiles, InputFiles, is_remote, local_path
from penstock.connectors.file_choices import FileEnumeratorProvider, FileSplitAssignerProvider
from penstock.connectors.file_enumerator import FileEnumerator, FilesSeen
from penstock.connectors.file_reader import FileReader
from penstock.connectors.formats import StreamFormat
from penstock.connectors.splits import FileSplit, decode_split, encode_split
from penstock.operators.source_api import (
    Boundedness,
    SimpleVersionedSerializer,
    Source,
    SourceReader,
    SourceReaderContext,
    SplitEnumerator,
    SplitEnumeratorContext,
)
from penstock.storage.settings import S3Settings

_VERSION: Final = 1


@final
class FileSplitSerializer(SimpleVersionedSerializer):
    """Splits as MessagePack."""

    def get_version(self) -> int:
        return _VERSION

    def serialize(self, value: FileSplit) -> bytes:
        return encode_split(value)

    def deserialize(self, version: int, serialized: bytes) -> FileSplit:
        return decode_split(serialized)


@final
class FilesSeenSerializer(SimpleVersionedSerializer):
    """The enumerator's state as MessagePack."""

    def get_version(self) -> int:
        return _VERSION

    def serialize(self, value: FilesSeen) -> bytes:
        return msgspec.msgpack.encode(value)

    def deserialize(self, version: int, serialized: bytes) -> FilesSeen:
        return msgspec.msgpack.decode(serialized, type=FilesSeen)


@final
class FileSource(Source[FileSplit, FilesSeen]):
    """Reads files of one format. Built by `FileSource.for_record_stream_format(format, *paths)`."""

    def __init__(
        self,
        format: StreamFormat,
        paths: tuple[str, ...],
        *,
        discovery_interval_ms: int | None = None,
        splittable: bool = True,
    ) -> None:
        if not paths:
            raise JobDefinitionError("a file source needs at least one path")
        # Made absolute here, where the program runs: workers have folders of their own.
        self._paths = tuple(path if is_remote(path) else local_path(path) for path in paths)
        self._format = format
        self._discovery_interval_ms = discovery_interval_ms
        self._splittable = splittable

    @staticmethod
    def for_record_stream_format(stream_format: StreamFormat, *paths: str) -> "FileSourceBuilder":
        """Begin a source of files whose records follow each other: text, CSV, JSON lines."""
        return FileSourceBuilder(stream_format, paths)

    @staticmethod
    def for_bulk_file_format(bulk_format: StreamFormat, *paths: str) -> "FileSourceBuilder":
        """Begin a source of files that are read in big pieces: Parquet."""
        return FileSourceBuilder(bulk_format, paths)

    def get_produced_type(self) -> TypeInformation | None:
        return self._format.get_produced_type()

    def get_boundedness(self) -> Boundedness:
        bounded = self._discovery_interval_ms is None
        return Boundedness.BOUNDED if bounded else Boundedness.CONTINUOUS_UNBOUNDED

    def create_enumerator(self, context: SplitEnumeratorContext[FileSplit]) -> SplitEnumerator[FileSplit, FilesSeen]:
        return self._enumerator(context, None)

    def restore_enumerator(
        self, context: SplitEnumeratorContext[FileSplit], state: FilesSeen
    ) -> SplitEnumerator[FileSplit, FilesSeen]:
        return self._enumerator(context, state)

    def create_reader(self, context: SourceReaderContext) -> SourceReader[FileSplit]:
        settings = S3Settings.from_configuration(context.configuration)
        return FileReader(context, self._format, AnyFiles(settings).open)

    def get_split_serializer(self) -> SimpleVersionedSerializer:
        return FileSplitSerializer()

    def get_enumerator_checkpoint_serializer(self) -> SimpleVersionedSerializer:
        return FilesSeenSerializer()

    def _enumerator(self, context: SplitEnumeratorContext[FileSplit], state: FilesSeen | None) -> FileEnumerator:
        files: InputFiles = AnyFiles(S3Settings.from_configuration(context.configuration))
        is_splittable: Callable[[str], bool] = self._format.is_splittable if self._splittable else _never
        return FileEnumerator(
            context, files, self._paths, is_splittable, rescan_ms=self._discovery_interval_ms, state=state
        )


@final
class FileSourceBuilder:
    """Sets one thing at a time."""

    def __init__(self, format: StreamFormat, paths: tuple[str, ...]) -> None:
        check_argument(format, StreamFormat, "a file source's format")
        self._format = format
        self._paths = paths
        self._discovery_interval_ms: int | None = None
        self._splittable = True

    def monitor_continuously(self, discovery_interval: Duration) -> "FileSourceBuilder":
        """Never end: look for new files at this interval. A file must appear whole, by a rename."""
        check_argument(discovery_interval, Duration, "monitor_continuously()")
        self._discovery_interval_ms = discovery_interval.to_millis()
        if self._discovery_interval_ms <= 0:
            raise JobDefinitionError(f"a discovery interval is above 0, found {discovery_interval}")
        return self

    def process_static_file_set(self) -> "FileSourceBuilder":
        """End when all files that are there at the start have been read (the default)."""
        self._discovery_interval_ms = None
        return self

    def set_splittable(self, splittable: bool) -> "FileSourceBuilder":
        """Whether a big file may be read by several subtasks."""
        self._splittable = splittable
        return self

    def set_file_enumerator(self, file_enumerator: FileEnumeratorProvider) -> "FileSourceBuilder":
        """Whether a big file may be read by several subtasks."""
        return self.set_splittable(file_enumerator is FileEnumeratorProvider.SPLITTABLE)

    def set_split_assigner(self, split_assigner: FileSplitAssignerProvider) -> "FileSourceBuilder":
        """There is one way of dealing out splits: whoever asks gets the next."""
        return self

    def build(self) -> FileSource:
        return FileSource(
            self._format,
            self._paths,
            discovery_interval_ms=self._discovery_interval_ms,
            splittable=self._splittable,
        )


def _never(path: str) -> bool:
    return False
