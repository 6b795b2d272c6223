"""What it takes to get from one FlinkJob spec to another: every field has a class, and the strongest one counts.

`difference` compares what two specs mean, not how they are written: `1` cpu is `1000m`, and a configuration key may be
nested or flat. The decision and the event's sentence both come from what it returns. A test fails when the spec gets a
field that has no class here. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, Final, final

import msgspec

from penstock_operator.errors import InvalidValue
from penstock_operator.model.configuration import flattened, is_secret
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.values import read_duration_ms, read_quantity


@final
class Change(IntEnum):
    """In order of strength."""

    NONE = 0
    IGNORED = 1
    """Read when it is next needed (at the next upgrade, at deletion); nothing is done about it now."""
    IN_PLACE = 2
    """Heeded from now on, by the operator itself; what runs is not touched."""
    SCALE = 3
    """Another amount of the same: the running job is rescaled."""
    UPGRADE = 4
    """Another program, configuration or pod: a new revision."""


_RESOURCES: Final = tuple(
    f"resources.{kind}.{what}" for kind in ("requests", "limits") for what in ("cpu", "memory", "ephemeral-storage")
)
CLASSES: Final[dict[str, Change]] = {
    "runtime": Change.UPGRADE,
    "image": Change.UPGRADE,
    "imagePullPolicy": Change.UPGRADE,
    "imagePullSecrets": Change.UPGRADE,
    "serviceAccount": Change.UPGRADE,
    "job.script": Change.UPGRADE,
    "job.module": Change.UPGRADE,
    "job.source.inline": Change.UPGRADE,
    "job.source.configMapRef.name": Change.UPGRADE,
    "job.source.configMapRef.key": Change.UPGRADE,
    "job.source.s3": Change.UPGRADE,
    "job.args": Change.UPGRADE,
    "job.parallelism": Change.SCALE,
    "job.maxParallelism": Change.UPGRADE,
    "job.state": Change.IN_PLACE,
    "job.upgradeMode": Change.IGNORED,
    "job.initialSavepointPath": Change.IGNORED,
    "job.allowNonRestoredState": Change.IGNORED,
    "job.allowEmptyState": Change.IGNORED,
    "job.claimMode": Change.IGNORED,
    "flinkConfiguration": Change.UPGRADE,
    "jobManager.replicas": Change.UPGRADE,
    **{f"jobManager.{path}": Change.UPGRADE for path in _RESOURCES},
    "jobManager.podTemplate": Change.UPGRADE,
    "taskManager.replicas": Change.SCALE,
    "taskManager.slots": Change.UPGRADE,
    **{f"taskManager.{path}": Change.UPGRADE for path in _RESOURCES},
    "taskManager.podTemplate": Change.UPGRADE,
    "checkpoints.dir": Change.UPGRADE,
    "checkpoints.savepointDir": Change.IN_PLACE,
    "checkpoints.credentialsSecretRef.name": Change.UPGRADE,
    "checkpoints.endpoint": Change.UPGRADE,
    "checkpoints.retention.count": Change.IN_PLACE,
    "checkpoints.retention.age": Change.IN_PLACE,
    "checkpoints.retention.pin": Change.IN_PLACE,
    "checkpoints.retention.dryRun": Change.IN_PLACE,
    "snapshots.periodic.type": Change.IN_PLACE,
    "snapshots.periodic.interval": Change.IN_PLACE,
    "snapshots.periodic.cron": Change.IN_PLACE,
    "snapshots.history.count": Change.IN_PLACE,
    "snapshots.history.age": Change.IN_PLACE,
    "snapshots.format": Change.IGNORED,
    "snapshots.timeout": Change.IGNORED,
    "upgrade.readinessTimeout": Change.IGNORED,
    "upgrade.rollback": Change.IGNORED,
    "upgrade.requirePreflight": Change.IGNORED,
    "upgrade.maxStateAge": Change.IGNORED,
    "upgrade.stableCheckpoints": Change.IGNORED,
    "upgrade.savepointFormat": Change.IGNORED,
    "deletionPolicy": Change.IGNORED,
    "deletionTimeout": Change.IGNORED,
    "restartNonce": Change.UPGRADE,
    "savepointNonce": Change.IN_PLACE,
    "checkpointNonce": Change.IN_PLACE,
}
"""By path, as it stands in a manifest."""

_QUANTITIES: Final = frozenset(path for path in CLASSES if ".resources." in path)
DURATIONS: Final = frozenset(
    path
    for path in CLASSES
    if path.rpartition(".")[2] in ("interval", "age", "timeout", "readinessTimeout", "maxStateAge", "deletionTimeout")
)
_TEXTS: Final = frozenset(("job.source.inline", "jobManager.podTemplate", "taskManager.podTemplate"))
_SHOWN_MAX: Final = 60
_FIELDS_SHOWN_MAX: Final = 8


@final
@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, or one key of the configuration, that means something else now."""

    path: str
    change: Change
    was: Any
    now: Any

    def __str__(self) -> str:
        if self.path in _TEXTS:
            return f"{self.path} {'removed' if self.now is None else 'added' if self.was is None else 'changed'}"
        if self.path.startswith("flinkConfiguration.") and is_secret(self.path):
            return f"{self.path} changed"
        return f"{self.path} {_shown(self.was)} -> {_shown(self.now)}"


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """All that changed from one spec to another."""

    fields: tuple[FieldChange, ...]

    @property
    def change(self) -> Change:
        return max((field.change for field in self.fields), default=Change.NONE)

    def of(self, change: Change) -> tuple[FieldChange, ...]:
        return tuple(field for field in self.fields if field.change is change)

    def touches(self, *paths: str) -> bool:
        """Whether one of these fields, or something below one of them, has changed."""
        return any(field.path == path or field.path.startswith(f"{path}.") for field in self.fields for path in paths)

    def sentence(self) -> str:
        """For an event: the strongest first."""
        ordered = sorted(self.fields, key=lambda field: (-field.change, field.path))
        shown = [str(field) for field in ordered[:_FIELDS_SHOWN_MAX]]
        more = len(ordered) - len(shown)
        return "; ".join(shown) + (f"; and {more} more" if more else "")


def difference(old: FlinkJobSpec, new: FlinkJobSpec) -> Difference:
    """From the old spec to the new one."""
    if old == new:
        return Difference(())
    was, now = leaves(old), leaves(new)
    found: list[FieldChange] = []
    for path, change in CLASSES.items():
        before, after = was.get(path), now.get(path)
        if path == "flinkConfiguration":
            found += _configuration_changes(before or {}, after or {}, change)
        elif before is not after and _meaning(path, before) != _meaning(path, after):
            found.append(FieldChange(path, change, before, after))
    return Difference(tuple(found))


def leaves(spec: msgspec.Struct, prefix: str = "") -> dict[str, Any]:
    """Values by path, of the fields that are no parts themselves; those of a part that is not there are left out."""
    return dict(_leaves(spec, prefix))


def _leaves(part: msgspec.Struct, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, encoded in _fields(type(part)):
        value = getattr(part, name)
        path = f"{prefix}{encoded}"
        if isinstance(value, msgspec.Struct):
            yield from _leaves(value, f"{path}.")
        elif value is not None:
            yield path, value


@cache
def _fields(part: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """Names of the fields, here and in a manifest. To find them out takes longer than all the rest."""
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(part))


def _configuration_changes(old: dict[str, Any], new: dict[str, Any], change: Change) -> list[FieldChange]:
    was, now = flattened(old), flattened(new)
    return [
        FieldChange(f"flinkConfiguration.{key}", change, was.get(key), now.get(key))
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
    ]


def _meaning(path: str, value: Any) -> Any:
    """What two spellings of the same have in common."""
    try:
        if value is not None and path in _QUANTITIES:
            return read_quantity(value)
        if value is not None and path in DURATIONS:
            return read_duration_ms(value)
    except InvalidValue:
        return value
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "(not set)"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def savepoint_format(old: FlinkJobSpec, new: FlinkJobSpec) -> str:
    """The format of the savepoint that carries a job from one to the other.

    What is asked for; but a native savepoint is read only by the state backend that wrote it.
    """
    if _backend(old) != _backend(new):
        return "canonical"
    return new.upgrade.savepoint_format


def _backend(spec: FlinkJobSpec) -> str | None:
    texts = flattened(spec.flink_configuration)
    return texts.get("state.backend.type", texts.get("state.backend"))
