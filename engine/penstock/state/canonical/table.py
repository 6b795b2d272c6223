"""What a state's table looks like: its columns, from the state's declared types and the structure of its keys. Pure.

    key_group  int32
    key        by the structure of the operator's keys
    namespace  by the structure of its windows; only of state that belongs to windows
    map_key    of maps: by the declared type, or the structure of the first; `index` (int32) of lists instead
    timestamp  int64, milliseconds; of timers, which have no value
    value      by the declared type
    last_used  timestamp[ms, UTC]; only of state with a time to live
    exact      binary, null but where a row holds something that its columns have no exact form for: MessagePack of
               {column: bytes}, keys in their canonical encoding (or pickle), values as the state serialises them

The schema carries all this as JSON under "penstock", so that a table can be read alone. Part of the savepoint format.
"""

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, final

import msgspec
import pyarrow as pa

from penstock.base.errors import DamagedData, IncompatibleState, StateError
from penstock.common.typeinfo import PickledBytesTypeInfo, Types
from penstock.records.key_types import OPEN, KeyType, key_type_of
from penstock.state.canonical.columns import Codec, codec_of, codec_of_key
from penstock.state.descriptors import StateKind
from penstock.state.handles import StateInfo
from penstock.state.spec import StateSpec, spec_from

FORMAT: Final = 1
"""Of the tables; a savepoint with a higher one cannot be read."""
_METADATA: Final = b"penstock"
_TIMERS: Final = re.compile(r"_.+\.(event|processing)-time")
_TIME: Final = pa.timestamp("ms", tz="UTC")


@final
class Description(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a table says of itself."""

    format: int
    state: StateInfo
    key: list[Any]
    """Structures as `KeyType.to_json` has them."""
    namespace: list[Any]
    map_key: list[Any]
    uid: str = ""
    operator: str = ""


@final
@dataclass(frozen=True, slots=True)
class KeyTypes:
    """The structures of what no descriptor declares. Open: not known, or not there."""

    key: KeyType = OPEN
    namespace: KeyType = OPEN
    map_key: KeyType = OPEN


@final
@dataclass(frozen=True, slots=True)
class TableLayout:
    """One state's table."""

    spec: StateSpec
    kinds: KeyTypes
    uid: str = ""
    operator: str = ""
    key: Codec = field(init=False)
    namespace: Codec | None = field(init=False)
    map_key: Codec | None = field(init=False)
    value: Codec | None = field(init=False)
    schema: Any = field(init=False)

    def __post_init__(self) -> None:
        spec, put = self.spec, object.__setattr__
        put(self, "key", codec_of_key(self.kinds.key))
        put(self, "namespace", codec_of_key(self.kinds.namespace) if spec.namespaced else None)
        put(self, "map_key", self._map_key())
        put(self, "value", None if is_timers(spec) else codec_of(spec.value.type_info))
        put(self, "schema", self._schema())

    @property
    def map_key_is_declared(self) -> bool:
        return self.spec.map_key is not None and not is_undeclared_map(self.spec)

    def _map_key(self) -> Codec | None:
        if self.spec.map_key is None:
            return None
        return codec_of(self.spec.map_key.type_info) if self.map_key_is_declared else codec_of_key(self.kinds.map_key)

    def _schema(self) -> Any:
        spec = self.spec
        fields = [pa.field("key_group", pa.int32(), nullable=False), pa.field("key", self.key.type)]
        if self.namespace is not None:
            fields.append(pa.field("namespace", self.namespace.type))
        if self.map_key is not None:
            fields.append(pa.field("map_key" if self.value is not None else "timestamp", self.map_key.type))
        elif spec.kind is StateKind.LIST:
            fields.append(pa.field("index", pa.int32(), nullable=False))
        if self.value is not None:
            fields.append(pa.field("value", self.value.type))
        if spec.timed:
            fields.append(pa.field("last_used", _TIME, nullable=False))
        fields.append(pa.field("exact", pa.binary()))
        kinds = self.kinds
        description = Description(
            FORMAT,
            spec.info(),
            kinds.key.to_json(),
            kinds.namespace.to_json(),
            kinds.map_key.to_json(),
            self.uid,
            self.operator,
        )
        return pa.schema(fields, metadata={_METADATA: msgspec.json.encode(description)})

    @staticmethod
    def of(schema: Any, where: str) -> "TableLayout":
        """Of a table that was written; `where` is for errors."""
        found = describe(schema, where)
        kinds = KeyTypes(*(_key_type(kind, where) for kind in (found.key, found.namespace, found.map_key)))
        layout = TableLayout(spec_from(found.state), kinds, found.uid, found.operator)
        if not layout.schema.equals(schema.remove_metadata(), check_metadata=False):
            raise DamagedData(f"{where} has other columns than its state: {schema.names}, expected {layout.schema}")
        return layout


def describe(schema: Any, where: str) -> Description:
    """What a table says of itself, without the classes of its keys."""
    data = (schema.metadata or {}).get(_METADATA)
    if data is None:
        raise DamagedData(f"{where} is no table of a canonical savepoint")
    try:
        number = msgspec.json.decode(data, type=dict[str, Any])["format"]
        if number > FORMAT:
            raise IncompatibleState(f"{where} has format {number}; this Penstock reads tables up to format {FORMAT}")
        return msgspec.json.decode(data, type=Description)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise DamagedData(f"what describes {where} cannot be read: {error}") from error


def _key_type(found: list[Any], where: str) -> KeyType:
    try:
        return KeyType.from_json(found)
    except StateError as error:
        raise IncompatibleState(f"{where}: {error}") from error


def is_timers(spec: StateSpec) -> bool:
    """Whether a map is what `penstock.operators.timers` keeps timers in."""
    if spec.kind is not StateKind.MAP or spec.map_key is None or not _TIMERS.fullmatch(spec.name):
        return False
    return (spec.map_key.type_info, spec.value.type_info, spec.timed) == (Types.LONG(), Types.BOOLEAN(), False)


def is_undeclared_map(spec: StateSpec) -> bool:
    """Whether only its entries can tell what the keys of a map are."""
    return spec.map_key is not None and isinstance(spec.map_key.type_info, PickledBytesTypeInfo)


_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.=-]")


def folder_of(uid: str, spec: StateSpec) -> str:
    """Where an operator's tables of one state lie: `<uid>/<state>`, readable, and fit for any store."""
    return f"{path_part(uid, 60)}/{path_part(spec.name, 60)}"


def path_part(name: str, size: int) -> str:
    """A name as part of a path; two that look alike there stay apart."""
    safe = _UNSAFE.sub("_", name)[:size]
    if safe == name and safe.strip("."):
        return safe
    return f"{safe.strip('.')}-{zlib.crc32(name.encode('utf-8', 'surrogatepass')):08x}"


def structure_of(values: Iterable[Any], known: KeyType = OPEN) -> KeyType:
    """The structure of all these, joined with what is known; where one differs it is left out."""
    found = known
    for value in values:
        if value is None:
            continue
        try:
            found = found.joined(key_type_of(value)) or found
        except StateError:
            continue
    return found
