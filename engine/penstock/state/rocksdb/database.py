"""The RocksDB instance of one operator's subtask: options, writing, native checkpoints. Nothing of keys or types.

Everything is called on the task's thread except `checkpoint`, which releases the GIL and runs in a thread of its own.
"""

import logging
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast, final

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Checkpoint,
    DataBlockIndexType,
    DBCompressionType,
    IngestExternalFileOptions,
    Options,
    Rdict,
    ReadOptions,
    SstFileWriter,
    WriteBatch,
    WriteOptions,
)

from penstock.base.errors import ConfigurationError, DamagedData
from penstock.state.rocksdb.figures import NativeFigures
from penstock.state.rocksdb.layout import end_of
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings

log: Final = logging.getLogger(__name__)

DEFAULT_FAMILY: Final = "default"
_LOG_BYTES: Final = 1 << 20
_READ_AHEAD_BYTES: Final = 2 << 20
_TABLES_PER_THREAD: Final = 16
"""Opening a database looks into all its tables; below so many, starting a thread takes longer than it spares."""
_OPENING_THREADS_MAX: Final = 16
_TABLE_ENTRIES: Final = 1_000_000
"""So many entries of another database go into one table file."""
_COMPRESSIONS: Final = ("none", "snappy", "lz4", "zstd")


@final
class Family:
    """One column family: one state."""

    __slots__ = ("get", "handle", "name", "rdict")

    def __init__(self, name: str, rdict: Any, handle: Any) -> None:
        self.name = name
        self.rdict = rdict
        self.handle = handle
        self.get = rdict.get

    def scan(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All entries from `begin`, included, to `end`, excluded, as they are now. About 1 us each."""
        options = ReadOptions()
        options.set_iterate_upper_bound(end)
        entries = self.rdict.iter(options)
        entries.seek(begin)
        while entries.valid():
            yield entries.key(), entries.value()
            entries.next()
        entries.status()

    def read_many(self, begin: bytes, end: bytes, count: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """As `scan`, up to `count` entries at a time, past the cache, which others need more."""
        options: Any = cast(Any, ReadOptions())
        options.set_iterate_upper_bound(end)
        options.fill_cache(False)
        entries = self.rdict.items(from_key=begin, read_opt=options)
        last, found = begin, False
        while many := list(islice(entries, count)):
            last, found = many[-1][0], True
            yield many
        self.check_end(last, end, found=found)

    def check_end(self, last: bytes, end: bytes, *, found: bool) -> None:
        """DamagedData unless nothing follows `last` before `end`: that items() ended is no proof that all was read."""
        options = ReadOptions()
        options.set_iterate_upper_bound(end)
        entries = self.rdict.iter(options)
        entries.seek(last)
        if found and entries.valid():
            entries.next()
        try:
            entries.status()
        except Exception as error:
            raise DamagedData(f"the state {self.name} cannot be read to its end: {error}") from error
        if entries.valid():
            raise DamagedData(f"the state {self.name} was not read to its end")

    def scan_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self.scan(prefix, end_of(prefix))


@final
class Database:
    """An open instance in a folder of its own."""

    def __init__(self, path: Path, memory: RocksMemory, settings: StateSettings, *, read_only: bool = False) -> None:
        """Opens what lies in `path`, or makes it."""
        self.path = path
        self._memory = memory
        self._settings = settings
        self._write_options: Any = cast(Any, WriteOptions())
        # A crash loses this folder anyway: what counts is the last checkpoint.
        self._write_options.disable_wal = True
        path.mkdir(parents=True, exist_ok=True)
        self._opening_threads = min(1 + sum(1 for _ in path.glob("*.sst")) // _TABLES_PER_THREAD, _OPENING_THREADS_MAX)
        names = Rdict.list_cf(str(path), Options(raw_mode=True)) if (path / "CURRENT").exists() else []
        families = {name: self._options() for name in names}
        options = self._options()
        self._figures = NativeFigures(settings.properties, settings.counters, options)
        try:
            access = AccessType.read_only() if read_only else AccessType.read_write()
            self._rdict = Rdict(str(path), options, column_families=families or None, access_type=access)
        except Exception as error:
            raise DamagedData(f"RocksDB cannot open the state in {path}: {error}") from error
        self.families = {name: self._family(name) for name in names if name != DEFAULT_FAMILY}

    def family(self, name: str) -> Family:
        """The column family of this name, made if there is none."""
        found = self.families.get(name)
        if found is None:
            self._rdict.create_column_family(name, self._options())
            found = self.families[name] = self._family(name)
        return found

    def batch(self) -> Any:
        return WriteBatch(raw_mode=True)

    def write(self, batch: Any) -> None:
        self._rdict.write(batch, self._write_options)

    def take_over(self, source: Family, begin: bytes, end: bytes, scratch: Path) -> None:
        """Add the entries of another database's family in this span, where this one has none.

        They become table files at once, without memtables and compactions: 1.1 us an entry, a third of what it costs
        to write them in batches.
        """
        options = ReadOptions()
        options.set_iterate_upper_bound(end)
        options.set_readahead_size(_READ_AHEAD_BYTES)
        target = self.family(source.name)
        scratch.mkdir(parents=True, exist_ok=True)
        items = source.rdict.items(from_key=begin, read_opt=options)
        files: list[str] = []
        last = begin
        for key, value in items:
            path = str(scratch / f"{len(files)}.sst")
            files.append(path)
            writer = SstFileWriter(self._options())
            writer.open(path)
            writer[key] = value
            last = key
            for last, value in islice(items, _TABLE_ENTRIES):
                writer[last] = value
            writer.finish()
        source.check_end(last, end, found=bool(files))
        if files:
            how = IngestExternalFileOptions()
            how.set_move_files(True)
            target.rdict.ingest_external_file(files, how)

    def checkpoint(self, path: Path) -> None:
        """A consistent copy of all that was written, by links where the file system can. In a thread: 40-300 ms."""
        # Flushing releases the GIL; the native checkpoint does not, and would flush by itself.
        for family in tuple(self.families.values()):
            family.rdict.flush(True)
        Checkpoint(self._rdict).create_checkpoint(str(path))

    def keep_only(self, begin: bytes, end: bytes) -> None:
        """Delete every entry outside of the span."""
        batch = self.batch()
        for family in self.families.values():
            batch.delete_range(b"", begin, family.handle)
            batch.delete_range(end, b"\xff" * 8, family.handle)
        self.write(batch)

    def size_bytes(self) -> int:
        """Of live data in files and memory, as RocksDB estimates it."""
        properties = ("rocksdb.estimate-live-data-size", "rocksdb.cur-size-all-mem-tables")
        return sum(
            family.rdict.property_int_value(name) or 0 for family in self.families.values() for name in properties
        )

    def size_entries(self) -> int:
        """Of the largest family, as RocksDB estimates it: a key whose map has many entries counts many times."""
        return max(
            (family.rdict.property_int_value("rocksdb.estimate-num-keys") or 0 for family in self.families.values()),
            default=0,
        )

    def figures(self) -> dict[str, dict[str, int]]:
        """What RocksDB says of itself, if the settings ask: by state, and of the database under the empty name."""
        return self._figures.read({name: family.rdict for name, family in self.families.items()})

    def close(self) -> None:
        """Close it and remove its folder."""
        # Handles that user code still holds must not keep the instance open.
        handles = [*(family.rdict for family in self.families.values()), self._rdict]
        self.families = {}
        for handle in handles:
            try:
                handle.close()
            except Exception as error:
                # It writes when it closes, and a disk that is full does not take that. What it holds is given up.
                log.warning("rocksdb did not close in order", extra={"folder": str(self.path), "reason": str(error)})
        shutil.rmtree(self.path, ignore_errors=True)

    def _family(self, name: str) -> Family:
        rdict = self._rdict.get_column_family(name)
        rdict.set_write_options(self._write_options)
        return Family(name, rdict, self._rdict.get_column_family_handle(name))

    def _options(self) -> Any:
        settings = self._settings
        cache, buffers = self._memory.shared()
        table = BlockBasedOptions()
        table.set_block_cache(cache)
        table.set_block_size(settings.block_bytes)
        table.set_cache_index_and_filter_blocks(True)
        table.set_pin_l0_filter_and_index_blocks_in_cache(True)
        table.set_format_version(5)
        table.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
        if settings.bloom_bits_per_key > 0:
            table.set_bloom_filter(round(settings.bloom_bits_per_key), False)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        options.set_block_based_table_factory(table)
        options.set_write_buffer_manager(buffers)
        options.set_write_buffer_size(min(settings.write_buffer_bytes, self._memory.buffers_bytes // 4))
        # A write that has to wait for a flush stops the stream.
        options.set_max_write_buffer_number(4)
        # Most keys of a batch are not in the memtable: a filter spares the walk that shows it (0.9 of 3 us).
        options.set_memtable_whole_key_filtering(True)
        options.set_memtable_prefix_bloom_ratio(0.05)
        options.set_target_file_size_base(settings.target_file_bytes)
        options.set_compression_type(_compression(settings.compression))
        options.set_max_background_jobs(2)
        options.set_max_open_files(-1)
        options.set_max_file_opening_threads(self._opening_threads)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(_LOG_BYTES)
        options.set_stats_dump_period_sec(0)
        return options


def _compression(name: str) -> Any:
    if name not in _COMPRESSIONS:
        raise ConfigurationError(f"compression {name!r} is none of {', '.join(_COMPRESSIONS)}")
    return getattr(DBCompressionType, name)()
