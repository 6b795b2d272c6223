"""The file sink on S3: objects appear at the commit, whole and once, whoever dies before, and nothing else stays."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.base import steps
from penstock.base.errors import NoSuchUpload, PartsLost
from penstock.common.configuration import Configuration
from penstock.connectors.buckets import BucketAssigner, OnCheckpointRollingPolicy, RollingPolicy
from penstock.connectors.encoders import LineEncoder
from penstock.connectors.file_sink import FileSink
from penstock.testing.clocks import ManualClock
from penstock.testing.services import Minio
from penstock.testing.sink_kills import KillableJob, KillSwitch, Round
from penstock.testing.sinks import SinkRun

BIG = "x" * (3 << 20)


class Bucket:
    """One bucket as an outsider sees it, and a sink that writes into a folder of it."""

    def __init__(self, minio: Minio) -> None:
        self.uri = minio.new_bucket()
        self.client = minio.client()
        self.configuration = Configuration.from_dict(minio.options)

    def sink(self, policy: RollingPolicy | None = None) -> FileSink:
        builder = FileSink.for_row_format(f"{self.uri}/out", LineEncoder(str))
        builder.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        return builder.with_rolling_policy(policy or RollingPolicy.default_rolling_policy()).build()

    def run(self, sink: FileSink, **options: Any) -> SinkRun:
        return SinkRun(sink, clock=ManualClock(), configuration=self.configuration, **options)

    def objects(self) -> dict[str, str]:
        listed = self.client.list_objects_v2(Bucket=self.uri[5:]).get("Contents", [])
        return {
            e["Key"]: self.client.get_object(Bucket=self.uri[5:], Key=e["Key"])["Body"].read().decode() for e in listed
        }

    def lose_parts(self) -> None:
        """As MinIO does when the connection is cut amid the completion: what was sent is not there any more."""
        for entry in self.client.list_multipart_uploads(Bucket=self.uri[5:])["Uploads"]:
            upload = {"Bucket": self.uri[5:], "Key": entry["Key"], "UploadId": entry["UploadId"]}
            self.client.upload_part(**upload, PartNumber=1, Body=b"something else")

    def uploads(self) -> int:
        return len(self.client.list_multipart_uploads(Bucket=self.uri[5:]).get("Uploads", []))


@pytest.fixture
def bucket(minio: Minio) -> Bucket:
    return Bucket(minio)


def test_an_object_appears_at_the_commit(bucket: Bucket) -> None:
    run = bucket.run(bucket.sink())
    run.write("a", "b")
    run.checkpoint(1, end_of_input=True)
    assert bucket.objects() == {} and bucket.uploads() == 1
    run.complete(1)
    (name,) = bucket.objects()
    assert name.startswith("out/part-") and bucket.objects()[name] == "a\nb\n" and bucket.uploads() == 0


def test_a_small_file_that_the_store_has_lost_before_its_commit_is_sent_again(bucket: Bucket) -> None:
    run = bucket.run(bucket.sink())
    run.write("a", "b")
    run.checkpoint(1, end_of_input=True)
    bucket.lose_parts()
    run.complete(1)
    assert list(bucket.objects().values()) == ["a\nb\n"] and bucket.uploads() == 0


def test_a_file_of_several_parts_that_the_store_has_lost_is_an_error_that_says_so(bucket: Bucket) -> None:
    run = bucket.run(bucket.sink())
    run.write(BIG, BIG, "tail")
    run.checkpoint(1, end_of_input=True)
    bucket.lose_parts()
    with pytest.raises(PartsLost, match="lost them since: only an earlier checkpoint can bring back what they held"):
        run.complete(1)
    assert bucket.objects() == {}


def test_a_file_grows_over_checkpoints_in_parts(bucket: Bucket) -> None:
    run = bucket.run(bucket.sink())
    for checkpoint in range(1, 5):
        run.write(BIG)
        snapshot = run.checkpoint(checkpoint)
        assert len(snapshot.writer[0][1]) < 6 << 20
    run.finish(5)
    assert list(bucket.objects().values()) == [f"{BIG}\n" * 4]


def local_sink(folder: Path) -> FileSink:
    builder = FileSink.for_row_format(str(folder), LineEncoder(str))
    return builder.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build()


def test_a_sink_that_moved_to_a_folder_publishes_in_the_bucket_what_its_checkpoint_held(
    bucket: Bucket, tmp_path: Path
) -> None:
    before = bucket.run(bucket.sink(OnCheckpointRollingPolicy()))
    before.write("finished")
    finished = before.checkpoint(1)
    growing = bucket.run(bucket.sink())
    growing.write("growing")
    grown = growing.checkpoint(1)
    for snapshot in (finished, grown):
        after = bucket.run(local_sink(tmp_path), restored=[snapshot])
        after.write("after")
        after.finish(2)
    assert sorted(bucket.objects().values()) == ["finished\n", "growing\n"] and bucket.uploads() == 0
    assert [path.read_text() for path in tmp_path.iterdir()] == ["after\n", "after\n"]


def test_a_sink_that_moved_to_a_bucket_publishes_in_the_folder_what_its_checkpoint_held(
    bucket: Bucket, tmp_path: Path
) -> None:
    before = bucket.run(local_sink(tmp_path))
    before.write("before")
    snapshot = before.checkpoint(1)
    before.write("not in the checkpoint")
    before.checkpoint(2)
    after = bucket.run(bucket.sink(), restored=[snapshot])
    after.write("after")
    after.finish(2)
    assert [p.read_text() for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["before\n"]
    assert list(bucket.objects().values()) == ["after\n"]


def test_what_a_checkpoint_knew_is_published_though_the_earlier_attempt_goes_on(bucket: Bucket) -> None:
    stale = bucket.run(bucket.sink())
    stale.write(BIG, BIG, "tail")
    snapshot = stale.checkpoint(1)
    again = bucket.run(bucket.sink(), restored=[snapshot])
    stale.write(BIG, BIG)
    stale.checkpoint(2)
    again.write("more")
    again.finish(2)
    assert sorted(bucket.objects().values()) == ["more\n", f"{BIG}\n{BIG}\ntail\n"]


def test_a_commit_can_be_repeated_and_one_that_is_impossible_is_an_error(bucket: Bucket) -> None:
    run = bucket.run(bucket.sink())
    run.write("a")
    snapshot = run.checkpoint(1, end_of_input=True)
    run.complete(1)
    bucket.run(bucket.sink(), restored=[snapshot])
    (name,) = bucket.objects()
    bucket.client.delete_object(Bucket=bucket.uri[5:], Key=name)
    with pytest.raises(NoSuchUpload):
        bucket.run(bucket.sink(), restored=[snapshot])


def test_what_was_published_with_its_tail_can_be_published_again(bucket: Bucket) -> None:
    first = bucket.run(bucket.sink())
    first.write("a")
    snapshot = first.checkpoint(1)
    second = bucket.run(bucket.sink(), restored=[snapshot])
    after = second.checkpoint(2)
    second.complete(2)
    bucket.run(bucket.sink(), restored=[after])
    assert list(bucket.objects().values()) == ["a\n"]


def test_going_back_to_a_checkpoint_after_which_the_file_grew_leaves_what_was_published(bucket: Bucket) -> None:
    run = bucket.run(bucket.sink())
    run.write(BIG, "before")
    snapshot = run.checkpoint(1)
    run.write("later")
    run.finish(2)
    for _ in range(2):
        back = bucket.run(bucket.sink(), restored=[snapshot])
        back.write("later")
        back.finish(2)
    again = "later\n"
    assert sorted(bucket.objects().values()) == [again, again, f"{BIG}\nbefore\nlater\n"] and bucket.uploads() == 0


def test_a_file_that_another_job_has_published_with_less_in_it_is_an_error(bucket: Bucket) -> None:
    run = bucket.run(bucket.sink())
    run.write("a")
    one = run.checkpoint(1)
    run.write("b")
    two = run.checkpoint(2)
    bucket.run(bucket.sink(), restored=[one]).finish(2)
    with pytest.raises(NoSuchUpload, match="was completed with 2 bytes where 4 were sent: another job was started"):
        bucket.run(bucket.sink(), restored=[two]).finish(3)


def test_uploads_of_lost_attempts_are_aborted_once_a_checkpoint_holds_and_no_others(bucket: Bucket) -> None:
    others = bucket.run(bucket.sink(), uid="another sink")
    others.write("others")
    others.checkpoint(1)
    lost = bucket.run(bucket.sink())
    lost.write("lost")
    lost.checkpoint(1)
    again = bucket.run(bucket.sink())
    again.checkpoint(1)
    assert bucket.uploads() == 2
    again.complete(1)
    assert bucket.uploads() == 1
    others.finish(2)
    assert list(bucket.objects().values()) == ["others\n"]


ROUNDS = st.lists(
    st.builds(
        Round,
        records=st.integers(0, 3),
        kill_after_steps=st.none() | st.integers(0, 4),
        confirmed=st.booleans(),
        stale_records=st.integers(0, 2),
    ),
    max_size=4,
)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rounds=ROUNDS,
    policy=st.sampled_from(
        [RollingPolicy.on_checkpoint_rolling_policy(), RollingPolicy.default_rolling_policy(part_size=7 << 20)]
    ),
    every=st.sampled_from([10**9, 3]),
)
def test_every_record_is_in_one_object_whenever_attempts_die(
    rounds: list[Round], policy: RollingPolicy, every: int, minio: Minio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(number: int) -> str:
        return f"{number} {BIG if number % every == 1 else ''}"

    bucket, switch = Bucket(minio), KillSwitch()
    monkeypatch.setattr(steps, "_hook", switch.reached)
    job = KillableJob(bucket.sink(policy), switch, record, configuration=bucket.configuration)
    job.run(rounds)
    found = Counter(line for content in bucket.objects().values() for line in content.splitlines())
    assert found == Counter(record(number) for number in range(job.final_count))
    if not any(each.stale_records for each in rounds):
        assert bucket.uploads() == 0
