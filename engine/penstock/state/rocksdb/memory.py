"""The memory that all RocksDB instances of one worker share: one cache, one budget of write buffers within it.

Made once per worker, from `state.backend.rocksdb.memory.*`; given to every backend that the worker opens. Importing
this module does not load RocksDB: that happens when the first backend asks for the cache.
"""

from dataclasses import dataclass, field
from typing import Any, final


@final
@dataclass(slots=True)
class RocksMemory:
    """A slot's share of memory for RocksDB."""

    total_bytes: int
    """`state.backend.rocksdb.memory.fixed-per-slot`, or the slot's part of `fixed-per-tm` or of managed memory."""

    write_buffer_ratio: float = 0.5
    """`state.backend.rocksdb.memory.write-buffer-ratio`: how much of it may be memtables."""

    _shared: tuple[Any, Any] | None = field(default=None, repr=False)

    def shared(self) -> tuple[Any, Any]:
        """The cache and the write buffer manager; memtables count against the cache, whose size bounds both."""
        if self._shared is None:
            from rocksdict import Cache, WriteBufferManager

            # As Flink divides it: RocksDB may overshoot its write buffers by half, so that much is left to them.
            buffers_bytes = int(2 * self.total_bytes * self.write_buffer_ratio / 3)
            cache_bytes = int((3 - self.write_buffer_ratio) * self.total_bytes / 3)
            cache = Cache(cache_bytes)
            manager = WriteBufferManager.new_write_buffer_manager_with_cache(buffers_bytes, False, cache)
            self._shared = (cache, manager)
        return self._shared
