"""A job's checkpoint folder as the engine's own code leaves it, with no job behind it: for tests of who else reads it.

Journal, `_metadata` and file names are the product's; only the state in the files is made up.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import final

from penstock.base.clock import SystemClock
from penstock.base.errors import StorageError
from penstock.base.ids import CheckpointId, JobId, OperatorUid
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.handles import FileHandle, KeyedHandle, StateFile
from penstock.checkpoint.journal import Journal
from penstock.checkpoint.journal_state import (
    IDS_AHEAD,
    Completed,
    Entry,
    FromEmpty,
    JournalState,
    Origin,
    SavepointStopped,
    Started,
)
from penstock.checkpoint.layout import METADATA, Provenance, exclusive_path, file_name, shared_path
from penstock.checkpoint.metadata import Metadata, OperatorState, SubtaskState
from penstock.checkpoint.publish import delete_files, job_files, write_metadata
from penstock.checkpoint.recovery import Recovery, RestorePlan, read_metadata, retained_of
from penstock.checkpoint.retention import Retention
from penstock.checkpoint.savepoints import Note, new_target, note, write_savepoint
from penstock.storage.objects import ObjectStore

_SECOND_MS = 1000


@final
class StoredJob:
    """One job in one store, seen by one JobManager after the other."""

    def __init__(self, open_root: Callable[[str], ObjectStore], root: str, job: JobId, owner: str = "first") -> None:
        """`root`: address of the checkpoint folder."""
        self.root = root
        self.job = job
        self.store = open_root(root)
        self._open_root = open_root
        self._rng = Random(0)
        self._bytes = 0
        self.lead(owner)

    @property
    def state(self) -> JournalState:
        return self.journal.state

    def lead(self, owner: str) -> JournalState:
        """Another JobManager takes the job over."""
        self.journal = Journal(self.store, self.job, owner, clock=SystemClock(), rng=self._rng)
        self.journal.take_epoch()
        return self.journal.state

    def start(self, origin: Origin | None = None) -> None:
        self.journal.append(Started(origin or FromEmpty(), "fingerprint"))

    def append(self, entry: Entry) -> None:
        self.journal.append(entry)

    def upload(self, label: str, id: int, *, shared: bool) -> StateFile:
        """A file for checkpoint `id`."""
        name = file_name(Provenance(self.journal.epoch, CheckpointId(id)), label, f"{self._rng.getrandbits(64):016x}")
        place = shared_path(self.job, name) if shared else exclusive_path(self.job, CheckpointId(id), name)
        return StateFile(label, self._written(self.store, place), shared)

    def complete(self, shared: Iterable[StateFile] = (), *, id: int | None = None, max_parallelism: int = 128) -> int:
        """Checkpoint: with a file of its own, and these."""
        known = max((c.id for c in self.state.retained), default=0)
        number = CheckpointId(id or max(known + 1, self.state.first_id))
        files = (self.upload("own", number, shared=False), *shared)
        path, checksum = write_metadata(self.store, self.metadata("checkpoint", number, files, max_parallelism))
        self.journal.append(Completed(number, path, checksum, CheckpointId(number + 1 + IDS_AHEAD)))
        return number

    def savepoint(self, directory: str, *, stop: bool = False, noted: bool = False, whole: bool = True) -> str:
        """Its address. `noted`: the JobManager died before it could take its note away."""
        target = new_target(directory, self.job, f"{self._rng.getrandbits(48):012x}")
        store, id = self._open_root(target), CheckpointId(self.state.ids_below)
        if noted:
            note(self.store, self.job, Note(f"{self._rng.getrandbits(128):032x}", target))
        file = StateFile("table", self._written(store, f"uid/{id}.parquet"))
        if not whole:
            return target
        checksum = write_savepoint(self._open_root, target, self.metadata("savepoint", id, (file,)))
        if stop:
            self.journal.append(SavepointStopped(id, target, checksum))
        return target

    def metadata(self, kind: str, id: int, files: Iterable[StateFile], max_parallelism: int = 128) -> Metadata:
        handle = KeyedHandle("hashmap", (0, max_parallelism - 1), tuple(files))
        operator = OperatorState(OperatorUid("count"), 1, max_parallelism, (SubtaskState(0, (handle,)),))
        return Metadata(
            kind="savepoint" if kind == "savepoint" else "checkpoint",
            job=self.job,
            checkpoint=CheckpointId(id),
            epoch=self.journal.epoch,
            triggered_ms=id * _SECOND_MS,
            fingerprint="fingerprint",
            operators=(operator,),
        )

    def recovery(self) -> RestorePlan:
        """What a JobManager would go on from now. DamagedData where that is not whole."""
        return Recovery(self.store, self.job, self._open_root, False, self.journal.confirm).plan(self.journal.open())

    def sweep(self) -> None:
        """What a new reign begins with: what nobody needs is deleted."""
        state = self.state
        retention = Retention(3, retained_of(self.store, state), first_id=state.first_id)
        gone = retention.sweep(job_files(self.store, self.job), decided_below=state.first_id, referred=())
        delete_files(self.store, gone)

    def files(self) -> set[str]:
        """All there is but the journal."""
        return {e.path for e in self.store.list(f"{self.job}/") if "/journal/" not in e.path}

    def needed(self) -> set[str]:
        """What the retained checkpoints need; StorageError or DamagedData where one cannot be read."""
        found: set[str] = set()
        for kept in retained_of(self.store, self.state):
            if kept.shared is None:
                raise StorageError(f"checkpoint {kept.id} cannot be read")
            found |= kept.exclusive | kept.shared
        return found

    def _written(self, store: ObjectStore, path: str) -> FileHandle:
        self._bytes += 1
        data = b"x" * self._bytes
        store.create(path, data)
        return FileHandle(path, len(data), checksum_of(data))


def is_whole(open_root: Callable[[str], ObjectStore], address: str) -> bool:
    """Whether a savepoint is there with every file; raises where `_metadata` names what is missing."""
    store = open_root(address)
    if not store.list(METADATA):
        return False
    sizes = {entry.path: entry.size for entry in store.list("")}
    for path in read_metadata(store, METADATA).paths(shared=False):
        assert path in sizes, f"{address} names {path}, which is missing"
    return True
