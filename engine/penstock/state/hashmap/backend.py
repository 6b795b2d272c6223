"""Keyed state on the heap: one dict per state, snapshots by changed keys.

Opened by `penstock.state.open`; implements `penstock.state.backend.KeyedBackend`. Everything but writing files runs on
the task's thread, so nothing here locks.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.ids import CheckpointId
from penstock.records.key_groups import KeyGroupRange
from penstock.state.api import State
from penstock.state.backend import CurrentKey, SnapshotForm
from penstock.state.descriptors import StateDescriptor, StateKind
from penstock.state.expiry import Expiry
from penstock.state.handles import StateFile, StateInfo, file_stem
from penstock.state.hashmap import handles as plain
from penstock.state.hashmap import namespaced as spaced
from penstock.state.hashmap.chain import Chain
from penstock.state.hashmap.chunks import Table
from penstock.state.hashmap.migrate import migrate
from penstock.state.hashmap.snapshot import HeapSnapshot, RunningSnapshot
from penstock.state.hashmap.sweep import Sweeper
from penstock.state.hashmap.touched import Touched
from penstock.state.operator_keys import OperatorKeys
from penstock.state.registered import HandleClasses, handle_of, incremental_cleanup
from penstock.state.spec import FORMAT, change_between, check_same, spec_of

BYTES_PER_KEY: Final = 100
"""Assumed until the first snapshot has shown how large a key's state is."""


@final
class HeapBackend:
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
        tables: Sequence[Table] = (),
        files: tuple[StateFile, ...] = (),
        touched_set_keys: int,
        directory: Path,
        dense_keys: int,
    ) -> None:
        """`tables` and `files`: what was restored, and the files that later snapshots may build on.

        Below `directory` lie tables of savepoints while they are written.
        """
        self.current = CurrentKey()
        self.key_groups = key_groups
        self.recent_keys: Sequence[Any] = ()
        self._operator = operator_name
        self._uid = uid
        self._max_parallelism = max_parallelism
        self._directory = directory
        self._keys = keys
        self._clock = clock
        self._tables = list(tables)
        self._states: dict[str, tuple[Any, State]] = {}
        self._chain = Chain(files)
        self._touched_set_keys = touched_set_keys
        self._dense_keys = dense_keys
        self._touched = Touched(touched_set_keys)
        self._notes_touched = bool(files)
        """Whether the next snapshot may build on earlier ones; if not, it holds all keys anyway."""
        self._running: list[RunningSnapshot] = []
        self._sweepers: list[Sweeper] = []
        self._bytes_per_key = BYTES_PER_KEY

    def state(self, descriptor: StateDescriptor, *, namespaced: bool = False) -> Any:
        spec = spec_of(descriptor, namespaced=namespaced)
        known = self._states.get(spec.name)
        if known is not None:
            check_same(known[0], spec, self._operator)
            return known[1]
        table = self._table(spec.name)
        if table is None:
            table = Table(spec, {})
            self._tables.append(table)
        else:
            change = change_between(table.spec, spec, self._operator)
            if not change.is_nothing:
                for running in self._running:
                    running.advance(float("inf"))  # It reads the old form.
                migrate(table, change, self._clock.now_ms())
                self._chain.files = ()  # They hold the old form.
            table.spec = spec
        handle = self._handle(table, descriptor)
        self._states[spec.name] = (spec, handle)
        return handle

    def prepare(self, keys: Sequence[Any]) -> None:
        self.recent_keys = keys
        self._note_touched(keys)
        if self._chain.waste and not self._running:
            # A snapshot that began before its keys were confirmed by an earlier one still reads them.
            self._chain.waste.step()
        if not self._keys.is_settled and keys:
            self._keys.settle(keys[0])
        if self._sweepers:
            for sweeper in self._sweepers:
                sweeper.step(len(keys))

    def entries(self, name: str) -> Iterator[tuple[Any, Any, Any, Any]]:
        table = self._table(name)
        if table is None:
            return
        spec = table.spec
        for key, cell in table.cells.items():
            for namespace, inner in cell.items() if spec.namespaced else ((None, cell),):
                match spec.kind:
                    case StateKind.LIST:
                        pairs: Any = ((None, value) for value in inner)
                    case StateKind.MAP:
                        pairs = inner.items()
                    case StateKind.VALUE | StateKind.REDUCING | StateKind.AGGREGATING:
                        pairs = ((None, inner),)
                for map_key, value in pairs:
                    yield key, namespace, map_key, value[0] if spec.timed else value

    def snapshot(self, checkpoint: CheckpointId, *, form: SnapshotForm) -> RunningSnapshot:
        touched = self._touched
        later = self._touched = Touched(self._touched_set_keys)
        self._notes_touched = True
        plan, interval = self._chain.begin(checkpoint, touched.sets, form)
        snapshot: RunningSnapshot
        if form == "canonical":
            snapshot = self._canonical(checkpoint)
        else:
            name = file_stem(self._uid, checkpoint)
            snapshot = HeapSnapshot(
                checkpoint, plan, interval, touched.sets, self._tables, self._describe, self._finished, name
            )
        self._running = [other for other in self._running if not other.is_serialised]
        snapshot.predecessor = self._running[-1] if self._running else None
        self._running.append(snapshot)
        for running in self._running:
            running.later.append(later)
        return snapshot

    def notify_complete(self, checkpoint: CheckpointId) -> None:
        self._chain.confirm(checkpoint)

    def notify_aborted(self, checkpoint: CheckpointId) -> None:
        for running in self._running:
            if running.checkpoint == checkpoint:
                running.discard()
        self._chain.abort(checkpoint)

    def idle(self, budget_s: float) -> bool:
        done = True
        for sweeper in self._sweepers:
            done = sweeper.idle(budget_s) and done
        return done

    def size_bytes(self) -> int:
        return self.size_keys() * self._bytes_per_key

    def size_keys(self) -> int:
        return max((len(table.cells) for table in self._tables), default=0)

    def native_figures(self) -> None:
        """There is no database under it."""

    def sample_keys(self, start: int, count: int) -> Sequence[Any]:
        largest = max(self._tables, key=lambda table: len(table.cells), default=None)
        return () if largest is None else list(islice(largest.cells, start, start + count))

    def infos(self) -> tuple[StateInfo, ...]:
        """Every state there is, restored ones that the program has not asked for included."""
        return tuple(table.spec.info() for table in self._tables)

    def key_info(self) -> dict[str, Any] | None:
        return self._keys.info()

    def close(self) -> None:
        for running in self._running:
            running.discard()
        for table in self._tables:
            table.cells.clear()
        self._running.clear()
        self._touched = Touched(self._touched_set_keys)

    def _canonical(self, checkpoint: CheckpointId) -> RunningSnapshot:
        # Loads Arrow, which takes a tenth of a second: only for those who take such savepoints.
        from penstock.state.hashmap.canonical import CanonicalHeapSnapshot

        return CanonicalHeapSnapshot(
            checkpoint,
            self._tables,
            uid=self._uid,
            operator_name=self._operator,
            key_type=self._keys.type,
            key_groups=self.key_groups,
            max_parallelism=self._max_parallelism,
            directory=self._directory,
        )

    def _table(self, name: str) -> Table | None:
        return next((table for table in self._tables if table.spec.name == name), None)

    def _note_touched(self, keys: Sequence[Any]) -> None:
        if not self._notes_touched:
            return
        if self._running:
            fresh = self._touched.fresh(keys)
            self._save(fresh)
            self._touched.add(fresh)
            return
        self._touched.note(keys)
        noted = len(self._touched)
        if noted >= self._dense_keys and 2 * noted > max((len(table.cells) for table in self._tables), default=0):
            self._notes_touched = False
            self._chain.stop_noting(self._touched.sets)
            self._touched = Touched(self._touched_set_keys)

    def _save(self, keys: set[Any]) -> None:
        """Running snapshots may still need these keys, untouched since the newest barrier, as they are."""
        ended = False
        for snapshot in self._running:
            if snapshot.is_serialised:
                ended = True
            else:
                snapshot.save(keys)
        if ended:
            self._running = [snapshot for snapshot in self._running if not snapshot.is_serialised]

    def _handle(self, table: Table, descriptor: StateDescriptor) -> State:
        expiry = None
        ttl = descriptor.ttl_config
        if ttl is not None:
            expiry = Expiry(ttl, self._clock)
            if ttl.get_cleanup_strategies().in_full_snapshot():
                table.expired_before_ms = expiry.deadline_ms
            per_record = incremental_cleanup(ttl)
            if per_record:
                self._sweepers.append(Sweeper(table, expiry.deadline_ms, per_record, self._note_touched))
        classes = _CLASSES[table.spec.namespaced]
        return handle_of(classes, (self.current, table.cells, table.removals), descriptor, expiry)

    def _describe(self) -> tuple[tuple[int, int], dict[str, Any]]:
        states = msgspec.to_builtins(self.infos())
        return (self.key_groups.first, self.key_groups.last), {"format": FORMAT, "states": states}

    def _finished(self, snapshot: HeapSnapshot, files: tuple[StateFile, ...] | None) -> None:
        """From the writing thread, or when a snapshot is given up (`files` None)."""
        if files is None:
            self._chain.abort(snapshot.checkpoint)
            return
        self._chain.written(snapshot.checkpoint, files)
        if snapshot.keys_saved:
            self._bytes_per_key = max(1, files[-1].file.size // snapshot.keys_saved)


_CLASSES: Final[tuple[HandleClasses, HandleClasses]] = (
    {
        StateKind.VALUE: plain.heap_value_state,
        StateKind.LIST: plain.HeapListState,
        StateKind.MAP: plain.HeapMapState,
        StateKind.REDUCING: plain.HeapReducingState,
        StateKind.AGGREGATING: plain.HeapAggregatingState,
    },
    {
        StateKind.VALUE: spaced.NamespacedValueState,
        StateKind.LIST: spaced.NamespacedListState,
        StateKind.MAP: spaced.NamespacedMapState,
        StateKind.REDUCING: spaced.NamespacedReducingState,
        StateKind.AGGREGATING: spaced.NamespacedAggregatingState,
    },
)
