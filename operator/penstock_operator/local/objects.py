"""The objects of the local world: JSON files in a folder, each written whole, with a version that guards every write.

What the API server is to a cluster. One process at a time uses a folder (`local.running` locks it), so all of this is
plain files and memory, without awaiting.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, final

import msgspec

from penstock_operator.errors import Conflict, Missing, OperatorError, Unavailable

Kind = Literal["FlinkJob", "FlinkStateSnapshot", "Secret", "ConfigMap", "ControllerRevision"]
API_VERSION: Final = "penstock.dev/v1alpha1"
SNAPSHOT_FINALIZER: Final = "penstock.dev/snapshot"
JOB_FINALIZER: Final = "penstock.dev/job"


@final
class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What Kubernetes calls by these names."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    creation_timestamp: str
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    deletion_timestamp: str | None = None


@final
class Stored(msgspec.Struct, frozen=True, rename="camel"):
    """An object as it lies there."""

    kind: Kind
    metadata: Metadata
    spec: dict[str, Any] = {}
    """Of a Secret and a ConfigMap: its data."""
    status: dict[str, Any] = {}


@final
@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Which object. Revisions are called `JOB/REVISION`."""

    kind: Kind
    namespace: str
    name: str


@final
class Objects:
    """All objects of a folder. What changes one raises Unavailable where it cannot be written."""

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now
        self._listeners: list[Callable[[ObjectKey], None]] = []
        self._objects = dict(_read_all(folder))
        self._version = max((int(o.metadata.resource_version) for o in self._objects.values()), default=0)

    def listen(self, changed: Callable[[ObjectKey], None]) -> None:
        """`changed` is called after each change that a person or a file made; status writes wake nobody."""
        self._listeners.append(changed)

    def get(self, key: ObjectKey) -> Stored | None:
        return self._objects.get(key)

    def all(self, kind: Kind, namespace: str | None = None) -> list[tuple[ObjectKey, Stored]]:
        return [
            (key, stored)
            for key, stored in sorted(self._objects.items(), key=lambda item: item[0])
            if key.kind == kind and namespace in (None, key.namespace)
        ]

    def apply(self, key: ObjectKey, spec: dict[str, Any], annotations: Mapping[str, str]) -> bool:
        """As `kubectl apply`: make or change it; whether there was anything to do."""
        old = self._objects.get(key)
        if old is None:
            metadata = Metadata(
                namespace=key.namespace,
                name=key.name,
                uid=secrets.token_hex(16),
                generation=1,
                resource_version="",
                creation_timestamp=rfc3339(self._now()),
                annotations=dict(annotations),
            )
            self._write(key, Stored(kind=key.kind, metadata=metadata, spec=spec))
        else:
            changed = old.spec != spec
            if not changed and old.metadata.annotations == annotations:
                return False
            generation = old.metadata.generation + changed
            metadata = msgspec.structs.replace(old.metadata, generation=generation, annotations=dict(annotations))
            self._write(key, msgspec.structs.replace(old, metadata=metadata, spec=spec))
        self._tell(key)
        return True

    def write_status(self, key: ObjectKey, status: dict[str, Any], resource_version: str | None) -> None:
        """Conflict when the object has another version; None for a version writes whatever there is."""
        old = self._existing(key, resource_version)
        if old.status != status:
            self._write(key, msgspec.structs.replace(old, status=status))

    def set_finalizer(self, key: ObjectKey, finalizer: str, present: bool) -> None:
        """Have it there or not; an object that was to be deleted goes with its last finalizer."""
        old = self._existing(key, None)
        others = tuple(name for name in old.metadata.finalizers if name != finalizer)
        finalizers = (*others, finalizer) if present else others
        if set(finalizers) == set(old.metadata.finalizers):
            return
        self._write(key, _with(old, finalizers=finalizers))
        if not finalizers and old.metadata.deletion_timestamp is not None:
            self.remove(key)

    def delete(self, key: ObjectKey) -> None:
        """Ask for its deletion: it goes at once if nothing holds it."""
        old = self._objects.get(key)
        if old is None or old.metadata.deletion_timestamp is not None:
            return
        if not old.metadata.finalizers:
            self.remove(key)
            return
        generation = old.metadata.generation + 1
        self._write(key, _with(old, deletion_timestamp=rfc3339(self._now()), generation=generation))
        self._tell(key)

    def remove(self, key: ObjectKey) -> None:
        """Take it away, whatever holds it, and with a FlinkJob its revisions."""
        if self._objects.pop(key, None) is None:
            return
        self._path(key).unlink(missing_ok=True)
        if key.kind == "FlinkJob":
            for owned, _ in self.all("ControllerRevision", key.namespace):
                if owned.name.startswith(f"{key.name}/"):
                    self.remove(owned)
        self._tell(key)

    def _existing(self, key: ObjectKey, resource_version: str | None) -> Stored:
        old = self._objects.get(key)
        if old is None:
            raise Missing(f"{key.kind} {key.namespace}/{key.name} is gone")
        if resource_version not in (None, old.metadata.resource_version):
            raise Conflict(
                f"{key.kind} {key.namespace}/{key.name} has version {old.metadata.resource_version}, "
                f"and version {resource_version} was looked at"
            )
        return old

    def _write(self, key: ObjectKey, stored: Stored) -> None:
        self._version += 1
        stored = _with(stored, resource_version=str(self._version))
        write_whole(self._path(key), msgspec.json.format(msgspec.json.encode(stored)))
        self._objects[key] = stored

    def _tell(self, key: ObjectKey) -> None:
        for changed in self._listeners:
            changed(key)

    def _path(self, key: ObjectKey) -> Path:
        return self._folder / key.kind.lower() / key.namespace / f"{key.name}.json"


def _with(stored: Stored, **changes: Any) -> Stored:
    return msgspec.structs.replace(stored, metadata=msgspec.structs.replace(stored.metadata, **changes))


def _read_all(folder: Path) -> Iterator[tuple[ObjectKey, Stored]]:
    for path in sorted(folder.rglob("*.json")):
        try:
            stored = msgspec.json.decode(path.read_bytes(), type=Stored)
        except (OSError, msgspec.MsgspecError) as error:
            raise OperatorError(
                f"{path} cannot be read as an object ({error}); move it away: the job's state lies in its checkpoints"
            ) from error
        kind, namespace, *name = path.relative_to(folder).with_suffix("").parts
        if kind == stored.kind.lower():
            yield ObjectKey(stored.kind, namespace, "/".join(name)), stored


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """All of it or nothing, also when this process or the machine dies in between. Unavailable on a full disk, say."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)  # Where there is no room, what is left of each attempt takes the rest.
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
