"""A store that loses answers now and then, and judges everything that is written to it and deleted from it.

For simulations of checkpointing: what must always hold is checked at the very moment it could be broken.
"""

from collections.abc import Iterable
from random import Random
from typing import final

from penstock.base.clock import SystemClock
from penstock.base.errors import StoreUnavailable
from penstock.base.ids import CheckpointId, Epoch
from penstock.checkpoint import journal_state as entries
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.journal import decode
from penstock.checkpoint.journal_state import JournalState
from penstock.checkpoint.metadata import decode as decode_metadata
from penstock.storage import Entry, MemoryStore


@final
class Folder:
    """A savepoint's folder, or the one above it, in the simulated store."""

    def __init__(self, store: "JudgingStore", uri: str) -> None:
        self.store, self.uri, self.prefix = store, uri, f"{uri}/"

    def create(self, path: str, data: bytes | memoryview) -> None:
        self.store.create(self.prefix + path, data)

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return self.store.read(self.prefix + path, offset=offset, length=length)

    def delete(self, path: str) -> None:
        self.store.delete_many([self.prefix + path])

    def delete_many(self, paths: Iterable[str]) -> None:
        self.store.delete_many(self.prefix + path for path in paths)

    def list(self, prefix: str) -> list[Entry]:
        found = self.store.list(self.prefix + prefix)
        return [Entry(e.path.removeprefix(self.prefix), e.size, e.modified_ms) for e in found]


@final
class JudgingStore:
    """Loses answers now and then, and judges every write and every deletion."""

    def __init__(self, rng: Random) -> None:
        self.objects = MemoryStore(SystemClock())
        self.rng = rng
        self.calm = False
        self.state = JournalState()
        self.writer = Epoch(0)
        self.completed: set[CheckpointId] = set()
        self.needed: dict[CheckpointId | str, frozenset[str]] = {}
        self.stopped: CheckpointId | None = None
        self.finished = False

    uri = "simulated:"

    def create(self, path: str, data: bytes | memoryview) -> None:
        fault = 1.0 if self.calm else self.rng.random()
        if fault < 0.03:
            raise StoreUnavailable("request lost")
        self.objects.create(path, data)
        if "/journal/" in path:
            self._judge_record(bytes(data), path)
        if fault < 0.06:
            raise StoreUnavailable("answer lost")

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if not self.calm and self.rng.random() < 0.02:
            raise StoreUnavailable("read lost")
        return self.objects.read(path, offset=offset, length=length)

    def delete_many(self, paths: Iterable[str]) -> None:
        for path in paths:
            holders = [id for id, needs in self.needed.items() if path in needs]
            assert not holders, f"{path} is deleted, but retained checkpoints {holders} need it"
            self.objects.delete(path)

    def list(self, prefix: str) -> list[Entry]:
        return self.objects.list(prefix)

    def _judge_record(self, data: bytes, path: str) -> None:
        record = decode(data, path)
        assert record.epoch >= self.writer, f"epoch {record.epoch} publishes although deposed by epoch {self.writer}"
        self.writer = record.epoch
        self.state = self.state.after(record.entry)
        match record.entry:
            case entries.SavepointStopped(id, path, checksum):
                assert self.stopped is None, "a job that was stopped is stopped again"
                self.stopped = id
                self.completed.add(id)
                self.complete_savepoint(path, checksum)
            case entries.Finished(state):
                assert state == "FINISHED" and self.stopped is not None, "nothing else ends these jobs"
                self.finished = True
            case entries.Completed(id=id):
                assert self.stopped is None, f"checkpoint {id} completes after the job was stopped"
                assert id not in self.completed, f"checkpoint {id} completes twice"
                self.completed.add(id)
                metadata = self.objects.read(record.entry.path)
                assert checksum_of(metadata) == record.entry.checksum
                needs = frozenset(f.file.path for f in decode_metadata(metadata, "").files()) | {record.entry.path}
                missing = needs - {entry.path for entry in self.objects.list("")}
                assert not missing, f"checkpoint {id} completes without {missing}"
                self.needed[id] = needs
            case entries.Forgotten(id):
                self.needed.pop(id, None)
            case _:
                pass

    def complete_savepoint(self, path: str, checksum: str) -> None:
        """It is there from now on, whatever happens."""
        data = self.objects.read(f"{path}/_metadata")
        assert checksum_of(data) == checksum
        metadata = decode_metadata(data, path)
        assert metadata.kind == "savepoint"
        files = [f.file for f in metadata.files()]
        assert all(file.root is None for file in files), "a savepoint refers to what lies elsewhere"
        needs = frozenset(f"{path}/{file.path}" for file in files) | {f"{path}/_metadata"}
        missing = needs - {entry.path for entry in self.objects.list(path)}
        assert not missing, f"savepoint {path} completes without {missing}"
        self.needed[path] = needs
