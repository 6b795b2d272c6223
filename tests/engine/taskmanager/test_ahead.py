"""State that is opened for tasks to come: taken once, for exactly what it was made of, and never left lying about."""

from pathlib import Path
from typing import final

import pytest

from penstock.base.ids import CheckpointId, Epoch, JobId, OperatorUid, SubtaskId, VertexId
from penstock.checkpoint.fetched import FetchedFiles
from penstock.checkpoint.files import JobFolder, SnapshotFiles, SnapshotReading
from penstock.checkpoint.layout import Provenance
from penstock.common.typeinfo import Types
from penstock.graph.job_graph import ChainedOperator, JobGraph, JobVertex
from penstock.records.key_groups import KeyGroupRange, key_group, range_for
from penstock.rpc.messages import RestoreAhead, StateAhead
from penstock.state.backend import KeyedBackend
from penstock.state.descriptors import ValueStateDescriptor
from penstock.state.handles import KeyedHandle
from penstock.state.open import open_backend
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.rocksdb.restore import Restored
from penstock.state.settings import StateSettings
from penstock.storage.files import FileStore
from penstock.taskmanager.ahead import AheadStates
from penstock.testing.states import MovableClock

V, UID = VertexId("a" * 32), OperatorUid("count")
GROUPS = 8
VALUE = ValueStateDescriptor("value", Types.LONG())
SETTINGS = StateSettings(incremental=True)
OPERATOR = ChainedOperator(
    uid=UID,
    uid_given=True,
    name="count",
    factory=b"",
    parent=None,
    tag=None,
    keyed=True,
    key_type=None,
    coordinator=None,
    bounded=True,
)
VERTEX = JobVertex(
    id=V, name="count", chain=(OPERATOR,), parallelism=1, max_parallelism=GROUPS, slot_sharing_group="default"
)
GRAPH = JobGraph(
    name="job", vertices=(VERTEX,), edges=(), configuration={}, prelude=b"", files=(), python_path=(), fingerprint="f"
)


@final
class OneWorker:
    """What there is around the state of one worker, with a checkpoint of a hundred keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = RocksMemory(4 << 20)
        self.store = FileStore(folder / "store")
        fetched = FetchedFiles(folder / "fetched")
        self.reading = SnapshotReading(self.store, open_root=FileStore, fetched=fetched)
        self.ahead = AheadStates(folder / "ahead", self.reading, self.memory, SETTINGS)
        self.handles = (self._checkpoint(),)

    def open(self, key_groups: KeyGroupRange, handles: tuple[KeyedHandle, ...], ahead: Restored | None) -> KeyedBackend:
        return open_backend(
            "rocksdb",
            operator_name="count",
            uid=UID,
            key_groups=key_groups,
            max_parallelism=GROUPS,
            key_type=Types.LONG(),
            restore=handles,
            reader=self.reading,
            directory=self.folder / "task",
            clock=MovableClock(),
            memory=self.memory,
            settings=SETTINGS,
            ahead=ahead,
        )

    def ask(self, request: int, *subtasks: int) -> None:
        """For some of two subtasks."""
        tasks = tuple(StateAhead(SubtaskId(V, index), 2, (self.handles,)) for index in subtasks)
        self.ahead.begin(RestoreAhead(request, tasks), GRAPH)()

    def opened(self) -> int:
        """How many databases are open for tasks to come."""
        return len(list((self.folder / "ahead").glob("*")))

    def _checkpoint(self) -> KeyedHandle:
        backend = self.open(range_for(GROUPS, 1, 0), (), None)
        value = backend.state(VALUE)
        backend.prepare(range(100))
        for key in range(100):
            backend.current.key = key
            value.update(key * 10)
        snapshot = backend.snapshot(CheckpointId(1), form="incremental")
        while not snapshot.advance(1.0):
            pass
        place = JobFolder(self.store, JobId("j" * 32), Provenance(Epoch(1), CheckpointId(1)))
        handle = snapshot.write(
            SnapshotFiles(place, writer="w", inline_max_bytes=0, random=iter("0123456789").__next__)
        )
        backend.close()
        return handle


@pytest.fixture
def worker(tmp_path: Path) -> OneWorker:
    return OneWorker(tmp_path)


def test_a_task_works_on_what_was_opened_for_it(worker: OneWorker) -> None:
    worker.ask(1, 1)
    own = range_for(GROUPS, 2, 1)
    restored = worker.ahead.take(UID, own, worker.handles)
    assert restored is not None
    backend = worker.open(own, worker.handles, restored)
    found = {key: value for key, _, _, value in backend.entries("value")}
    assert found == {key: key * 10 for key in range(100) if key_group(key, GROUPS) in own}
    backend.close()
    assert worker.opened() == 0


def test_it_is_taken_once_and_for_exactly_what_it_was_made_of(worker: OneWorker) -> None:
    worker.ask(1, 0)
    own = range_for(GROUPS, 2, 0)
    assert worker.ahead.take(UID, range_for(GROUPS, 2, 1), worker.handles) is None
    assert worker.ahead.take(UID, own, ()) is None
    assert worker.ahead.take("another", own, worker.handles) is None
    restored = worker.ahead.take(UID, own, worker.handles)
    assert restored is not None
    assert worker.ahead.take(UID, own, worker.handles) is None
    restored.close()


def test_what_nobody_takes_goes_with_the_next_request(worker: OneWorker) -> None:
    worker.ask(1, 0, 1)
    assert worker.opened() == 2
    worker.ask(2, 1)
    assert worker.opened() == 1
    assert worker.ahead.take(UID, range_for(GROUPS, 2, 0), worker.handles) is None
    worker.ask(3)
    assert worker.opened() == 0
    assert [path.name for path in (worker.folder / "fetched").iterdir()] == [".holders"]


def test_what_is_opened_too_late_is_closed_again(worker: OneWorker) -> None:
    tasks = (StateAhead(SubtaskId(V, 0), 2, (worker.handles,)),)
    late = worker.ahead.begin(RestoreAhead(1, tasks), GRAPH)
    worker.ahead.begin(RestoreAhead(2, ()), GRAPH)
    late()
    assert worker.opened() == 0
    assert not (worker.folder / "fetched").exists()


def test_a_file_that_is_gone_is_left_for_the_task_to_tell(worker: OneWorker) -> None:
    for handle in worker.handles:
        for file in handle.files:
            worker.store.delete(file.file.path)
    worker.ask(1, 0)
    assert worker.ahead.take(UID, range_for(GROUPS, 2, 0), worker.handles) is None
    assert worker.opened() == 0
    worker.ask(2)
