"""Savepoints made by hand, in a folder, without a job: for tests of what reads them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, final

import msgspec

from penstock.base.ids import CheckpointId, Epoch, JobId, OperatorUid
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.metadata import Metadata, OperatorState, SubtaskState, encode
from penstock.common.typeinfo import TypeInformation
from penstock.records.key_groups import range_for
from penstock.state.backend import KeyedBackend
from penstock.state.handles import FileHandle, KeyedHandle, OperatorStateHandle, StateInfo
from penstock.state.open import open_backend
from penstock.state.operator_state import OperatorStateBackend
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings
from penstock.testing.states import MovableClock

JOB = JobId("0123ab" + "0" * 26)
_CHECKPOINT = CheckpointId(7)


@final
class FolderFiles:
    """A SnapshotWriter and reader over one folder, flat."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, data: bytes, *, shared: bool) -> FileHandle:
        path = f"{len(list(self.folder.iterdir()))}-{name}"
        (self.folder / path).write_bytes(data)
        return FileHandle(path, len(data), checksum_of(data))

    def put_file(self, name: str, path: str, *, shared: bool) -> FileHandle:
        return self.write(name, Path(path).read_bytes(), shared=shared)

    def read(self, handle: FileHandle) -> bytes:
        return (self.folder / handle.path).read_bytes()

    def fetch(self, handle: FileHandle, path: str, *, unchanging: bool = False, again: bool = False) -> None:
        Path(path).write_bytes(self.read(handle))


@final
class HandMade:
    """A savepoint in the making: operators are added, then it is written."""

    def __init__(self, folder: Path, *, max_parallelism: int = 128) -> None:
        self.folder = folder
        self.max_parallelism = max_parallelism
        self._files = FolderFiles(folder)
        self._scratch = folder.parent / f"{folder.name}-scratch"
        self._operators: list[OperatorState] = []

    def keyed(
        self,
        uid: str,
        fill: Callable[[KeyedBackend, Callable[[Any], bool]], None],
        *,
        key_type: TypeInformation | None = None,
        parallelism: int = 1,
        backend: Literal["hashmap", "rocksdb"] = "hashmap",
        clock: MovableClock | None = None,
    ) -> "HandMade":
        """`fill` is called once per subtask, with its backend and a function that makes a key current and says whether
        it belongs there."""
        subtasks, infos, key_info = [], dict[str, StateInfo](), None
        for index in range(parallelism):
            opened = self._open(uid, index, parallelism, key_type, backend, clock or MovableClock())
            fill(opened, _chooser(opened, self.max_parallelism))
            subtasks.append(SubtaskState(index, (self._snapshot(opened),)))
            infos |= {info.name: info for info in opened.infos()}
            key_info = opened.key_info() or key_info
            opened.close()
        states = tuple(infos[name] for name in sorted(infos))
        name = uid.capitalize()
        state = OperatorState(
            OperatorUid(uid), parallelism, self.max_parallelism, tuple(subtasks), name, states, key_info
        )
        self._operators.append(state)
        return self

    def listed(self, uid: str, fill: Callable[[OperatorStateBackend], None], *, parallelism: int = 1) -> "HandMade":
        """Operator state; `fill` is called once per subtask."""
        subtasks, infos = [], dict[str, StateInfo]()
        for index in range(parallelism):
            opened = OperatorStateBackend(operator_name=uid, uid=uid, restore=(), infos=(), reader=self._files)
            fill(opened)
            handle: OperatorStateHandle = opened.snapshot(_CHECKPOINT).write(self._files)
            subtasks.append(SubtaskState(index, (), handle))
            infos |= {info.name: info for info in opened.infos()}
        states = tuple(infos[name] for name in sorted(infos))
        name = uid.capitalize()
        self._operators.append(
            OperatorState(OperatorUid(uid), parallelism, self.max_parallelism, tuple(subtasks), name, states)
        )
        return self

    def write(self, **changes: Any) -> Path:
        """Write `_metadata`; the savepoint's folder."""
        fields: Mapping[str, Any] = {
            "kind": "savepoint",
            "job": JOB,
            "job_name": "hand made",
            "checkpoint": _CHECKPOINT,
            "epoch": Epoch(1),
            "triggered_ms": 1_700_000_000_000,
            "fingerprint": "f" * 32,
            "operators": tuple(sorted(self._operators, key=lambda operator: operator.uid)),
        }
        metadata = msgspec.structs.replace(Metadata(**fields), **changes)
        (self.folder / "_metadata").write_bytes(encode(metadata))
        return self.folder

    def _open(
        self,
        uid: str,
        index: int,
        parallelism: int,
        key_type: TypeInformation | None,
        backend: Literal["hashmap", "rocksdb"],
        clock: MovableClock,
    ) -> KeyedBackend:
        return open_backend(
            backend,
            operator_name=uid,
            uid=uid,
            key_groups=range_for(self.max_parallelism, parallelism, index),
            max_parallelism=self.max_parallelism,
            key_type=key_type,
            restore=(),
            reader=self._files,
            directory=self._scratch,
            clock=clock,
            memory=RocksMemory(8 << 20) if backend == "rocksdb" else None,
            settings=StateSettings(),
        )

    def _snapshot(self, backend: KeyedBackend) -> KeyedHandle:
        snapshot = backend.snapshot(_CHECKPOINT, form="full")
        while not snapshot.advance(1.0):
            pass
        return snapshot.write(self._files)


def _chooser(backend: KeyedBackend, max_parallelism: int) -> Callable[[Any], bool]:
    from penstock.records.key_groups import KeyGroups

    groups = KeyGroups(max_parallelism)

    def choose(key: Any) -> bool:
        if not backend.key_groups.first <= groups.groups([key])[0] <= backend.key_groups.last:
            return False
        backend.prepare([key])
        backend.current.key = key
        return True

    return choose
