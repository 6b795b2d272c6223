"""Objects in this process's memory: for tests, and for jobs that keep nothing beyond their own life."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import final

from penstock.base.clock import Clock
from penstock.base.errors import AlreadyExists, NotFound
from penstock.storage.objects import Entry, checked_path, checked_prefix, probe_creates


@final
class MemoryStore:
    """An ObjectStore that lives and dies with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[bytes, int]] = {}
        self._lock = threading.Lock()

    @property
    def uri(self) -> str:
        return "memory:"

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        try:
            data, _ = self._objects[checked_path(path)]
        except KeyError:
            raise NotFound(f"{path} is not in {self.uri}") from None
        return data[offset:] if length is None else data[offset : offset + length]

    def create(self, path: str, data: bytes | memoryview) -> None:
        checked_path(path)
        content = bytes(data)
        with self._lock:
            if path in self._objects:
                raise AlreadyExists(f"{path} is already in {self.uri}")
            self._objects[path] = (content, self._clock.now_ms())

    def put_file(self, path: str, local_file: Path) -> None:
        self.create(path, local_file.read_bytes())

    def fetch_file(self, path: str, local_file: Path, *, unchanging: bool = False) -> None:
        local_file.write_bytes(self.read(path))

    def delete(self, path: str) -> None:
        checked_path(path)
        with self._lock:
            self._objects.pop(path, None)

    def delete_many(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.delete(path)

    def list(self, prefix: str) -> list[Entry]:
        checked_prefix(prefix)
        with self._lock:
            found = [(p, len(data), at) for p, (data, at) in self._objects.items() if p.startswith(prefix)]
        return sorted(Entry(path, size, at) for path, size, at in found)

    def probe(self) -> None:
        probe_creates(self)
