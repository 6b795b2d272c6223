"""State of a subtask rather than of a key: lists that are dealt out anew on rescaling, and broadcast maps.

Opened for every operator; small by nature, so the barrier serialises it on the spot. What the program has not asked
for since a restore is carried along as it was read.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, final

import msgspec

from penstock.base.errors import DamagedData, StateError
from penstock.base.ids import CheckpointId
from penstock.state.api import BroadcastState, ListState, OperatorStateStore
from penstock.state.backend import SnapshotReader, SnapshotWriter
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, StateDescriptor, check_descriptor
from penstock.state.handles import ListMode, OperatorListHandle, OperatorStateHandle, StateInfo, file_stem
from penstock.state.spec import StateSpec, change_between, check_same, spec_from, spec_of

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_entry: Final = msgspec.msgpack.Decoder(tuple[bytes, bytes]).decode
_WORDS: Final[dict[ListMode, str]] = {"split": "list", "union": "union", "broadcast": "broadcast"}


@final
class OperatorListState(ListState[Any]):
    """One list of one subtask."""

    __slots__ = ("elements",)

    def __init__(self, elements: list[Any]) -> None:
        self.elements = elements

    def get(self) -> list[Any]:
        return self.elements[:]

    def add(self, value: Any) -> None:
        self.elements.append(value)

    def add_all(self, values: Iterable[Any]) -> None:
        self.elements.extend(values)

    def update(self, values: Iterable[Any]) -> None:
        self.elements[:] = list(values)

    def clear(self) -> None:
        self.elements.clear()


@final
class HeapBroadcastState(BroadcastState[Any, Any]):
    """One subtask's copy of a broadcast map."""

    __slots__ = ("entries",)

    def __init__(self, entries: dict[Any, Any]) -> None:
        self.entries = entries

    def get(self, key: Any) -> Any:
        return self.entries.get(key)

    def put(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def put_all(self, dict_value: Mapping[Any, Any]) -> None:
        self.entries.update(dict_value)

    def remove(self, key: Any) -> None:
        self.entries.pop(key, None)

    def contains(self, key: Any) -> bool:
        return key in self.entries

    def items(self) -> list[tuple[Any, Any]]:
        return list(self.entries.items())

    def keys(self) -> list[Any]:
        return list(self.entries)

    def values(self) -> list[Any]:
        return list(self.entries.values())

    def is_empty(self) -> bool:
        return not self.entries

    def clear(self) -> None:
        self.entries.clear()


@final
class _Registered(msgspec.Struct):
    mode: ListMode
    spec: StateSpec
    state: OperatorListState | HeapBroadcastState

    def elements(self) -> list[bytes]:
        spec = self.spec
        try:
            if isinstance(self.state, OperatorListState):
                return [spec.value.dumps(value) for value in self.state.elements]
            assert spec.map_key is not None
            key_of, value_of = spec.map_key.dumps, spec.value.dumps
            return [_encode((key_of(key), value_of(value))) for key, value in self.state.entries.items()]
        except StateError as error:
            raise StateError(f"state {spec.name}: {error}") from error


@final
class _Restored(msgspec.Struct):
    """A state that was read and not asked for yet."""

    mode: ListMode
    info: StateInfo
    elements: list[bytes]


@final
class OperatorStateSnapshot:
    """What the barrier fixed, as bytes. `write` runs in a thread."""

    def __init__(self, name: str, states: Sequence[tuple[str, ListMode, list[bytes]]]) -> None:
        self._name = name
        self._states = states

    def write(self, writer: SnapshotWriter) -> OperatorStateHandle:
        """One small file per state."""
        handles = {}
        for number, (name, mode, elements) in enumerate(self._states):
            file = writer.write(f"{self._name}-{number}", b"".join(elements), shared=False)
            partitions, at = [], 0
            for element in elements:
                partitions.append((at, len(element)))
                at += len(element)
            handles[name] = OperatorListHandle(mode, file, tuple(partitions))
        return OperatorStateHandle(handles)


@final
class OperatorStateBackend(OperatorStateStore):
    """The operator state of one operator's subtask."""

    def __init__(
        self,
        *,
        operator_name: str,
        uid: str,
        restore: Sequence[OperatorStateHandle],
        infos: Sequence[StateInfo],
        reader: SnapshotReader,
    ) -> None:
        """`restore`: what is this subtask's after redistribution; `infos`: the operator's states in the checkpoint.

        Reads: called in a thread, before the task runs.
        """
        self._operator = operator_name
        self._uid = uid
        self._registered: dict[str, _Registered] = {}
        self._restored = _read(operator_name, restore, infos, reader)

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        check_descriptor(state_descriptor, ListStateDescriptor, "get_list_state")
        return self._list(state_descriptor, "split")

    def get_union_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        check_descriptor(state_descriptor, ListStateDescriptor, "get_union_list_state")
        return self._list(state_descriptor, "union")

    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        check_descriptor(state_descriptor, MapStateDescriptor, "get_broadcast_state")
        known = self._known(state_descriptor, "broadcast")
        if known is not None:
            assert isinstance(known, HeapBroadcastState)
            return known
        spec, raw, change = self._take(state_descriptor, "broadcast")
        state = HeapBroadcastState({})
        if raw is not None:
            stored = _stored(raw.info)
            assert stored.map_key is not None
            key_of = change.map_key or (lambda key: key)
            value_of = change.value or (lambda value: value)
            for key, value in map(_decode_entry, raw.elements):
                state.entries[key_of(stored.map_key.loads(key))] = value_of(stored.value.loads(value))
        self._registered[spec.name] = _Registered("broadcast", spec, state)
        return state

    def snapshot(self, checkpoint: CheckpointId) -> OperatorStateSnapshot:
        """At the barrier: everything as bytes."""
        states: list[tuple[str, ListMode, list[bytes]]] = [
            (name, held.mode, held.elements()) for name, held in self._registered.items()
        ]
        states += [(name, raw.mode, raw.elements) for name, raw in self._restored.items()]
        return OperatorStateSnapshot(file_stem(self._uid, checkpoint), states)

    def infos(self) -> tuple[StateInfo, ...]:
        """Every state there is: asked for, or restored and not asked for yet. From any thread."""
        registered = tuple(_info(held.spec, held.mode) for held in tuple(self._registered.values()))
        return registered + tuple(raw.info for raw in tuple(self._restored.values()))

    def _list(self, descriptor: ListStateDescriptor, mode: ListMode) -> ListState[Any]:
        known = self._known(descriptor, mode)
        if known is not None:
            assert isinstance(known, OperatorListState)
            return known
        spec, raw, change = self._take(descriptor, mode)
        state = OperatorListState([])
        if raw is not None:
            decode = _stored(raw.info).value.loads
            value_of = change.value or (lambda value: value)
            state.elements.extend(value_of(decode(element)) for element in raw.elements)
        self._registered[spec.name] = _Registered(mode, spec, state)
        return state

    def _known(self, descriptor: StateDescriptor, mode: ListMode) -> OperatorListState | HeapBroadcastState | None:
        known = self._registered.get(descriptor.name)
        if known is None:
            return None
        self._check_mode(descriptor.name, known.mode, mode)
        check_same(known.spec, spec_of(descriptor), self._operator)
        return known.state

    def _take(self, descriptor: StateDescriptor, mode: ListMode) -> tuple[StateSpec, _Restored | None, Any]:
        if descriptor.ttl_config is not None:
            where = f"state {descriptor.name} of operator {self._operator}"
            raise StateError(f"{where} cannot expire: only keyed state has a time to live")
        spec = spec_of(descriptor)
        raw = self._restored.get(spec.name)
        if raw is None:
            return spec, None, None
        self._check_mode(spec.name, raw.mode, mode)
        change = change_between(_stored(raw.info), spec, self._operator)
        del self._restored[spec.name]
        return spec, raw, change

    def _check_mode(self, name: str, held: ListMode, asked: ListMode) -> None:
        if held != asked:
            where = f"state {name} of operator {self._operator}"
            raise StateError(f"{where} is asked for as {_WORDS[asked]} state and is {_WORDS[held]} state")


def _info(spec: StateSpec, mode: ListMode) -> StateInfo:
    return msgspec.structs.replace(spec.info(), kind=_WORDS[mode])


def _stored(info: StateInfo) -> StateSpec:
    """What a checkpoint holds, in the terms of keyed state."""
    return spec_from(msgspec.structs.replace(info, kind="map" if info.kind == "broadcast" else "list"))


def _read(
    operator_name: str, handles: Sequence[OperatorStateHandle], infos: Sequence[StateInfo], reader: SnapshotReader
) -> dict[str, _Restored]:
    described = {info.name: info for info in infos}
    found: dict[str, _Restored] = {}
    for handle in handles:
        for name, part in handle.states.items():
            if name not in described:
                raise DamagedData(f"state {name} of operator {operator_name} is not described in the checkpoint")
            held = found.setdefault(name, _Restored(part.mode, described[name], []))
            data = reader.read(part.file) if part.partitions else b""
            held.elements.extend(data[at : at + size] for at, size in part.partitions)
    return found
