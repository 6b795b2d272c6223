"""What RocksDB says of itself is told where it was asked for, by Flink's names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from penstock.common.configuration import Configuration
from penstock.common.options.state import ROCKSDB_COUNTERS, ROCKSDB_PROPERTIES
from penstock.common.settings import StateSettings as Configured
from penstock.state.rocksdb.database import Database
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings


@contextmanager
def opened(path: Path, settings: StateSettings) -> Iterator[Database]:
    database = Database(path, RocksMemory(8 << 20), settings)
    family = database.family("clicks")
    batch = database.batch()
    for number in range(100):
        batch.put(b"\0\0%03d" % number, b"value", family.handle)
    database.write(batch)
    try:
        yield database
    finally:
        database.close()


def test_every_property_and_counter_that_can_be_set_is_told(tmp_path: Path) -> None:
    settings = StateSettings(properties=tuple(ROCKSDB_PROPERTIES), counters=tuple(ROCKSDB_COUNTERS))
    with opened(tmp_path / "db", settings) as database:
        before = database.figures()
        database.families["clicks"].rdict.flush(True)
        database.families["clicks"].get(b"\0\0007")
        after = database.figures()
    levels = {f"num-files-at-level{level}" for level in range(7)}
    assert after["clicks"].keys() == set(ROCKSDB_PROPERTIES) - {"num-files-at-level"} | levels
    assert len(after[""]) == len(ROCKSDB_COUNTERS)
    assert after["clicks"]["estimate-num-keys"] == 100
    assert (before["clicks"]["num-files-at-level0"], after["clicks"]["num-files-at-level0"]) == (0, 1)
    assert after[""]["bytes_written"] >= 100 * len(b"\0\0000value")
    assert before[""]["block_cache_miss"] < after[""]["block_cache_miss"]


def test_nothing_is_told_or_counted_unless_it_is_asked_for(tmp_path: Path) -> None:
    with opened(tmp_path / "db", StateSettings()) as database:
        assert database.figures() == {}


def test_what_is_told_is_set_by_flinks_keys() -> None:
    prefix = "state.backend.rocksdb.metrics"
    keys = {f"{prefix}.block-cache-hit": "true", f"{prefix}.num-files-at-level": "true"}
    found = Configured.of(Configuration.from_dict(keys | {f"{prefix}.estimate-num-keys": "false"}))
    assert (found.rocksdb_properties, found.rocksdb_counters) == (("num-files-at-level",), ("block-cache-hit",))
    none = Configured.of(Configuration())
    assert none == replace(found, rocksdb_properties=(), rocksdb_counters=())
