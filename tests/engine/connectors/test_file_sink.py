"""The file sink on a local folder: what becomes visible, when, and under which names."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import DamagedData, JobDefinitionError, StoreRefused
from penstock.common.serialization import Encoder
from penstock.common.typeinfo import TypeInformation, Types
from penstock.common.types import Row
from penstock.connectors.buckets import BucketAssigner, BucketContext, OutputFileConfig, RollingPolicy
from penstock.connectors.encoders import LineEncoder
from penstock.connectors.file_sink import FileSink, RowFormatBuilder
from penstock.testing.clocks import ManualClock
from penstock.testing.sinks import SinkRun

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def lines_to(folder: Path) -> RowFormatBuilder:
    return FileSink.for_row_format(str(folder), LineEncoder(str))


def visible(folder: Path) -> dict[str, list[str]]:
    """Content of all files that a reader of the folder would see."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_text().splitlines() for path in found}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*") if path.is_file()]


def to_base(folder: Path) -> RowFormatBuilder:
    return lines_to(folder).with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())


def test_nothing_is_visible_before_the_commit_and_everything_after_it(tmp_path: Path) -> None:
    run = SinkRun(to_base(tmp_path).build(), clock=ManualClock())
    run.write("a", "b")
    run.checkpoint(1, end_of_input=True)
    assert visible(tmp_path) == {} and len(hidden(tmp_path)) == 1
    run.complete(1)
    assert list(visible(tmp_path).values()) == [["a", "b"]] and hidden(tmp_path) == []


def test_there_is_no_file_where_there_are_no_records(tmp_path: Path) -> None:
    run = SinkRun(to_base(tmp_path / "out").build(), clock=ManualClock())
    run.write()
    run.checkpoint(1)
    run.finish(2)
    assert not (tmp_path / "out").exists()


def test_files_are_called_by_hour_prefix_uuid_number_and_suffix(tmp_path: Path) -> None:
    names = OutputFileConfig.builder().with_part_prefix("pre").with_part_suffix(".txt").build()
    sink = lines_to(tmp_path).with_output_file_config(names)
    sink.with_bucket_assigner(BucketAssigner.date_time_bucket_assigner(timezone_id="UTC"))
    run = SinkRun(sink.build(), clock=ManualClock(1_770_000_000_000))
    run.write("a")
    run.checkpoint(1)
    assert re.fullmatch(rf"\.pre-{UUID}-0\.txt\.inprogress\.{UUID}", hidden(tmp_path)[0])
    run.finish(2)
    assert re.fullmatch(rf"2026-02-02--02/pre-{UUID}-0\.txt", next(iter(visible(tmp_path))))


def test_a_file_goes_on_over_checkpoints_until_its_policy_rolls_it(tmp_path: Path) -> None:
    run = SinkRun(to_base(tmp_path).build(), clock=ManualClock())
    for checkpoint in (1, 2, 3):
        run.write(checkpoint)
        run.checkpoint(checkpoint)
        run.complete(checkpoint)
        assert visible(tmp_path) == {}
    run.finish(4)
    assert list(visible(tmp_path).values()) == [["1", "2", "3"]]


def test_a_full_file_is_left_by_the_next_record_however_records_come(tmp_path: Path) -> None:
    sink = to_base(tmp_path).with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=6))
    run = SinkRun(sink.build(), clock=ManualClock())
    run.write("a", "b")
    run.write("c", "d", "e", "f", "g")
    run.finish(1)
    numbered = {name.rpartition("-")[2]: lines for name, lines in visible(tmp_path).items()}
    assert numbered == {"0": ["a", "b", "c"], "1": ["d", "e", "f"], "2": ["g"]}


@pytest.mark.parametrize(("rollover", "inactivity"), [(60_000, 10**9), (10**9, 60_000)])
def test_an_old_or_idle_file_is_rolled_by_the_bucket_check(tmp_path: Path, rollover: int, inactivity: int) -> None:
    policy = RollingPolicy.default_rolling_policy(rollover_interval=rollover, inactivity_interval=inactivity)
    sink = to_base(tmp_path).with_rolling_policy(policy).with_bucket_check_interval(1_000)
    clock = ManualClock()
    run = SinkRun(sink.build(), clock=clock)
    run.write("a")
    clock.advance(59_000)
    run.checkpoint(1)
    run.complete(1)
    assert visible(tmp_path) == {}
    clock.advance(1_000)
    run.checkpoint(2)
    run.complete(2)
    assert list(visible(tmp_path).values()) == [["a"]]


def test_the_checkpoint_policy_makes_a_file_for_each_checkpoint_with_records(tmp_path: Path) -> None:
    sink = to_base(tmp_path).with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy())
    run = SinkRun(sink.build(), clock=ManualClock())
    for checkpoint, values in enumerate((["a"], [], ["b", "c"]), start=1):
        run.write(*values)
        run.checkpoint(checkpoint)
        run.complete(checkpoint)
    assert sorted(visible(tmp_path).values()) == [["a"], ["b", "c"]]


def test_the_bucket_of_each_record_may_depend_on_it(tmp_path: Path) -> None:
    class ByFirstLetter(BucketAssigner):
        def get_bucket_id(self, element: Any, context: BucketContext) -> str:
            return f"{element[0]}/{context.timestamp}"

    run = SinkRun(lines_to(tmp_path).with_bucket_assigner(ByFirstLetter()).build(), clock=ManualClock())
    run.write("a1", "b1", "a2", timestamps=[7, -(2**63), 7])
    run.finish(1)
    by_folder = {str(Path(name).parent): lines for name, lines in visible(tmp_path).items()}
    assert by_folder == {"a/7": ["a1", "a2"], "b/None": ["b1"]}


def test_a_restored_writer_goes_on_with_its_file(tmp_path: Path) -> None:
    sink, clock = to_base(tmp_path).build(), ManualClock()
    first = SinkRun(sink, clock=clock)
    first.write("a")
    snapshot = first.checkpoint(1)
    first.complete(1)
    first.write("lost")
    second = SinkRun(sink, clock=clock, restored=[snapshot])
    second.write("b")
    second.finish(2)
    assert list(visible(tmp_path).values()) == [["a", "b"]] and hidden(tmp_path) == []


def test_an_attempt_that_runs_on_after_it_was_replaced_changes_nothing(tmp_path: Path) -> None:
    sink, clock = to_base(tmp_path).build(), ManualClock()
    stale = SinkRun(sink, clock=clock)
    stale.write("a")
    snapshot = stale.checkpoint(1)
    stale.complete(1)
    second = SinkRun(sink, clock=clock, restored=[snapshot])
    stale.write("x" * 1_000_000)
    second.write("b")
    stale.checkpoint(2)
    second.finish(2)
    stale.write("y" * 1_000_000)
    stale.checkpoint(3, end_of_input=True)
    assert list(visible(tmp_path).values()) == [["a", "b"]]


def test_what_a_lost_attempt_left_is_removed_once_a_checkpoint_holds(tmp_path: Path) -> None:
    sink, clock = to_base(tmp_path).build(), ManualClock()
    lost = SinkRun(sink, clock=clock)
    lost.write("lost")
    lost.checkpoint(1)
    again = SinkRun(sink, clock=clock)
    again.write("a")
    again.checkpoint(1)
    assert len(hidden(tmp_path)) == 2
    again.complete(1)
    assert len(hidden(tmp_path)) == 1
    again.finish(2)
    assert list(visible(tmp_path).values()) == [["a"]] and hidden(tmp_path) == []


@pytest.mark.parametrize("other", [{"subtask": 1, "parallelism": 2}, {"job": "other"}, {"uid": "other"}])
def test_files_of_other_subtasks_jobs_and_sinks_are_left_alone(tmp_path: Path, other: dict[str, Any]) -> None:
    sink, clock = to_base(tmp_path).build(), ManualClock()
    theirs = SinkRun(sink, clock=clock, **other)
    theirs.write("theirs")
    theirs.checkpoint(1)
    ours = SinkRun(sink, clock=clock, parallelism=2 if "subtask" in other else 1)
    ours.write("ours")
    ours.finish(1)
    theirs.finish(2)
    assert sorted(visible(tmp_path).values()) == [["ours"], ["theirs"]]


def test_writers_that_become_one_publish_the_files_of_both(tmp_path: Path) -> None:
    sink, clock = to_base(tmp_path).build(), ManualClock()
    snapshots = []
    for subtask in (0, 1):
        run = SinkRun(sink, clock=clock, subtask=subtask, parallelism=2)
        run.write(f"s{subtask}")
        snapshots.append(run.checkpoint(1))
    merged = SinkRun(sink, clock=clock, restored=snapshots)
    merged.write("more")
    merged.finish(2)
    assert sorted(visible(tmp_path).values()) == [["s0"], ["s1", "more"]] and hidden(tmp_path) == []


def test_going_back_behind_a_commit_goes_on_with_the_file_as_it_was_then(tmp_path: Path) -> None:
    sink, clock = to_base(tmp_path).build(), ManualClock()
    first = SinkRun(sink, clock=clock)
    first.write("a")
    older = first.checkpoint(1)
    first.complete(1)
    first.write("b")
    first.finish(2)
    second = SinkRun(sink, clock=clock, restored=[older])
    second.write("b")
    second.finish(3)
    assert list(visible(tmp_path).values()) == [["a", "b"]]


def test_a_file_that_is_shorter_than_the_checkpoint_says_is_refused(tmp_path: Path) -> None:
    sink, clock = to_base(tmp_path).build(), ManualClock()
    first = SinkRun(sink, clock=clock)
    first.write("abc")
    snapshot = first.checkpoint(1)
    next(tmp_path.glob(".*")).write_text("a")
    with pytest.raises(DamagedData, match="goes on at 4 bytes, found 1"):
        SinkRun(sink, clock=clock, restored=[snapshot])


def test_a_commit_that_was_done_before_is_done_again_without_harm(tmp_path: Path) -> None:
    sink, clock = to_base(tmp_path).build(), ManualClock()
    first = SinkRun(sink, clock=clock)
    first.write("a")
    snapshot = first.checkpoint(1, end_of_input=True)
    first.complete(1)
    SinkRun(sink, clock=clock, restored=[snapshot]).finish(2)
    assert list(visible(tmp_path).values()) == [["a"]]


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(JobDefinitionError, match="0 bytes"):
        RollingPolicy.default_rolling_policy(part_size=0)
    with pytest.raises(JobDefinitionError, match="'QQ'"):
        BucketAssigner.date_time_bucket_assigner("QQ")
    with pytest.raises(JobDefinitionError, match="Mars"):
        BucketAssigner.date_time_bucket_assigner(timezone_id="Mars")
    rows = FileSink.for_row_format("/out", Encoder.simple_string_encoder())
    with pytest.raises(TypeError, match=r"with_rolling_policy\(\) takes a RollingPolicy, not 5"):
        rows.with_rolling_policy(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"for_row_format\(\) takes an Encoder, not 'text'"):
        FileSink.for_row_format("/out", "text")  # type: ignore[arg-type]


def test_rows_are_written_as_java_prints_them(tmp_path: Path) -> None:
    sink = FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).build()
    run = SinkRun(sink.with_input_type(Types.ROW([Types.STRING(), Types.INT(), Types.BOOLEAN()])), clock=ManualClock())
    run.write(Row("a", None, True))
    run.finish(1)
    assert list(visible(tmp_path).values()) == [["+I[a, null, true]"]]


def test_a_users_own_encoder_writes_the_bytes(tmp_path: Path) -> None:
    class Hex(Encoder):
        def for_type(self, type_info: TypeInformation | None) -> Callable[[Any], bytes]:
            return lambda value: f"{value:x};".encode()

    run = SinkRun(FileSink.for_row_format(str(tmp_path), Hex()).build(), clock=ManualClock())
    run.write(255, 16)
    run.finish(1)
    assert list(visible(tmp_path).values()) == [["ff;10;"]]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    run = SinkRun(to_base(tmp_path / "file" / "out").build(), clock=ManualClock())
    run.write("a")
    with pytest.raises(StoreRefused, match=r"cannot write .*/file/out/.*Not a directory"):
        run.checkpoint(1)
