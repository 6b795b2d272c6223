"""Files on S3 are read in the background, piece by piece, and go on after a restore."""

import pytest

from penstock.base.errors import NotFound
from penstock.common.configuration import Configuration
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.connectors import file_reader
from penstock.connectors.buckets import BucketAssigner
from penstock.connectors.file_sink import FileSink
from penstock.connectors.file_source import FileSource
from penstock.connectors.parquet_format import ParquetFormat, ParquetWriterFactory
from penstock.connectors.text_format import TextLineFormat
from penstock.operators.source_api import InputStatus
from penstock.testing.clocks import ManualClock
from penstock.testing.services import Minio
from penstock.testing.sinks import SinkRun
from penstock.testing.sources import SourceRun


def put(minio: Minio, bucket: str, key: str, content: bytes) -> None:
    minio.client().put_object(Bucket=bucket.removeprefix("s3://"), Key=key, Body=content)


def configuration(minio: Minio) -> Configuration:
    return Configuration.from_dict(minio.options)


def text(*paths: str) -> FileSource:
    return FileSource.for_record_stream_format(TextLineFormat(), *paths).build()


def test_objects_below_a_prefix_are_read_without_hidden_ones(minio: Minio) -> None:
    bucket = minio.new_bucket()
    for key in ("in/a", "in/b/c", "in/_d", "in/b/.e", "input/f", "g"):
        put(minio, bucket, key, f"{key}\n".encode())
    settings = configuration(minio)
    assert SourceRun(text(f"{bucket}/in"), configuration=settings).run().all_values == ["in/a", "in/b/c"]
    assert SourceRun(text(f"{bucket}/in/_d"), configuration=settings).run().all_values == ["in/_d"]
    with pytest.raises(NotFound, match="nothing"):
        SourceRun(text(f"{bucket}/nothing"), configuration=settings)


def test_a_poll_never_waits_for_the_network(minio: Minio) -> None:
    bucket = minio.new_bucket()
    put(minio, bucket, "f", b"a\n")
    run = SourceRun(text(f"{bucket}/f"), configuration=configuration(minio))
    assert [run.poll() for _ in range(3)] == [InputStatus.NOTHING_AVAILABLE] * 3
    assert len(run.background) == 1
    assert run.do_background() and run.readers[0].is_available()
    assert run.poll() is InputStatus.MORE_AVAILABLE and run.all_values == ["a"]


@pytest.mark.parametrize("polls", [0, 3, 17, 40])
def test_a_restored_reader_goes_on_where_it_was(minio: Minio, polls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_reader, "REMOTE_PIECE_BYTES", 10_000)
    bucket, lines = minio.new_bucket(), [f"line {n}" for n in range(20_000)]
    put(minio, bucket, "f", "\n".join(lines).encode())
    first = SourceRun(text(f"{bucket}/f"), configuration=configuration(minio))
    for _ in range(polls):
        first.poll()
        first.do_background()
    second = SourceRun(text(f"{bucket}/f"), configuration=configuration(minio), restored=first.snapshot()).run()
    assert first.all_values + second.all_values == lines


def test_parquet_goes_to_s3_and_back(minio: Minio) -> None:
    bucket, kind = minio.new_bucket(), Types.ROW_NAMED(["n"], [Types.LONG()])
    sink = FileSink.for_bulk_format(f"{bucket}/out", ParquetWriterFactory(kind))
    sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
    run = SinkRun(sink.build(), clock=ManualClock(), configuration=configuration(minio))
    run.write(*(Row(n) for n in range(5000)))
    run.finish(1)
    source = FileSource.for_bulk_file_format(ParquetFormat(kind), f"{bucket}/out").build()
    found = SourceRun(source, configuration=configuration(minio)).run().all_values
    assert [row.n for row in found] == list(range(5000))
