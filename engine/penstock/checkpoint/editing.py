"""Makes a new savepoint of an old one, changed by what a script says (`penstock.state.edit`), or out of nothing.

The command line calls it; no job runs. The new savepoint stands alone and is canonical throughout. Its folder must be
empty before; `_metadata` is written last, so that a death leaves a folder that is no savepoint. Memory is bounded:
states that are changed are sorted anew in files of a local folder, all others are copied row by row.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, is_dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, final

import msgspec

from penstock.base.errors import StateError, StoreRefused
from penstock.base.ids import CheckpointId, Epoch, OperatorUid, new_job_id
from penstock.checkpoint.files import SavepointFolder, SnapshotFiles
from penstock.checkpoint.handles import OperatorListHandle, OperatorStateHandle, StateInfo
from penstock.checkpoint.layout import Provenance
from penstock.checkpoint.metadata import Metadata, OperatorState, SubtaskState
from penstock.checkpoint.opened import OpenedState
from penstock.checkpoint.resorting import Resorting
from penstock.checkpoint.savepoints import OpenRoot, write_savepoint
from penstock.checkpoint.tables import StateTable, keyed_pieces, list_entries, tables_of
from penstock.common.types import Row
from penstock.records.key_groups import KeyGroupRange, range_for
from penstock.records.key_types import KeyType, declared_key_type, key_type_of
from penstock.state.canonical.rows import Rows
from penstock.state.canonical.tables import write_tables
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.state.edit import Bootstrap, Edits, Entry, results
from penstock.state.entries import entries_of
from penstock.state.judging import as_keyed
from penstock.state.spec import StateSpec, spec_of

_encode: Final = msgspec.msgpack.Encoder().encode
_DESCRIPTORS: Final[dict[str, Callable[[Bootstrap], Any]]] = {
    "value": lambda asked: ValueStateDescriptor(asked.state, asked.value_type),
    "list": lambda asked: ListStateDescriptor(asked.state, asked.value_type),
    "map": lambda asked: MapStateDescriptor(asked.state, asked.map_key_type, asked.value_type),
}
Called = Callable[[Callable[..., Any], Any], Any]
"""Calls a function of the script, and makes its errors sentences."""


@final
@dataclass(slots=True, kw_only=True)
class EditedTable:
    """What became of one state."""

    uid: str
    state: str
    read: int = 0
    written: int = 0
    dropped: bool = False


@final
@dataclass(slots=True, kw_only=True)
class SavepointEdit:
    """One new savepoint in the making."""

    source: OpenedState | None
    """None: begin with nothing."""
    edits: Edits
    target: str
    open_root: OpenRoot
    directory: Path
    """Empty, for what is under way."""
    rows_of: Callable[[str], Iterator[dict[str, Any]]]
    """The rows of a file that a bootstrap names."""
    call: Called
    now_ms: int
    report: list[EditedTable] = field(default_factory=list)

    def run(self) -> Metadata:
        """Write it. Raises before anything is written if the script names what is not there."""
        operators = () if self.source is None else self.source.metadata.operators
        _check_names(operators, self.edits)
        if self.open_root(self.target).list(""):
            raise StoreRefused(
                f"{self.target} is not empty, and a savepoint lies in a folder of its own: choose another, or remove "
                "what is there (without _metadata it is what an interrupted edit has left)"
            )
        writer = self._writer()
        written = [
            self._operator(operator, writer)
            for operator in operators
            if operator.uid not in self.edits.dropped_operators
        ]
        for operator in operators:
            if operator.uid in self.edits.dropped_operators:
                self.report += [EditedTable(uid=operator.uid, state=t.name, dropped=True) for t in tables_of(operator)]
        known = {operator.uid for operator in written}
        new = dict.fromkeys(asked.uid for asked in self.edits.bootstraps if asked.uid not in known)
        written += [self._new_operator(uid, writer) for uid in new]
        metadata = self._metadata(tuple(sorted(written, key=lambda operator: operator.uid)))
        write_savepoint(self.open_root, self.target, metadata)
        return metadata

    def _writer(self) -> SnapshotFiles:
        found = self.source.metadata if self.source is not None else None
        provenance = Provenance(
            Epoch(1) if found is None else found.epoch, CheckpointId(1) if found is None else found.checkpoint
        )
        place = SavepointFolder(self.open_root(self.target), provenance)
        return SnapshotFiles(place, writer="edit", inline_max_bytes=0, random=lambda: secrets.token_hex(6))

    def _metadata(self, operators: tuple[OperatorState, ...]) -> Metadata:
        if self.source is None:
            return Metadata(
                kind="savepoint",
                job=new_job_id(),
                job_name="made by penstock state edit",
                checkpoint=CheckpointId(1),
                epoch=Epoch(1),
                triggered_ms=self.now_ms,
                fingerprint="",
                operators=operators,
            )
        return msgspec.structs.replace(self.source.metadata, kind="savepoint", operators=operators)

    def _operator(self, operator: OperatorState, writer: SnapshotFiles) -> OperatorState:
        """One that was there."""
        edits = self.edits
        uid = OperatorUid(edits.renamed_operators.get(operator.uid, operator.uid))
        bootstraps = [asked for asked in edits.bootstraps if asked.uid == uid]
        tables = tables_of(operator)
        kept = [table for table in tables if (operator.uid, table.name) not in edits.dropped_states]
        self.report += [
            EditedTable(uid=operator.uid, state=table.name, dropped=True) for table in tables if table not in kept
        ]
        keyed = [table for table in kept if table.sort == "keyed"]
        was_keyed = any(table.sort == "keyed" for table in tables)
        subtasks = {
            subtask.index: SubtaskState(subtask.index, finished=subtask.finished) for subtask in operator.subtasks
        }
        for index, handle in self._lists([table for table in kept if table.sort == "operator"], writer).items():
            subtasks[index] = msgspec.structs.replace(subtasks[index], operator=handle)
        infos = {self._name(table): self._info(table) for table in kept}
        key_type = operator.key_type
        if keyed or bootstraps or was_keyed:
            job = _KeyedJob(self, operator, uid, keyed, bootstraps)
            for index, keyed_handle in job.run(writer):
                finished = index in subtasks and subtasks[index].finished
                before = subtasks.get(index) or SubtaskState(index, finished=finished)
                subtasks[index] = msgspec.structs.replace(before, keyed=(keyed_handle,))
            infos |= job.infos
            key_type = job.key_json
        return msgspec.structs.replace(
            operator,
            uid=uid,
            subtasks=tuple(subtasks[index] for index in sorted(subtasks)),
            states=tuple(infos[name] for name in sorted(infos)),
            key_type=key_type,
        )

    def _new_operator(self, uid: str, writer: SnapshotFiles) -> OperatorState:
        """One that only the script knows."""
        asked = [bootstrap for bootstrap in self.edits.bootstraps if bootstrap.uid == uid]
        bare = OperatorState(OperatorUid(uid), 1, asked[0].max_parallelism, (), uid)
        job = _KeyedJob(self, bare, bare.uid, [], asked)
        subtasks = tuple(SubtaskState(index, (handle,)) for index, handle in job.run(writer))
        states = tuple(job.infos[name] for name in sorted(job.infos))
        return msgspec.structs.replace(bare, subtasks=subtasks, states=states, key_type=job.key_json)

    def _lists(self, tables: Sequence[StateTable], writer: SnapshotFiles) -> dict[int, OperatorStateHandle]:
        """Operator state, by subtask; each of its states in a file of its own."""
        assert self.source is not None
        found: dict[int, dict[str, OperatorListHandle]] = {}
        for table in tables:
            told = EditedTable(uid=table.uid, state=table.name)
            self.report.append(told)
            elements = {index: list[bytes]() for index, _ in table.list_handles()}
            for entry in list_entries(table, self.source):
                told.read += 1
                index = entry.key
                for kept in self._edited(table, entry):
                    told.written += 1
                    elements[index].append(_element(table, kept))
            for index, handle in table.list_handles():
                data = b"".join(elements[index])
                lengths = list(map(len, elements[index]))
                partitions = tuple(zip(accumulate(lengths[:-1], initial=0), lengths, strict=False))
                file = writer.write(f"operator-{index}", data, shared=False)
                name = self._name(table)
                found.setdefault(index, {})[name] = OperatorListHandle(handle.mode, file, partitions)
        return {index: OperatorStateHandle(states) for index, states in found.items()}

    def _name(self, table: StateTable) -> str:
        return self.edits.renamed_states.get((table.uid, table.name), table.name)

    def _info(self, table: StateTable) -> StateInfo:
        return msgspec.structs.replace(table.info, name=self._name(table))

    def _edited(self, table: StateTable, entry: Entry) -> list[Entry]:
        """What the script makes of one entry."""
        found = [entry]
        for function in self.edits.edits.get((table.uid, table.name), ()):
            found = [kept for each in found for kept in self._called(function, each)]
        return found

    def _called(self, function: Callable[..., Any], argument: Any) -> list[Entry]:
        return list(results(self.call(function, argument)))


@final
class _KeyedJob:
    """The keyed state of one operator."""

    def __init__(
        self,
        whole: SavepointEdit,
        operator: OperatorState,
        uid: OperatorUid,
        tables: Sequence[StateTable],
        bootstraps: Sequence[Bootstrap],
    ) -> None:
        self._whole = whole
        self._operator = operator
        self._uid = uid
        self._bootstraps = bootstraps
        self._directory = whole.directory / f"operator-{secrets.token_hex(4)}"
        self._directory.mkdir()
        self._key_type = _stored_key_type(operator, bootstraps)
        edited = whole.edits.edits
        self._specs = {whole._name(table): replace(as_keyed(table.info), name=whole._name(table)) for table in tables}
        filled = {asked.state for asked in bootstraps}
        changed = [t for t in tables if (t.uid, t.name) in edited or whole._name(t) in filled]
        self._changed = {table.name: table for table in changed}
        self._copied = {table.name: table for table in tables if table.name not in self._changed}
        self._reports = {t.name: EditedTable(uid=operator.uid, state=t.name) for t in tables}
        self._new_reports: dict[str, EditedTable] = {}
        for asked in bootstraps:
            self._specs.setdefault(asked.state, spec_of(_DESCRIPTORS[asked.kind](asked)))
        whole.report += self._reports.values()

    @property
    def infos(self) -> dict[str, StateInfo]:
        return {name: spec.info() for name, spec in self._specs.items()}

    @property
    def key_json(self) -> dict[str, Any] | None:
        return None if self._key_type is None else {"key": self._key_type.to_json()}

    def run(self, writer: SnapshotFiles) -> Iterator[tuple[int, Any]]:
        """Each subtask's handle."""
        resorted = self._resorted()
        operator = self._operator
        for index in range(operator.parallelism):
            key_groups = range_for(operator.max_parallelism, operator.parallelism, index)
            directory = self._directory / str(index)
            directory.mkdir()
            yield (
                index,
                write_tables(
                    self._pieces(resorted, key_groups),
                    list(self.infos.values()),
                    uid=self._uid,
                    operator_name=operator.name or self._uid,
                    key_type=self._key_type,
                    key_groups=key_groups,
                    max_parallelism=operator.max_parallelism,
                    directory=directory,
                    writer=writer,
                ),
            )

    def _pieces(
        self, resorted: dict[str, Resorting], key_groups: KeyGroupRange
    ) -> Iterator[tuple[StateSpec, Sequence[Rows]]]:
        for name, rows in self._read(self._copied, key_groups, pickled=True):
            told = self._reports[name]
            told.read += len(rows)
            told.written += len(rows)
            yield self._specs[self._whole._name(self._copied[name])], [rows]
        for name, sorted_anew in resorted.items():
            told = self._told(name)
            for rows in sorted_anew.rows(key_groups):
                told.written += len(rows)
                yield self._specs[name], [rows]

    def _resorted(self) -> dict[str, Resorting]:
        """What the script changes or fills, by the names of the new savepoint."""
        names = [self._whole._name(table) for table in self._changed.values()]
        names += [asked.state for asked in self._bootstraps if asked.state not in names]
        expected = self._operator_bytes() * 4 + sum(_file_bytes(asked.file) for asked in self._bootstraps)
        found = {
            name: Resorting(
                self._specs[name], self._operator.max_parallelism, self._directory / f"state-{number}", expected
            )
            for number, name in enumerate(dict.fromkeys(names))
        }
        with ExitStack() as stack:
            for resorting in found.values():
                stack.callback(resorting.end)
            for name, rows in self._read(self._changed, None, pickled=False):
                table = self._changed[name]
                self._reports[name].read += len(rows)
                entries = [kept for entry in entries_of(rows) for kept in self._whole._edited(table, entry)]
                self._take(found[self._whole._name(table)], entries)
            for asked in self._bootstraps:
                told = self._told(asked.state)
                batch: list[Entry] = []
                for row in self._whole.rows_of(asked.file):
                    told.read += 1
                    batch += self._whole._called(asked.load, row)
                    if len(batch) >= 1_000:
                        self._take(found[asked.state], batch)
                        batch = []
                self._take(found[asked.state], batch)
        return found

    def _take(self, resorting: Resorting, entries: list[Entry]) -> None:
        """Keys of one operator have one type."""
        # Keys of one plain type, as nearly always, say so together.
        kinds = {type(entry.key): entry.key for entry in entries}
        alike = len(kinds) == 1 and not any(map(_has_parts, kinds))
        for key in kinds.values() if alike else [entry.key for entry in entries]:
            kind = key_type_of(key)
            known = kind if self._key_type is None else self._key_type.joined(kind)
            if known is None:
                raise StateError(
                    f"keys of operator {self._operator.name or self._uid} are {self._key_type}; the script gave "
                    f"{kind} {key!r}"
                )
            self._key_type = known
        resorting.add(entries)

    def _read(
        self, tables: dict[str, StateTable], key_groups: KeyGroupRange | None, *, pickled: bool
    ) -> Iterator[tuple[str, Rows]]:
        if not tables:
            return iter(())
        assert self._whole.source is not None
        return keyed_pieces(
            self._operator,
            self._whole.source,
            self._directory,
            names=tuple(tables),
            key_groups=key_groups,
            pickled=pickled,
        )

    def _told(self, name: str) -> EditedTable:
        """The report of a state by its new name."""
        for table in self._changed.values():
            if self._whole._name(table) == name:
                return self._reports[table.name]
        if name not in self._new_reports:
            self._new_reports[name] = EditedTable(uid=self._uid, state=name)
            self._whole.report.append(self._new_reports[name])
        return self._new_reports[name]

    def _operator_bytes(self) -> int:
        return sum(file.file.size for file in self._operator.files())


def _stored_key_type(operator: OperatorState, bootstraps: Sequence[Bootstrap]) -> KeyType | None:
    if operator.key_type is not None:
        return KeyType.from_json(operator.key_type["key"])
    declared = next((asked.key_type for asked in bootstraps if asked.key_type is not None), None)
    return None if declared is None else declared_key_type(declared)


def _element(table: StateTable, entry: Entry) -> bytes:
    spec = as_keyed(table.info)
    if spec.map_key is None:
        return spec.value.dumps(entry.value)
    return _encode((spec.map_key.dumps(entry.map_key), spec.value.dumps(entry.value)))


def _has_parts(cls: type) -> bool:
    return issubclass(cls, (tuple, Row)) or is_dataclass(cls)


def _file_bytes(file: str) -> int:
    local = Path(file.removeprefix("file://"))
    return local.stat().st_size * 4 if local.is_file() else 0


def _check_names(operators: Sequence[OperatorState], edits: Edits) -> None:
    """Everything that the script names is there, and nothing is named twice in the result."""
    states = {operator.uid: {table.name for table in tables_of(operator)} for operator in operators}
    uids = edits.dropped_operators | edits.renamed_operators.keys()
    pairs = edits.edits.keys() | edits.dropped_states | edits.renamed_states.keys()
    for uid in sorted(uids | {uid for uid, _ in pairs}):
        if uid not in states:
            raise StateError(
                f"the savepoint has no operator with uid {uid}; it has {', '.join(sorted(states)) or 'none'}"
            )
    for uid, state in sorted(pairs):
        if state not in states[OperatorUid(uid)]:
            names = ", ".join(sorted(states[OperatorUid(uid)])) or "none"
            raise StateError(f"operator {uid} has no state {state}; it has {names}")
    left = [edits.renamed_operators.get(uid, uid) for uid in states if uid not in edits.dropped_operators]
    _refuse_twice(left, "operators with uid")
    for uid, names_of in states.items():
        kept = [edits.renamed_states.get((uid, n), n) for n in names_of if (uid, n) not in edits.dropped_states]
        _refuse_twice(kept, f"states of operator {uid} named")


def _refuse_twice(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise StateError(f"the new savepoint would have two {what} {name}")
