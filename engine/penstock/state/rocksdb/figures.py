"""What RocksDB says of itself, by the names that Flink's native metrics have. Asked a few times a second, if at all."""

import re
from collections.abc import Mapping
from typing import Any, Final, final

_LEVELS: Final = 7
_BY_LEVEL: Final = "num-files-at-level"
_LINE: Final = re.compile(r"^(rocksdb\.[a-z.]+) COUNT : (\d+)$", re.MULTILINE)
_COUNTERS: Final = {
    "block-cache-hit": "rocksdb.block.cache.hit",
    "block-cache-miss": "rocksdb.block.cache.miss",
    "bloom-filter-full-positive": "rocksdb.bloom.filter.full.positive",
    "bloom-filter-full-true-positive": "rocksdb.bloom.filter.full.true.positive",
    "bloom-filter-useful": "rocksdb.bloom.filter.useful",
    "bytes-read": "rocksdb.bytes.read",
    "bytes-written": "rocksdb.bytes.written",
    "compaction-read-bytes": "rocksdb.compact.read.bytes",
    "compaction-write-bytes": "rocksdb.compact.write.bytes",
    "iter-bytes-read": "rocksdb.db.iter.bytes.read",
    "stall-micros": "rocksdb.stall.micros",
}
"""What they are called where they are set, and in RocksDB's statistics."""
_TOLD: Final = {"compaction-read-bytes": "compact_read_bytes", "compaction-write-bytes": "compact_write_bytes"}
"""Flink's names of metrics, where they are not those of the options."""


@final
class NativeFigures:
    """Of one open database, which ones of the settings."""

    def __init__(self, properties: tuple[str, ...], counters: tuple[str, ...], options: Any) -> None:
        """`options`: those that the database is about to be opened with."""
        self._properties = tuple(p for name in properties for p in _levels(name))
        self._counters = counters
        self._options = options
        if counters:
            options.enable_statistics()

    def read(self, families: Mapping[str, Any]) -> dict[str, dict[str, int]]:
        """By the family's name and the metric's; what is the whole database's under the empty name."""
        found = {family: self._of_family(rdict) for family, rdict in families.items()} if self._properties else {}
        if self._counters:
            counts = {name: int(count) for name, count in _LINE.findall(self._options.get_statistics())}
            found[""] = {_told(name): counts[_COUNTERS[name]] for name in self._counters}
        return found

    def _of_family(self, rdict: Any) -> dict[str, int]:
        return {name: rdict.property_int_value(f"rocksdb.{name}") or 0 for name in self._properties}


def _levels(name: str) -> tuple[str, ...]:
    return tuple(f"{name}{level}" for level in range(_LEVELS)) if name == _BY_LEVEL else (name,)


def _told(name: str) -> str:
    return _TOLD.get(name, name.replace("-", "_"))
