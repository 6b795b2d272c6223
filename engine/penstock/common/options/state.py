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

_TOLD: Final = {
    "actual-delayed-write-rate": "Bytes per second that writes are held to; 0: they are not.",
    "background-errors": "Errors of flushes and compactions so far.",
    "block-cache-capacity": "Size of the block cache.",
    "block-cache-pinned-usage": "Bytes in the block cache that are in use.",
    "block-cache-usage": "Bytes in the block cache.",
    "compaction-pending": "1 if a compaction is due.",
    "cur-size-active-mem-table": "Bytes of the active memtable.",
    "cur-size-all-mem-tables": "Bytes of memtables that are not flushed yet.",
    "estimate-live-data-size": "Bytes of live data in table files, about.",
    "estimate-num-keys": "Entries, about.",
    "estimate-pending-compaction-bytes": "Bytes that compaction has to rewrite, about.",
    "estimate-table-readers-mem": "Bytes that readers of tables take beside the block cache, about.",
    "is-write-stopped": "1 if writes are stopped.",
    "live-sst-files-size": "Bytes of the table files of the newest version.",
    "mem-table-flush-pending": "1 if a flush is due.",
    "num-deletes-active-mem-table": "Deletions in the active memtable.",
    "num-deletes-imm-mem-tables": "Deletions in memtables that are not flushed yet.",
    "num-entries-active-mem-table": "Entries in the active memtable.",
    "num-entries-imm-mem-tables": "Entries in memtables that are not flushed yet.",
    "num-files-at-level": "Table files, level by level.",
    "num-immutable-mem-table": "Memtables that are not flushed yet.",
    "num-live-versions": "Versions that are still in use.",
    "num-running-compactions": "Compactions under way.",
    "num-running-flushes": "Flushes under way.",
    "num-snapshots": "Snapshots of the database that are not released.",
    "size-all-mem-tables": "Bytes of all memtables.",
    "total-sst-files-size": "Bytes of all table files.",
}
_COUNTED: Final = {
    "block-cache-hit": "Blocks that were found in the cache.",
    "block-cache-miss": "Blocks that were not.",
    "bloom-filter-full-positive": "Times that a filter has not spared a read.",
    "bloom-filter-full-true-positive": "Times that it has not, and the key was there.",
    "bloom-filter-useful": "Times that a filter has spared a read.",
    "bytes-read": "Bytes that were read by key.",
    "bytes-written": "Bytes that were written.",
    "compaction-read-bytes": "Bytes that compaction has read.",
    "compaction-write-bytes": "Bytes that compaction has written.",
    "iter-bytes-read": "Bytes that were read by iterating.",
    "stall-micros": "Time that writes have waited for flushes and compactions.",
}
ROCKSDB_PROPERTIES: Final = {
    name: option(f"{_ROCKSDB}metrics.{name}", BOOLEAN, False, f"A metric of each state: {text}")
    for name, text in _TOLD.items()
}
"""By the property's name."""
ROCKSDB_COUNTERS: Final = {
    name: option(f"{_ROCKSDB}metrics.{name}", BOOLEAN, False, f"A metric of each database: {text}")
    for name, text in _COUNTED.items()
}
"""Any of them has RocksDB count, which takes some of its time."""
FAMILY_AS_VARIABLE: Final = option(
    f"{_ROCKSDB}metrics.column-family-as-variable",
    BOOLEAN,
    False,
    "A state's name is a label of those metrics, not part of their names.",
)

ignored(
    "RocksDB is used from Python here, where Java's options factories do not exist",
    f"{_ROCKSDB}options-factory",
)
