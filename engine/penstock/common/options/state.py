"""Keys of state backends."""

from typing import Final

from penstock.common.options.kinds import (
    BOOLEAN,
    FLOAT,
    INTEGER,
    LIST,
    MEMORY,
    POSITIVE,
    STRING,
    at_least,
    between,
    choice,
)
from penstock.common.options.registry import ignored, option, optional

_OLD: Final = "org.apache.flink.runtime.state."
_OLD_ROCKSDB: Final = "org.apache.flink.contrib.streaming.state."
_NEW_ROCKSDB: Final = "org.apache.flink.state.rocksdb."
LEGACY_BACKENDS: Final = {
    "jobmanager": "hashmap",
    "memory": "hashmap",
    "filesystem": "hashmap",
    "heap": "hashmap",
    "MemoryStateBackend": "hashmap",
    "FsStateBackend": "hashmap",
    "HashMapStateBackend": "hashmap",
    f"{_OLD}memory.MemoryStateBackend": "hashmap",
    f"{_OLD}memory.MemoryStateBackendFactory": "hashmap",
    f"{_OLD}filesystem.FsStateBackend": "hashmap",
    f"{_OLD}filesystem.FsStateBackendFactory": "hashmap",
    f"{_OLD}hashmap.HashMapStateBackend": "hashmap",
    f"{_OLD}hashmap.HashMapStateBackendFactory": "hashmap",
    "RocksDBStateBackend": "rocksdb",
    "EmbeddedRocksDBStateBackend": "rocksdb",
    **{
        f"{package}{name}": "rocksdb"
        for package in (_OLD_ROCKSDB, _NEW_ROCKSDB)
        for name in (
            "RocksDBStateBackend",
            "RocksDBStateBackendFactory",
            "EmbeddedRocksDBStateBackend",
            "EmbeddedRocksDBStateBackendFactory",
        )
    },
}
JOBMANAGER_BACKENDS: Final = frozenset(
    name.lower() for name in LEGACY_BACKENDS if name == "jobmanager" or "memory" in name.lower()
)
"""Old backend names that said at the same time: checkpoints in the JobManager's memory."""

FILESYSTEM_BACKENDS: Final = frozenset(
    name.lower() for name in LEGACY_BACKENDS if name == "filesystem" or ".FsStateBackend" in name
) | {"fsstatebackend"}
"""Old backend names that said at the same time: checkpoints in files."""

BACKEND: Final = option(
    "state.backend.type",
    choice("hashmap", "rocksdb", legacy=LEGACY_BACKENDS),
    "hashmap",
    "Where the working state lives: Python objects on the heap, or RocksDB on disk.",
    "state.backend",
)
_ROCKSDB: Final = "state.backend.rocksdb."
MANAGED: Final = option(
    f"{_ROCKSDB}memory.managed", BOOLEAN, True, "RocksDB takes its memory from the slot's share of managed memory."
)
FIXED_PER_SLOT: Final = optional(f"{_ROCKSDB}memory.fixed-per-slot", MEMORY, "RocksDB's memory in each slot.")
FIXED_PER_TASK_MANAGER: Final = optional(
    f"{_ROCKSDB}memory.fixed-per-tm", MEMORY, "RocksDB's memory in the whole TaskManager, divided by its slots."
)
WRITE_BUFFER_RATIO: Final = option(
    f"{_ROCKSDB}memory.write-buffer-ratio", between(0.0, 1.0), 0.5, "Share of that memory for write buffers."
)
HIGH_PRIORITY_RATIO: Final = option(
    f"{_ROCKSDB}memory.high-prio-pool-ratio",
    between(0.0, 1.0),
    0.1,
    "Share of the cache for indexes and filters.",
    no_effect="RocksDB's own default is used",
)
PARTITIONED_INDEX: Final = option(
    f"{_ROCKSDB}memory.partitioned-index-filters",
    BOOLEAN,
    False,
    "Partition index and filter blocks.",
    no_effect="RocksDB's own default is used",
)
LOCAL_DIRECTORY: Final = optional(
    f"{_ROCKSDB}localdir",
    STRING,
    "Where RocksDB's files lie, and a TaskManager's others; default: below io.tmp.dirs.",
)
PREDEFINED: Final = option(
    f"{_ROCKSDB}predefined-options",
    choice("DEFAULT", "SPINNING_DISK_OPTIMIZED", "SPINNING_DISK_OPTIMIZED_HIGH_MEM", "FLASH_SSD_OPTIMIZED"),
    "DEFAULT",
    "A set of tuned options, under those set one by one.",
    no_effect="RocksDB's own default is used",
)
BLOCK_CACHE: Final = option(f"{_ROCKSDB}block.cache-size", MEMORY, 8 << 20, "Block cache where memory is not managed.")
BLOCK_SIZE: Final = option(f"{_ROCKSDB}block.blocksize", MEMORY, 4 << 10, "Size of a block of data.")
METADATA_BLOCK_SIZE: Final = option(
    f"{_ROCKSDB}block.metadata-blocksize",
    MEMORY,
    4 << 10,
    "Size of an index block.",
    no_effect="RocksDB's own default is used",
)
WRITE_BUFFER_SIZE: Final = option(f"{_ROCKSDB}writebuffer.size", MEMORY, 64 << 20, "Size of one write buffer.")
WRITE_BUFFER_COUNT: Final = option(f"{_ROCKSDB}writebuffer.count", POSITIVE, 2, "Write buffers per state.")
WRITE_BUFFER_MERGE: Final = option(
    f"{_ROCKSDB}writebuffer.number-to-merge",
    POSITIVE,
    1,
    "Write buffers merged before they are flushed.",
    no_effect="RocksDB's own default is used",
)
WRITE_BATCH_SIZE: Final = option(
    f"{_ROCKSDB}write-batch-size",
    MEMORY,
    2 << 20,
    "Bytes per batch of writes; 0: no bound.",
    no_effect="RocksDB's own default is used",
)
THREADS: Final = option(
    f"{_ROCKSDB}thread.num",
    POSITIVE,
    2,
    "Threads for flushes and compactions.",
    no_effect="RocksDB's own default is used",
)
TRANSFER_THREADS: Final = option(
    f"{_ROCKSDB}checkpoint.transfer.thread.num", POSITIVE, 4, "Threads that upload and download files."
)
OPEN_FILES: Final = option(
    f"{_ROCKSDB}files.open",
    at_least(INTEGER, 1, or_else=-1),
    -1,
    "Open files; -1: no bound.",
    no_effect="RocksDB's own default is used",
)
USE_BLOOM_FILTER: Final = option(
    f"{_ROCKSDB}use-bloom-filter", BOOLEAN, False, "Filters that spare reads of absent keys."
)
BLOOM_BITS: Final = option(f"{_ROCKSDB}bloom-filter.bits-per-key", FLOAT, 10.0, "Bits per key of such a filter.")
COMPACTION_STYLE: Final = option(
    f"{_ROCKSDB}compaction.style",
    choice("LEVEL", "UNIVERSAL", "FIFO", "NONE"),
    "LEVEL",
    "How files are compacted.",
    no_effect="RocksDB's own default is used",
)
LEVEL_BASE: Final = option(
    f"{_ROCKSDB}compaction.level.max-size-level-base",
    MEMORY,
    256 << 20,
    "Size of the first level.",
    no_effect="RocksDB's own default is used",
)
LEVEL_FILE: Final = option(
    f"{_ROCKSDB}compaction.level.target-file-size-base", MEMORY, 64 << 20, "Size of a file of the first level."
)
LEVEL_DYNAMIC: Final = option(
    f"{_ROCKSDB}compaction.level.use-dynamic-size",
    BOOLEAN,
    False,
    "Let RocksDB choose the sizes of levels.",
    no_effect="RocksDB's own default is used",
)
COMPRESSION: Final = option(
    f"{_ROCKSDB}compression.per.level",
    LIST,
    ("SNAPPY_COMPRESSION",),
    "Compression, by level from the first.",
    no_effect="RocksDB's own default is used",
)
TIMER_SERVICE: Final = option(
    f"{_ROCKSDB}timer-service.factory",
    choice("ROCKSDB", "HEAP"),
    "ROCKSDB",
    "Where timers are kept.",
    no_effect="timers are state like any other, on either backend",
)

ignored(
    "RocksDB is used from Python here, where Java's options factories do not exist",
    f"{_ROCKSDB}options-factory",
)
