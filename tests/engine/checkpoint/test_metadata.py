"""`_metadata`: readable, verified, refused with a sentence when it cannot be used."""

import json

import msgspec
import pytest

from penstock.base.errors import DamagedData, IncompatibleState, StateError
from penstock.base.ids import CheckpointId, Epoch, JobId, OperatorUid, SubtaskId, VertexId
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.handles import (
    FileHandle,
    KeyedHandle,
    OperatorListHandle,
    OperatorSnapshot,
    OperatorStateHandle,
    StateFile,
    StateInfo,
    TaskSnapshot,
)
from penstock.checkpoint.metadata import Metadata, decode, encode, gather
from penstock.checkpoint.plan import TaskShape

VERTEX = VertexId("c" * 32)
UID = OperatorUid("count")


def task(index: int, *, key_type: str | None = "long", finished: bool = False, value: str = "long") -> TaskSnapshot:
    table = StateFile("1.sst", FileHandle(f"j/shared/e1-c2-{index}", 9, "xxh3:0"), shared=True)
    splits = OperatorListHandle("split", FileHandle("", 2, checksum_of(b"ab"), inline=b"ab"), ((0, 1), (1, 1)))
    return TaskSnapshot(
        SubtaskId(VERTEX, index),
        0,
        (
            OperatorSnapshot(
                UID,
                index,
                2,
                128,
                keyed=(KeyedHandle("rocksdb", (index * 64, index * 64 + 63), (table,)),),
                operator=OperatorStateHandle({"splits": splits}),
                states=(StateInfo("n", "value", {"value": {"type": value}}),),
                key_type={"key": [key_type, []]} if key_type else None,
                name="Count",
            ),
        ),
        finished=finished,
    )


def metadata(*tasks: TaskSnapshot) -> Metadata:
    return Metadata(
        job=JobId("j"),
        checkpoint=CheckpointId(2),
        epoch=Epoch(1),
        triggered_ms=5,
        fingerprint="f",
        operators=gather(tasks or (task(0), task(1)), (), {UID: b"enumerator"}),
    )


def test_metadata_survives_a_round_trip_and_is_plain_json() -> None:
    data = encode(metadata())
    assert decode(data, "x") == metadata()
    plain = json.loads(data)
    assert plain["format"] == 1
    assert plain["content"]["operators"][0]["uid"] == "count"
    assert metadata().paths(shared=True) == {"j/shared/e1-c2-0", "j/shared/e1-c2-1"}
    assert metadata().paths(shared=False) == frozenset()


def test_every_truncation_and_every_flipped_byte_is_found() -> None:
    data = encode(metadata())
    for length in range(0, len(data), 7):
        with pytest.raises(DamagedData, match="chk-2/_metadata"):
            decode(data[:length], "chk-2/_metadata")
    for at in range(0, len(data), 5):
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises((DamagedData, IncompatibleState)):
            decode(flipped, "chk-2/_metadata")


def test_a_newer_format_is_refused_even_if_nothing_else_of_it_is_known() -> None:
    with pytest.raises(IncompatibleState, match="x has format 2; this Penstock reads up to format 1"):
        decode(b'{"format": 2, "all": "different"}', "x")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"parallelism": 0}, "parallelism 0"),
        ({"max_parallelism": 100}, "key groups"),
        ({"parallelism": 1}, "subtasks"),
    ],
)
def test_contradictions_are_damage(change: dict[str, int], fault: str) -> None:
    good = metadata()
    bad = msgspec.structs.replace(good, operators=(msgspec.structs.replace(good.operators[0], **change),))
    with pytest.raises(DamagedData, match=fault):
        decode(encode(bad), "x")


def test_a_path_that_leaves_the_folder_is_damage() -> None:
    bad = msgspec.structs.replace(
        task(0).operators[0], keyed=(KeyedHandle("b", (0, 63), (StateFile("x", FileHandle("../x", 1, "")),)),)
    )
    with pytest.raises(DamagedData, match="no path"):
        decode(encode(metadata(TaskSnapshot(SubtaskId(VERTEX, 0), 0, (bad,)))), "x")


def test_what_subtasks_say_is_put_together() -> None:
    (operator,) = gather((task(1, key_type=None), task(0)), (), {UID: b"e"})
    assert (operator.parallelism, operator.max_parallelism, operator.name) == (2, 128, "Count")
    assert operator.key_type == {"key": ["long", []]}
    assert [subtask.index for subtask in operator.subtasks] == [0, 1]
    assert operator.coordinator == b"e"
    assert not operator.finished


def test_subtasks_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(StateError, match="keys of Count have two types"):
        gather((task(0), task(1, key_type="string")), (), {})
    with pytest.raises(StateError, match="state 'n' of Count has two types"):
        gather((task(0), task(1, value="string")), (), {})


def test_an_operator_is_finished_when_all_its_subtasks_are() -> None:
    gone = TaskShape(SubtaskId(VERTEX, 1), (UID,), 2, 128, frozenset())
    (operator,) = gather((task(0, finished=True),), (gone,), {})
    assert operator.finished
    (operator,) = gather((task(0),), (gone,), {})
    assert not operator.finished
    assert [subtask.finished for subtask in operator.subtasks] == [False, True]


def test_rebased_metadata_points_into_another_folder() -> None:
    rebased = metadata().rebased("s3://bucket/savepoint")
    roots = {file.file.root for file in rebased.files() if file.file.inline is None}
    assert roots == {"s3://bucket/savepoint"}
    assert rebased.paths(shared=True) == frozenset()
    assert decode(encode(rebased), "x") == rebased
