"""The file sink: exactly once, into local folders or S3.

A sink of two phases: writers put records into hidden part files; at each checkpoint the finished ones are handed to the
committer, which publishes them once the checkpoint holds. After a failure, what the checkpoint knew is gone on with
or published, and what it did not know is removed.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar, final

import msgspec

from penstock.base.errors import JobDefinitionError, StoreUnavailable
from penstock.base.ids import CheckpointId, JobId, OperatorUid
from penstock.base.steps import reached
from penstock.common.arguments import check_argument
from penstock.common.serialization import Encoder
from penstock.common.type_infos import TypeInformation
from penstock.connectors.bucket_writer import FileLayout
from penstock.connectors.buckets import (
    BucketAssigner,
    DateTimeBucketAssigner,
    OnCheckpointRollingPolicy,
    OutputFileConfig,
    RollingPolicy,
)
from penstock.connectors.encoders import BulkWriterFactory, row_encoder
from penstock.connectors.file_access import is_remote, local_path
from penstock.connectors.file_writer import FileWriter
from penstock.connectors.local_parts import LocalPartFiles, LocalPublisher
from penstock.connectors.part_files import (
    Commit,
    Lineage,
    LocalCommit,
    LocalDiscard,
    PartFiles,
    UploadAbort,
    UploadCommit,
)
from penstock.connectors.s3_parts import S3PartFiles, S3Publisher
from penstock.operators.sink_api import (
    CommitRequest,
    Committer,
    PrecommittingSinkWriter,
    SinkWriter,
    TwoPhaseCommittingSink,
    WriterInitContext,
)
from penstock.operators.source_api import SimpleVersionedSerializer
from penstock.storage.opening import open_uploads
from penstock.storage.settings import S3Settings

_VERSION: Final = 1
_BUCKET_CHECK_INTERVAL_MS: Final = 60_000

SELF = TypeVar("SELF", bound="BaseBuilder")


@final
class CommitSerializer(SimpleVersionedSerializer):
    """Commits as MessagePack."""

    def get_version(self) -> int:
        return _VERSION

    def serialize(self, value: Commit) -> bytes:
        return msgspec.msgpack.encode(value)

    def deserialize(self, version: int, serialized: bytes) -> Commit:
        commit: Commit = msgspec.msgpack.decode(serialized, type=Commit)
        return commit


@final
class WriterStateSerializer(SimpleVersionedSerializer):
    """The states of buckets are bytes already."""

    def get_version(self) -> int:
        return _VERSION

    def serialize(self, value: bytes) -> bytes:
        return value

    def deserialize(self, version: int, serialized: bytes) -> bytes:
        return serialized


@final
class FileSink(TwoPhaseCommittingSink[Any, Commit]):
    """Built by `FileSink.for_row_format(path, encoder)` or `FileSink.for_bulk_format(path, factory)`."""

    def __init__(
        self,
        base_path: str,
        encoder: Encoder | BulkWriterFactory,
        *,
        assigner: BucketAssigner,
        policy: RollingPolicy,
        names: OutputFileConfig,
        check_interval_ms: int,
        input_type: TypeInformation | None = None,
    ) -> None:
        # Made absolute here, where the program runs: workers have folders of their own.
        self._base = base_path if is_remote(base_path) else local_path(base_path)
        self._encoder = encoder
        self._assigner = assigner
        self._policy = policy
        self._names = names
        self._check_interval_ms = check_interval_ms
        self._input_type = input_type

    def with_input_type(self, input_type: TypeInformation | None) -> "FileSink":
        """The same sink for a stream of this type, which decides how records read as text."""
        return FileSink(
            self._base,
            self._encoder,
            assigner=self._assigner,
            policy=self._policy,
            names=self._names,
            check_interval_ms=self._check_interval_ms,
            input_type=input_type,
        )

    @staticmethod
    def for_row_format(base_path: str, encoder: Encoder) -> "RowFormatBuilder":
        """Begin a sink whose records are written one after the other."""
        check_argument(encoder, Encoder, "for_row_format()")
        return RowFormatBuilder(base_path, encoder)

    @staticmethod
    def for_bulk_format(base_path: str, writer_factory: BulkWriterFactory) -> "BulkFormatBuilder":
        """Begin a sink whose files are each written as a whole, and closed at every checkpoint."""
        check_argument(writer_factory, BulkWriterFactory, "for_bulk_format()")
        return BulkFormatBuilder(base_path, writer_factory)

    def create_writer(self, context: WriterInitContext) -> SinkWriter[Any]:
        return self.restore_writer(context, ())

    def restore_writer(self, context: WriterInitContext, state: Sequence[bytes]) -> SinkWriter[Any]:
        rng = Random()
        lineage = _lineage(context, rng)
        files = _part_files(self._base, context, lineage)
        encoder = self._encoder
        layout = FileLayout(
            encoder=row_encoder(encoder, self._input_type) if isinstance(encoder, Encoder) else encoder,
            assigner=self._assigner,
            policy=self._policy,
            names=self._names,
        )
        writer = FileWriter(layout, files, lineage, now_ms=context.clock.now_ms, rng=rng)
        writer.restore(state)
        return _Writer(writer, context, self._check_interval_ms)

    def create_committer(self, context: WriterInitContext) -> Committer[Commit]:
        return _Committer(S3Settings.from_configuration(context.configuration))

    def get_writer_state_serializer(self) -> SimpleVersionedSerializer:
        return WriterStateSerializer()

    def get_committable_serializer(self) -> SimpleVersionedSerializer:
        return CommitSerializer()


class BaseBuilder:
    """What both kinds of file sinks can be told."""

    def __init__(self, base_path: str, encoder: Encoder | BulkWriterFactory, policy: RollingPolicy) -> None:
        self._base_path = base_path
        self._encoder = encoder
        self._policy = policy
        self._assigner: BucketAssigner = DateTimeBucketAssigner()
        self._names = OutputFileConfig()
        self._check_interval_ms = _BUCKET_CHECK_INTERVAL_MS

    def with_bucket_check_interval(self: SELF, interval: int) -> SELF:
        """How often, in milliseconds, age and inactivity of files are looked at."""
        if interval <= 0:
            raise JobDefinitionError(f"a bucket check interval is above 0 ms, found {interval}")
        self._check_interval_ms = interval
        return self

    def with_bucket_assigner(self: SELF, bucket_assigner: BucketAssigner) -> SELF:
        """Which folder a record goes to; by default one for each hour."""
        check_argument(bucket_assigner, BucketAssigner, "with_bucket_assigner()")
        self._assigner = bucket_assigner
        return self

    def with_output_file_config(self: SELF, output_file_config: OutputFileConfig) -> SELF:
        """What the files are called."""
        check_argument(output_file_config, OutputFileConfig, "with_output_file_config()")
        self._names = output_file_config
        return self

    def with_rolling_policy(self: SELF, rolling_policy: RollingPolicy) -> SELF:
        """When a file is closed for a new one."""
        check_argument(rolling_policy, RollingPolicy, "with_rolling_policy()")
        self._policy = rolling_policy
        return self

    def enable_compact(self: SELF, strategy: Any, compactor: Any) -> SELF:
        """Merging small files is not offered."""
        raise JobDefinitionError(
            "files are not compacted here: have fewer of them by a longer checkpoint interval or a larger part size"
        )

    def disable_compact(self: SELF) -> SELF:
        """As it is."""
        return self

    def build(self) -> FileSink:
        return FileSink(
            self._base_path,
            self._encoder,
            assigner=self._assigner,
            policy=self._policy,
            names=self._names,
            check_interval_ms=self._check_interval_ms,
        )


@final
class RowFormatBuilder(BaseBuilder):
    """A sink of rows; by default its files are closed at 128 MiB, a minute's age, or a minute without records."""

    def __init__(self, base_path: str, encoder: Encoder) -> None:
        super().__init__(base_path, encoder, RollingPolicy.default_rolling_policy())


@final
class BulkFormatBuilder(BaseBuilder):
    """A sink of whole files."""

    def __init__(self, base_path: str, writer_factory: BulkWriterFactory) -> None:
        super().__init__(base_path, writer_factory, OnCheckpointRollingPolicy())

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> "BulkFormatBuilder":
        if not isinstance(rolling_policy, OnCheckpointRollingPolicy):
            raise JobDefinitionError("files of a bulk format are closed at every checkpoint: no other policy will do")
        return super().with_rolling_policy(rolling_policy)


@final
class _Writer(PrecommittingSinkWriter[Any, Commit]):
    def __init__(self, files: FileWriter, context: WriterInitContext, check_interval_ms: int) -> None:
        self._files = files
        self._clock = context.clock
        self._processing_time = context.processing_time
        self._check_interval_ms = check_interval_ms
        self._end_of_input = False
        self._schedule_check()

    def write(self, element: Any, context: SinkWriter.Context) -> None:
        timestamp = context.timestamp()
        self._files.write([element], None if timestamp is None else [timestamp], context.current_watermark())

    def write_batch(self, values: list[Any], timestamps: list[int] | None, context: SinkWriter.Context) -> bool:
        self._files.write(values, timestamps, context.current_watermark())
        return True

    def flush(self, end_of_input: bool) -> None:
        self._end_of_input = self._end_of_input or end_of_input

    def prepare_commit(self) -> Sequence[Commit]:
        commits = self._files.prepare_commit(end_of_input=self._end_of_input)
        reached("sink.precommit.after")
        return commits

    def snapshot_state(self, checkpoint_id: int) -> Sequence[bytes]:
        return self._files.snapshot_state(CheckpointId(checkpoint_id))

    def close(self) -> None:
        self._check.cancel()
        self._files.close()

    def _schedule_check(self) -> None:
        due_ms = self._clock.now_ms() + self._check_interval_ms
        self._check = self._processing_time.at(due_ms, self._check_buckets)

    def _check_buckets(self, timestamp_ms: int) -> None:
        self._files.roll_by_time()
        self._schedule_check()


@final
class _Committer(Committer[Commit]):
    """Carries out each commit where its file is: a sink that was given another folder since its savepoint was taken
    still publishes in the old one what that savepoint holds."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._local = LocalPublisher()
        self._remote: dict[str, S3Publisher] = {}

    def commit(self, requests: Sequence[CommitRequest[Commit]]) -> None:
        for request in requests:
            reached("sink.commit.before")
            try:
                self._publish(request.get_committable())
            except StoreUnavailable:
                request.retry_later()
            except Exception as error:
                request.signal_failed_with_unknown_reason(error)
            reached("sink.commit.after")

    def _publish(self, commit: Commit) -> None:
        match commit:
            case LocalCommit() | LocalDiscard():
                self._local.publish(commit)
            case UploadCommit() | UploadAbort():
                self._at(commit.base).publish(commit)

    def _at(self, base: str) -> S3Publisher:
        if base not in self._remote:
            self._remote[base] = S3Publisher(open_uploads(base, self._settings))
        return self._remote[base]


def _lineage(context: WriterInitContext, rng: Random) -> Lineage:
    restored = context.restored_checkpoint_id
    return Lineage(
        JobId(context.job_id),
        OperatorUid(context.operator_uid),
        context.get_index_of_subtask(),
        context.get_number_of_parallel_subtasks(),
        None if restored is None else CheckpointId(restored),
        rng,
    )


def _part_files(base: str, context: WriterInitContext, lineage: Lineage) -> PartFiles:
    if not is_remote(base):
        return LocalPartFiles(Path(base), lineage)
    uploads = open_uploads(base, S3Settings.from_configuration(context.configuration))
    return S3PartFiles(base, uploads, lineage, lambda work: context.run_in_background(work, _done))


def _done(result: Any, error: BaseException | None) -> None:
    """Who waits for the work has its outcome from elsewhere."""
