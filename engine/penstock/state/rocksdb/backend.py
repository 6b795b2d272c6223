"""Keyed state in RocksDB under a bounded overlay of live objects.

Opened by `penstock.state.open`; implements `penstock.state.backend.KeyedBackend`. A key is *resident* from the batch
that first needs it until it is evicted, oldest first; all its single values are then live objects that the handles
work on. What batches touched is *dirty* and written back when it is evicted, or for a snapshot. Between a barrier and
the return of its native checkpoint nothing is written that a batch after the barrier has touched.
"""

import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.errors import StateError
from penstock.base.ids import CheckpointId
from penstock.records.key_groups import KeyGroupRange
from penstock.state.api import State
from penstock.state.backend import CurrentKey, NativeState, SnapshotForm, SnapshotWriter
from penstock.state.descriptors import StateDescriptor, StateKind
from penstock.state.expiry import Expiry
from penstock.state.handles import KeyedHandle, StateFile, StateInfo, file_stem, is_reusable
from penstock.state.hashmap import handles as plain
from penstock.state.hashmap.handles import Removals
from penstock.state.operator_keys import OperatorKeys
from penstock.state.registered import HandleClasses, handle_of
from penstock.state.rocksdb import handles as over
from penstock.state.rocksdb.cells import Load
from penstock.state.rocksdb.database import Database
from penstock.state.rocksdb.layout import CHUNK_BYTES, group_span, key_prefixes
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.rocksdb.migrate import migrate
from penstock.state.rocksdb.snapshot import RocksSnapshot
from penstock.state.rocksdb.stores import CellStore, SingleStore, Store
from penstock.state.rocksdb.sweep import RocksSweeper
from penstock.state.settings import StateSettings
from penstock.state.spec import FORMAT, StateSpec, change_between, check_same, spec_of

KEY_BYTES: Final = 250
"""What a resident key takes in memory, all dicts together, besides..."""
OBJECT_FACTOR: Final = 3
"""...this many times the bytes that its entries are in RocksDB."""
ENTRY_BYTES: Final = 400
"""What an entry of a cell takes."""
EVICT_KEYS: Final = 2_048
SWEEP_ENTRIES_MAX: Final = 256
"""How many entries are looked at for expiry at a time."""


@final
class RocksBackend:
    """See `penstock.state.backend.KeyedBackend`."""

    def __init__(
        self,
        *,
        operator_name: str,
        uid: str,
        key_groups: KeyGroupRange,
        max_parallelism: int,
        keys: OperatorKeys,
        clock: Clock,
        database: Database,
        memory: RocksMemory,
        directory: Path,
        settings: StateSettings,
        restored: Sequence[StateSpec] = (),
        files: tuple[StateFile, ...] = (),
        last_chunk: int = 0,
    ) -> None:
        """`restored`: states that `database` holds; `files`: those that the first snapshot may refer to."""
        self.current = CurrentKey()
        self.key_groups = key_groups
        self.recent_keys: Sequence[Any] = ()
        self._operator = operator_name
        self._uid = uid
        self._max_parallelism = max_parallelism
        self._keys = keys
        self._clock = clock
        self._database = database
        self._directory = directory
        self._settings = settings
        self._resident: dict[Any, bytes] = {}
        self._dirty: set[Any] = set()
        self._hit: set[Any] = set()
        """Resident keys needed again since the last eviction: they get a second chance."""
        self._load = Load()
        self._memory = memory
        memory.join()
        self._stored_bytes = 30.0
        """What a key's entries are in RocksDB, on a moving average over what was written."""
        self._next_chunk = last_chunk
        self._stores: dict[str, Store] = {}
        self._singles: list[SingleStore] = []
        self._states: dict[str, tuple[StateSpec, State]] = {}
        self._snapshot: RocksSnapshot | None = None
        self._confirmed = {file.name: file for file in files if is_reusable(file)}
        self._uploaded: dict[CheckpointId, dict[str, StateFile]] = {}
        self._sweepers: list[RocksSweeper] = []
        for spec in restored:
            self._add_store(spec)
        self._dormant, self._stores = self._stores, {}

    def state(self, descriptor: StateDescriptor, *, namespaced: bool = False) -> Any:
        spec = spec_of(descriptor, namespaced=namespaced)
        known = self._states.get(spec.name)
        if known is not None:
            check_same(known[0], spec, self._operator)
            return known[1]
        stored = self._dormant.get(spec.name)
        if stored is not None:
            change = change_between(stored.spec, spec, self._operator)
            if not change.is_nothing:
                migrate(self._database, stored, spec, change, self._clock.now_ms())
            del self._dormant[spec.name]
        store = self._add_store(spec)
        if isinstance(store, SingleStore):
            self._singles.append(store)
            if stored is not None and self._resident:
                store.fetch(list(self._resident), list(self._resident.values()))
        handle = self._handle(store, descriptor)
        self._states[spec.name] = (spec, handle)
        return handle

    def prepare(self, keys: Sequence[Any]) -> None:
        self.recent_keys = keys
        needed = set(keys)
        if self._snapshot is not None:
            self._save_frozen(needed)
        missing = needed.difference(self._resident)
        overlay_bytes = self._memory.overlay_bytes()
        keys_max = overlay_bytes // int(KEY_BYTES + OBJECT_FACTOR * self._stored_bytes)
        if missing and len(self._resident) + len(missing) > keys_max:
            self._hit.update(needed.difference(missing))
            self._evict(needed, keys_max)
        if missing:
            if not self._keys.is_settled:
                self._keys.settle(keys[0])
            self._fetch(list(missing))
        if self._load.entries > overlay_bytes // ENTRY_BYTES:
            self._forget_cells(overlay_bytes // ENTRY_BYTES)
        self._dirty.update(needed)
        for sweeper in self._sweepers:
            if not self._is_bound:
                sweeper.step()

    def entries(self, name: str) -> Iterator[tuple[Any, Any, Any, Any]]:
        store = self._stores.get(name) or self._dormant.get(name)
        if store is None:
            return
        self._settle()
        self._write_back(list(self._dirty))
        self._dirty.clear()
        begin, end = group_span(self.key_groups)
        for _, key, namespace, map_key, values in store.stored(begin, end):
            for value in values:
                yield key, namespace, map_key, value[0] if store.spec.timed else value

    def snapshot(self, checkpoint: CheckpointId, *, form: SnapshotForm) -> RocksSnapshot:
        self._settle()
        frozen, self._dirty = self._dirty, set()
        shared = self._settings.incremental and form in ("incremental", "anew")
        snapshot = RocksSnapshot(
            checkpoint,
            frozen,
            name=file_stem(self._uid, checkpoint),
            shared=shared,
            known=self._confirmed if shared and form == "incremental" else {},
            directory=self._directory / f"checkpoint-{checkpoint}",
            write_back=self._write_back,
            native=self._database.checkpoint,
            give_back=self._give_back,
            describe=self._describe,
            written=self._written,
            transfer_threads=self._settings.transfer_threads,
            export=self._exporter() if form == "canonical" else None,
        )
        self._snapshot = snapshot
        return snapshot

    def _exporter(self) -> Callable[[Path, SnapshotWriter], KeyedHandle]:
        specs = [store.spec for store in (*self._dormant.values(), *self._stores.values())]

        def export(directory: Path, writer: SnapshotWriter) -> KeyedHandle:
            # Loads Arrow, which takes a tenth of a second: only for those who take such savepoints.
            from penstock.state.rocksdb.canonical import write_tables

            return write_tables(
                directory,
                specs,
                uid=self._uid,
                operator_name=self._operator,
                key_type=self._keys.type,
                key_groups=self.key_groups,
                memory=self._memory,
                settings=self._settings,
                writer=writer,
            )

        return export

    def notify_complete(self, checkpoint: CheckpointId) -> None:
        files = self._uploaded.pop(checkpoint, None)
        if files is not None:
            self._confirmed = files
            self._uploaded = {other: held for other, held in self._uploaded.items() if other > checkpoint}

    def notify_aborted(self, checkpoint: CheckpointId) -> None:
        if self._snapshot is not None and self._snapshot.checkpoint == checkpoint:
            self._snapshot.discard()
        self._uploaded.pop(checkpoint, None)

    def idle(self, budget_s: float) -> bool:
        if self._is_bound:
            return True
        done = True
        for sweeper in self._sweepers:
            done = sweeper.idle(budget_s) and done
        return done

    def size_bytes(self) -> int:
        return self._database.size_bytes() + int(len(self._dirty) * self._stored_bytes)

    def size_keys(self) -> int:
        return max(len(self._resident), self._database.size_entries())

    def native_figures(self) -> NativeState | None:
        figures = self._database.figures()
        return NativeState(figures, self._settings.family_as_variable) if figures else None

    def sample_keys(self, start: int, count: int) -> Sequence[Any]:
        """Those that are in memory."""
        return list(islice(self._resident, start, start + count))

    def infos(self) -> tuple[StateInfo, ...]:
        return tuple(store.spec.info() for store in (*self._dormant.values(), *self._stores.values()))

    def key_info(self) -> dict[str, Any] | None:
        return self._keys.info()

    def close(self) -> None:
        if self._snapshot is not None:
            self._snapshot.discard()
            self._snapshot.wait_unlocked()
        self._database.close()
        self._memory.leave()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._resident.clear()
        self._dirty.clear()

    @property
    def _is_bound(self) -> bool:
        """Whether a snapshot restricts what may be written."""
        snapshot = self._snapshot
        return snapshot is not None and (snapshot.is_freezing or snapshot.is_locked)

    def _settle(self) -> None:
        """Finish what a snapshot still has to write, and its native checkpoint."""
        snapshot = self._snapshot
        if snapshot is not None:
            snapshot.advance(float("inf"))
            snapshot.wait_unlocked()
            self._snapshot = None

    def _fetch(self, missing: list[Any]) -> None:
        prefixes = key_prefixes(missing, self._max_parallelism)
        for store in self._singles:
            store.fetch(missing, prefixes)
        self._resident.update(zip(missing, prefixes, strict=True))

    def _evict(self, needed: set[Any], keys_max: int) -> None:
        """Make room for a batch: the oldest keys go, but for those needed now or again since the last look."""
        resident, spared = self._resident, self._hit
        if len(resident) > 2 * keys_max:
            # No room left to let a snapshot go on beside us.
            self._settle()
        excess = len(resident) + len(needed) - keys_max + min(EVICT_KEYS, keys_max // 8)
        for spared_now in (spared, needed):
            oldest = list(islice(resident, excess))
            victims = oldest if spared_now.isdisjoint(oldest) else [key for key in oldest if key not in spared_now]
            if self._is_bound:
                victims = [key for key in victims if key not in self._dirty]
            self._drop(victims)
            excess -= len(victims)
            if excess <= 0 or len(victims) == len(oldest):
                return
            pop = resident.pop
            resident.update([(key, pop(key)) for key in oldest if key in resident])
            if spared_now is spared:
                spared.clear()

    def _drop(self, victims: list[Any]) -> None:
        """Forget these keys, written back where they are not. While a snapshot is bound, none of them is dirty."""
        if not victims:
            return
        if self._is_bound:
            self._save_frozen(victims)
        else:
            self._dirty.difference_update(victims)
            self._write_back(victims)
        for store in self._stores.values():
            store.forget(victims)
        deque(map(self._resident.pop, victims), maxlen=0)

    def _forget_cells(self, entries_max: int) -> None:
        """Maps and lists have grown: write them back and read them again as they are needed."""
        if self._load.entries > 2 * entries_max:
            self._settle()
        stores = [store for store in self._stores.values() if isinstance(store, CellStore)]
        keys = {key for store in stores for key in store.cells}
        if self._is_bound:
            keys.difference_update(self._dirty)
            self._save_frozen(keys)
        else:
            self._dirty.difference_update(keys)
            self._write_back(keys)
        for store in stores:
            store.forget(keys)

    def _empty_overlay(self) -> None:
        """Write everything back and forget it."""
        self._settle()
        self._drop(list(self._resident))

    def _save_frozen(self, keys: Collection[Any]) -> None:
        """A running snapshot may still need these keys as they are."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        if snapshot.is_freezing:
            snapshot.save(keys)
        elif not snapshot.is_locked:
            self._snapshot = None

    def _write_back(self, keys: Collection[Any]) -> None:
        """Drain these keys into RocksDB, now."""
        batch = self._database.batch()
        for store in self._stores.values():
            try:
                store.drain(keys, self._resident, batch)
            except StateError as error:
                raise StateError(f"state {store.spec.name} of operator {self._operator}: {error}") from error
        if len(batch):
            self._stored_bytes += (batch.size_in_bytes() / len(keys) - self._stored_bytes) / 16
            self._database.write(batch)

    def _give_back(self, keys: set[Any]) -> None:
        """A snapshot was given up before it wrote these."""
        self._dirty.update(keys)

    def _add_store(self, spec: StateSpec) -> Store:
        family = self._database.family(spec.name)
        store: Store
        if spec.namespaced or spec.kind in (StateKind.LIST, StateKind.MAP):
            store = CellStore(spec, family, self._resident, self._load, self._new_chunk)
        else:
            store = SingleStore(spec, family)
        self._stores[spec.name] = store
        return store

    def _handle(self, store: Store, descriptor: StateDescriptor) -> State:
        ttl = descriptor.ttl_config
        expiry = None if ttl is None else Expiry(ttl, self._clock)
        if ttl is not None and expiry is not None:
            strategy = ttl.get_cleanup_strategies().get_rocksdb_compact_filter_cleanup_strategy()
            if strategy is not None:
                per_step = min(SWEEP_ENTRIES_MAX, strategy.get_query_time_after_num_entries())
                self._sweepers.append(RocksSweeper(store, self._database, self._resident, expiry, per_step))
        if isinstance(store, SingleStore):
            return handle_of(_PLAIN, (self.current, store.cells, Removals()), descriptor, expiry)
        assert isinstance(store, CellStore)
        return handle_of(_NAMESPACED if store.spec.namespaced else _OVER, (self.current, store), descriptor, expiry)

    def _new_chunk(self) -> bytes:
        """A number for a chunk of a list, greater than all before, over the job's whole life."""
        self._next_chunk += 1
        return self._next_chunk.to_bytes(CHUNK_BYTES, "big")

    def _describe(self) -> tuple[tuple[int, int], dict[str, Any]]:
        meta = {"format": FORMAT, "states": msgspec.to_builtins(self.infos()), "chunk": self._next_chunk}
        return (self.key_groups.first, self.key_groups.last), meta

    def _written(self, snapshot: RocksSnapshot, files: tuple[StateFile, ...]) -> None:
        """From the writing thread."""
        if snapshot.is_shared:
            self._uploaded[snapshot.checkpoint] = {file.name: file for file in files if file.shared}


_PLAIN: Final[HandleClasses] = {
    StateKind.VALUE: plain.heap_value_state,
    StateKind.REDUCING: plain.HeapReducingState,
    StateKind.AGGREGATING: plain.HeapAggregatingState,
}
_OVER: Final[HandleClasses] = {StateKind.LIST: over.RocksListState, StateKind.MAP: over.RocksMapState}
_NAMESPACED: Final[HandleClasses] = {
    **_OVER,
    StateKind.VALUE: over.RocksNamespacedValueState,
    StateKind.REDUCING: over.RocksNamespacedReducingState,
    StateKind.AGGREGATING: over.RocksNamespacedAggregatingState,
}
