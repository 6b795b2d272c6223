"""Handles travel as JSON: on the wire and in `_metadata`."""

import msgspec

from penstock.base.ids import OperatorUid, SubtaskId, VertexId
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

SHARED = StateFile("000012.sst", FileHandle("j/shared/e1-c3-x", 10, "xxh3:aa"), shared=True)
INLINE = FileHandle("", 3, "xxh3:bb", inline=b"\x00\xffz")
SNAPSHOT = TaskSnapshot(
    SubtaskId(VertexId("v" * 32), 1),
    2,
    (
        OperatorSnapshot(
            OperatorUid("count"),
            1,
            2,
            128,
            keyed=(KeyedHandle("rocksdb", (64, 127), (SHARED,), {"sequence": 5}),),
            operator=OperatorStateHandle({"splits": OperatorListHandle("split", INLINE, ((0, 1), (1, 2)))}),
            states=(StateInfo("n", "value", {"value": {"type": "long"}}),),
            key_type={"type": "string"},
        ),
    ),
)


def test_a_task_snapshot_survives_json_and_msgpack() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SNAPSHOT), type=TaskSnapshot) == SNAPSHOT
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(SNAPSHOT), type=TaskSnapshot) == SNAPSHOT


def test_a_task_snapshot_lists_every_file_it_refers_to() -> None:
    assert list(SNAPSHOT.files()) == [SHARED, StateFile("splits", INLINE)]
