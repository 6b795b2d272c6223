"""What the backends can be told, resolved from the job's configuration by whoever opens them."""

from typing import final

import msgspec

MIB = 1 << 20


@final
class StateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of both backends."""

    incremental: bool = False
    """RocksDB: upload only what no confirmed checkpoint has. The hashmap backend always writes changed keys only."""

    build_on_restored: bool = True
    """Whether the first checkpoint may refer to the files it was restored from: they are the job's own, or claimed."""

    touched_set_keys: int = 300_000
    """Hashmap: how many keys are noted in one set before another is begun. CPython makes room for a million just above
    this, and stops the stream for 30 ms."""

    dense_keys: int = 10_000
    """Hashmap: if as many keys and more than half of all are touched, no more are noted and the next snapshot holds
    all keys. A chain with so large a change would be rewritten anyway, and noting takes longer than writing."""

    write_buffer_bytes: int = 16 * MIB
    """RocksDB: size of one memtable. Small ones are faster to look into; `RocksMemory` bounds all together."""

    block_bytes: int = 4096
    """RocksDB: size of a block of a table file."""

    target_file_bytes: int = 64 * MIB
    """RocksDB: size of the table files that compaction writes."""

    bloom_bits_per_key: float = 10.0
    """RocksDB: size of the filters that spare a read for absent keys; 0: none."""

    compression: str = "snappy"
    """RocksDB: none, snappy, lz4 or zstd."""

    transfer_threads: int = 4
    """RocksDB: how many files are uploaded or downloaded at once."""

    properties: tuple[str, ...] = ()
    """RocksDB: which of its properties are told of each state, as metrics."""

    counters: tuple[str, ...] = ()
    """RocksDB: which of its counters are told of each database, as metrics. With any it counts, which takes time."""

    family_as_variable: bool = False
    """RocksDB: whether a state's name is a variable of those metrics, and not a part of their names."""
