"""Opens keyed backends: the one place that knows both kinds. RocksDB is imported only for those who use it."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penstock.base.clock import Clock
from penstock.base.errors import ConfigurationError, IncompatibleState
from penstock.common.typeinfo import TypeInformation
from penstock.records.key_groups import KeyGroupRange
from penstock.records.key_types import OPEN, KeyType, declared_key_type
from penstock.state.backend import KeyedBackend, SnapshotReader
from penstock.state.handles import KeyedHandle
from penstock.state.hashmap.backend import HeapBackend
from penstock.state.hashmap.restore import Restore, reusable_files
from penstock.state.operator_keys import OperatorKeys
from penstock.state.settings import StateSettings

if TYPE_CHECKING:
    from penstock.state.rocksdb.memory import RocksMemory
    from penstock.state.rocksdb.restore import Restored

BackendKind = Literal["hashmap", "rocksdb"]


def open_backend(
    kind: BackendKind,
    *,
    operator_name: str,
    uid: str,
    key_groups: KeyGroupRange,
    max_parallelism: int,
    key_type: TypeInformation | KeyType | None,
    restore: Sequence[KeyedHandle],
    restored_keys: dict[str, Any] | None = None,
    reader: SnapshotReader,
    directory: Path,
    clock: Clock,
    memory: "RocksMemory | None",
    settings: StateSettings,
    ahead: "Restored | None" = None,
) -> KeyedBackend:
    """The backend of one operator's subtask, with what `restore` holds for its key groups.

    `restored_keys` is the type of its keys, as `_metadata` has it. Reads and may take long: called in a thread, before
    the task runs. Below `directory`, which is the subtask's own, local files lie in a folder that `close` removes.
    `ahead`: what `restore_ahead` has made of these very handles for these very key groups; the backend's from now on.
    """
    wrong = next((handle for handle in restore if handle.backend not in (kind, "canonical")), None)
    if wrong is not None:
        raise IncompatibleState(
            f"state of operator {operator_name} was written by the {wrong.backend} backend and the program runs on "
            f"{kind}; start from a canonical savepoint to change the backend"
        )
    held = None if restored_keys is None else KeyType.from_json(restored_keys["key"])
    keys = OperatorKeys(operator_name, _key_type(key_type), held)
    if kind == "hashmap":
        return _open_hashmap(
            operator_name, uid, key_groups, max_parallelism, keys, restore, reader, directory, clock, settings
        )
    from penstock.state.rocksdb.backend import RocksBackend

    if memory is None:
        raise ConfigurationError("the rocksdb backend needs memory of its worker; none was configured")
    restored = ahead or restore_ahead(
        operator_name=operator_name,
        key_groups=key_groups,
        restore=restore,
        reader=reader,
        directory=directory,
        memory=memory,
        settings=settings,
    )
    return RocksBackend(
        operator_name=operator_name,
        uid=uid,
        key_groups=key_groups,
        max_parallelism=max_parallelism,
        keys=keys,
        clock=clock,
        database=restored.database,
        memory=memory,
        directory=restored.directory,
        settings=settings,
        restored=restored.specs,
        files=restored.files,
        last_chunk=restored.last_chunk,
    )


def restore_ahead(
    *,
    operator_name: str,
    key_groups: KeyGroupRange,
    restore: Sequence[KeyedHandle],
    reader: SnapshotReader,
    directory: Path,
    memory: "RocksMemory",
    settings: StateSettings,
) -> "Restored":
    """The RocksDB state of a subtask, in a folder of its own below `directory`, before there is anyone to work on it.

    Blocks, as `open_backend` does.
    """
    from penstock.state.rocksdb.restore import RocksRestore

    directory.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix="rocksdb-", dir=directory))
    try:
        return RocksRestore(operator_name, key_groups, own, reader, memory, settings).run(restore)
    except BaseException:
        shutil.rmtree(own, ignore_errors=True)
        raise


def _key_type(declared: TypeInformation | KeyType | None) -> KeyType | None:
    """None: the first key will tell."""
    found = declared if isinstance(declared, KeyType) else declared_key_type(declared)
    return None if found == OPEN else found


def _open_hashmap(
    operator_name: str,
    uid: str,
    key_groups: KeyGroupRange,
    max_parallelism: int,
    keys: OperatorKeys,
    restore: Sequence[KeyedHandle],
    reader: SnapshotReader,
    directory: Path,
    clock: Clock,
    settings: StateSettings,
) -> HeapBackend:
    restored = Restore(operator_name, key_groups, max_parallelism, directory)
    for handle in restore:
        restored.take(handle, reader)
    return HeapBackend(
        operator_name=operator_name,
        uid=uid,
        key_groups=key_groups,
        max_parallelism=max_parallelism,
        keys=keys,
        clock=clock,
        tables=restored.tables,
        files=reusable_files(restore, key_groups) if settings.build_on_restored else (),
        touched_set_keys=settings.touched_set_keys,
        directory=directory,
        dense_keys=settings.dense_keys,
    )
