"""What a FlinkJob asks for: `FlinkJob.spec`, as frozen structs whose names, defaults and bounds are the CRD's.

Read by `penstock_operator.model.validation`, which reports everything that is wrong at once; whoever else holds a
FlinkJobSpec may rely on its types, and on what validation has let pass. What each field is for stands in
crds/flinkjobs.yaml, where `kubectl explain` finds it; a test holds both together. Pure.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from penstock_operator.model.cron import CRON_PATTERN
from penstock_operator.model.values import DURATION_PATTERN, QUANTITY_PATTERN, S3_PATTERN, URI_PATTERN, same_place

Name = Annotated[str, Meta(min_length=1, max_length=253)]
"""Of another object in the same namespace."""
Uri = Annotated[str, Meta(pattern=URI_PATTERN, max_length=1_024)]
Duration = Annotated[str, Meta(pattern=DURATION_PATTERN, max_length=32)]
Quantity = Annotated[int, Meta(ge=0)] | Annotated[str, Meta(pattern=QUANTITY_PATTERN, max_length=32)]
Nonce = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
PodTemplate = dict[str, Any]
"""A Kubernetes PodTemplateSpec; what the API server thinks of it is found out when it is applied."""

COUNT_OF_DRY_RUNS: Final = 1_000_000
"""The most that the engine takes."""
SOURCE_BYTES_MAX: Final = 262_144
"""Of a script in the manifest itself; a ConfigMap holds three times as much, an object in S3 any amount."""


class _Part(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Base of all parts of a manifest."""


class LocalReference(_Part, frozen=True, kw_only=True):
    name: Name


class ConfigMapReference(_Part, frozen=True, kw_only=True):
    name: Name
    key: Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = "job.py"


class Source(_Part, frozen=True, kw_only=True):
    """Exactly one is set."""

    inline: Annotated[str, Meta(min_length=1, max_length=SOURCE_BYTES_MAX)] | None = None
    config_map_ref: ConfigMapReference | None = None
    s3: Annotated[str, Meta(pattern=S3_PATTERN, max_length=1_024)] | None = None


class Job(_Part, frozen=True, kw_only=True):
    """Exactly one of script, module and source is set."""

    script: Annotated[str, Meta(min_length=1, max_length=1_024)] | None = None
    module: Annotated[str, Meta(max_length=512, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")] | None = None
    source: Source | None = None
    args: Annotated[tuple[Annotated[str, Meta(max_length=4_096)], ...], Meta(max_length=256)] = ()
    parallelism: Annotated[int, Meta(ge=1, le=32_768)] = 1
    max_parallelism: Annotated[int, Meta(ge=1, le=32_768)] | None = None
    state: Literal["running", "suspended"] = "running"
    upgrade_mode: Literal["savepoint", "last-state", "stateless"] = "savepoint"
    initial_savepoint_path: Uri | None = None
    allow_non_restored_state: bool = False
    allow_empty_state: bool = False
    claim_mode: Literal["NO_CLAIM", "CLAIM"] = "NO_CLAIM"


class Amounts(_Part, frozen=True, kw_only=True):
    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = msgspec.field(default=None, name="ephemeral-storage")


class Resources(_Part, frozen=True, kw_only=True):
    requests: Amounts = Amounts()
    limits: Amounts = Amounts()


class JobManager(_Part, frozen=True, kw_only=True):
    replicas: Annotated[int, Meta(ge=1, le=1)] = 1
    resources: Resources = Resources()
    pod_template: PodTemplate | None = None


class TaskManager(_Part, frozen=True, kw_only=True):
    replicas: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    slots: Annotated[int, Meta(ge=1, le=256)] = 1
    resources: Resources = Resources()
    pod_template: PodTemplate | None = None


class Retention(_Part, frozen=True, kw_only=True):
    count: Annotated[int, Meta(ge=1, le=1_000)] = 3
    age: Duration | None = None
    pin: Annotated[tuple[Uri, ...], Meta(max_length=100)] = ()
    dry_run: bool = False

    @property
    def count_in_effect(self) -> int:
        """How many completed checkpoints a JobManager keeps: in a dry run as good as all."""
        return COUNT_OF_DRY_RUNS if self.dry_run else self.count

    def pins(self, path: str) -> bool:
        """Whether what lies there is never removed."""
        return any(same_place(path, pin) for pin in self.pin)


class Checkpoints(_Part, frozen=True, kw_only=True):
    dir: Uri | None = None
    savepoint_dir: Uri | None = None
    credentials_secret_ref: LocalReference | None = None
    endpoint: Annotated[str, Meta(max_length=512, pattern=r"^https?://[^\s/?#@]+/?$")] | None = None
    retention: Retention = Retention()

    @property
    def savepoint_root(self) -> str | None:
        """Where savepoints go: where the spec says, or else beside the checkpoints. None: there is no place."""
        if self.savepoint_dir is not None or self.dir is None:
            return self.savepoint_dir
        return f"{self.dir.rstrip('/')}/savepoints"


class Periodic(_Part, frozen=True, kw_only=True):
    """Exactly one of interval and cron is set."""

    type: Literal["Savepoint", "Checkpoint"] = "Savepoint"
    interval: Duration | None = None
    cron: Annotated[str, Meta(max_length=128, pattern=CRON_PATTERN)] | None = None


class History(_Part, frozen=True, kw_only=True):
    count: Annotated[int, Meta(ge=1, le=1_000)] = 10
    age: Duration | None = None


class Snapshots(_Part, frozen=True, kw_only=True):
    periodic: Periodic | None = None
    history: History = History()
    format: Literal["canonical", "native"] = "canonical"
    timeout: Duration = "10 min"


class Upgrade(_Part, frozen=True, kw_only=True):
    readiness_timeout: Duration = "5 min"
    rollback: bool = True
    require_preflight: bool = True
    max_state_age: Duration | None = None
    stable_checkpoints: Annotated[int, Meta(ge=1, le=100)] = 2
    savepoint_format: Literal["native", "canonical"] = "native"


class FlinkJobSpec(_Part, frozen=True, kw_only=True):
    runtime: Literal["penstock"] = "penstock"
    image: Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^\S+$")]
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: Annotated[tuple[LocalReference, ...], Meta(max_length=16)] = ()
    service_account: Name | None = None
    job: Job
    flink_configuration: dict[str, Any] = {}
    job_manager: JobManager = JobManager()
    task_manager: TaskManager = TaskManager()
    checkpoints: Checkpoints = Checkpoints()
    snapshots: Snapshots = Snapshots()
    upgrade: Upgrade = Upgrade()
    deletion_policy: Literal["Savepoint", "Retain", "Delete"] = "Savepoint"
    deletion_timeout: Duration = "5 min"
    restart_nonce: Nonce | None = None
    savepoint_nonce: Nonce | None = None
    checkpoint_nonce: Nonce | None = None


class SavepointWanted(_Part, frozen=True, kw_only=True):
    path: Uri | None = None
    format: Literal["canonical", "native"] = "canonical"
    already_exists: bool = False
    dispose_on_delete: bool | None = None


class CheckpointWanted(_Part, frozen=True, kw_only=True):
    """Whatever kind of checkpoint the job takes; there is nothing to say about it."""


class FlinkStateSnapshotSpec(_Part, frozen=True, kw_only=True):
    """Exactly one of savepoint and checkpoint is set."""

    job_reference: LocalReference
    savepoint: SavepointWanted | None = None
    checkpoint: CheckpointWanted | None = None
    backoff_limit: Annotated[int, Meta(ge=0, le=100)] = 3

    @property
    def disposes(self) -> bool:
        """Whether the data goes with the object: what was taken for it does, what was there before only if so said."""
        if self.savepoint is None:
            return True
        said = self.savepoint.dispose_on_delete
        return not self.savepoint.already_exists if said is None else said


S = TypeVar("S", FlinkJobSpec, FlinkStateSnapshotSpec)


def from_json(raw: Mapping[str, Any], kind: type[S]) -> S:
    """The spec, from what validation has let pass; nulls stand for what is not there, as in the API server."""
    return msgspec.convert(without_nulls(raw), kind)


def to_json(spec: FlinkJobSpec | FlinkStateSnapshotSpec) -> dict[str, Any]:
    """As a manifest has it, every default written out and what is not set left out: equal specs give equal texts."""
    written: dict[str, Any] = without_nulls(msgspec.to_builtins(spec))
    return written


def without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value
