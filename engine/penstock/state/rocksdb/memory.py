"""The memory that all keyed backends of one worker share when they use RocksDB.

Made once per worker, from `state.backend.rocksdb.memory.*`; given to every backend that the worker opens. One part is
RocksDB's: one cache, with the write buffers inside it. The other is for live objects, divided among the backends that
are open. Importing this module does not load RocksDB: that happens when the first backend asks for the cache.
"""

from dataclasses import dataclass, field
from typing import Any, final


@final
@dataclass(slots=True)
class RocksMemory:
    """A slot's share of memory for keyed state in RocksDB."""

    total_bytes: int
    """`state.backend.rocksdb.memory.fixed-per-slot`, or the slot's part of `fixed-per-tm` or of managed memory."""

    write_buffer_ratio: float = 0.5
    """`state.backend.rocksdb.memory.write-buffer-ratio`: how much of RocksDB's part may be write buffers."""

    overlay_ratio: float = 0.5
    """How much of it all is for live objects, which spare most reads and many writes."""

    _open: int = field(default=0, repr=False)
    _shared: tuple[Any, Any] | None = field(default=None, repr=False)

    def join(self) -> None:
        """A backend has been opened."""
        self._open += 1

    def leave(self) -> None:
        """A backend has been closed."""
        self._open -= 1

    def overlay_bytes(self) -> int:
        """What each open backend may use for live objects now."""
        return int(self.total_bytes * self.overlay_ratio) // max(1, self._open)

    @property
    def buffers_bytes(self) -> int:
        """What all write buffers together may take: RocksDB may overshoot it by half, as Flink divides it too."""
        return int(2 * self._native_bytes * self.write_buffer_ratio / 3)

    @property
    def _native_bytes(self) -> float:
        return self.total_bytes * (1 - self.overlay_ratio)

    def shared(self) -> tuple[Any, Any]:
        """The cache and the write buffer manager; memtables count against the cache, so that its size bounds both."""
        if self._shared is None:
            from rocksdict import Cache, WriteBufferManager

            cache = Cache(int((3 - self.write_buffer_ratio) * self._native_bytes / 3))
            manager = WriteBufferManager.new_write_buffer_manager_with_cache(self.buffers_bytes, False, cache)
            self._shared = (cache, manager)
        return self._shared
