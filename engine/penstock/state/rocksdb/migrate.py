"""Rewrites a restored state in RocksDB into what the program asks for now. Before the first batch; may take long."""

from typing import Final

from penstock.records.keys import encode_key
from penstock.state.descriptors import StateKind
from penstock.state.hashmap.migrate import leaf_conversion
from penstock.state.rocksdb.database import Database
from penstock.state.rocksdb.layout import chunk_encoder, leaf_encoder
from penstock.state.rocksdb.stores import Store
from penstock.state.spec import Change, StateSpec

_BATCH: Final = 1_000


def migrate(database: Database, stored: Store, spec: StateSpec, change: Change, now_ms: int) -> None:
    """From what `stored` reads to what `spec` writes."""
    family = stored.family
    leaf = leaf_conversion(change, timed_before=stored.spec.timed, now_ms=now_ms)
    encode_leaf, encode_chunk = leaf_encoder(spec), chunk_encoder(spec)
    batch = database.batch()
    for entry, _, _, map_key, values in stored.stored(b"", b"\xff" * 8):
        place = entry
        if change.map_key is not None:
            before = encode_key(map_key)
            place = entry[: -len(before)] + encode_key(change.map_key(map_key))
            if place != entry:
                batch.delete(entry, family.handle)
        converted = [leaf(value) for value in values]
        data = encode_chunk(converted) if spec.kind is StateKind.LIST else encode_leaf(converted[0])
        batch.put(place, data, family.handle)
        if len(batch) >= _BATCH:
            database.write(batch)
            batch = database.batch()
    database.write(batch)
