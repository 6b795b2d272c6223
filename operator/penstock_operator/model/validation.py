"""What is wrong with a manifest: every error at once, each with its field, what was found there, and what is allowed.

Says again what the CRD's schema and rules say, because an API server may have an older one and this machine has none,
and then what only the operator can. What lies outside the manifest is given. Pure.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from penstock_operator.model.field_errors import FieldError, sentence_of, shown
from penstock_operator.model.job_checks import JOB_CHECKS
from penstock_operator.model.pod_templates import mounted_paths
from penstock_operator.model.shape import shaped
from penstock_operator.model.spec import FlinkJobSpec, FlinkStateSnapshotSpec, from_json
from penstock_operator.model.values import read_uri

__all__ = [
    "FieldError",
    "check_config_map",
    "check_for_cluster",
    "check_secret",
    "check_state",
    "sentence_of",
    "validate_job",
    "validate_name",
    "validate_snapshot",
]

NAME_PATTERN: Final = r"^[a-z]([-a-z0-9]{0,43}[a-z0-9])?$"
CREDENTIAL_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Which the Secret must have; AWS_SESSION_TOKEN and AWS_REGION are taken from it too where they are there."""
CONFIG_MAP_SOURCE_MAX: Final = 900_000
"""Bytes of a script that is copied into the revision's own ConfigMap, which holds a mebibyte."""


def validate_name(name: str) -> tuple[FieldError, ...]:
    """Of a FlinkJob or FlinkStateSnapshot: names of what is created for it are made of it."""
    if re.fullmatch(NAME_PATTERN[1:-1], name):
        return ()
    allowed = "at most 45 small letters, digits and dashes, the first a letter, the last no dash"
    return (FieldError("metadata.name", shown(name), allowed),)


def validate_job(raw: Any) -> tuple[FlinkJobSpec | None, tuple[FieldError, ...]]:
    """`FlinkJob.spec`: as a value if nothing is wrong with it, else None; and everything that is wrong."""
    kept, wrong = shaped(raw, FlinkJobSpec, "spec")
    spec = from_json(kept, FlinkJobSpec)
    errors = _and(wrong, (error for check in JOB_CHECKS for error in check(spec)))
    return (None if errors else spec), errors


def validate_snapshot(raw: Any) -> tuple[FlinkStateSnapshotSpec | None, tuple[FieldError, ...]]:
    """`FlinkStateSnapshot.spec`, likewise."""
    kept, wrong = shaped(raw, FlinkStateSnapshotSpec, "spec")
    spec = from_json(kept, FlinkStateSnapshotSpec)
    errors = _and(wrong, _snapshot_errors(spec))
    return (None if errors else spec), errors


def _and(wrong: list[FieldError], more: Iterator[FieldError]) -> tuple[FieldError, ...]:
    """What types and bounds say first; of a field that they refuse, nothing is known beyond that."""
    return (*wrong, *(error for error in more if not any(error.is_within(known.field) for known in wrong)))


def _snapshot_errors(spec: FlinkStateSnapshotSpec) -> Iterator[FieldError]:
    if (spec.savepoint is None) == (spec.checkpoint is None):
        found = "neither savepoint nor checkpoint" if spec.savepoint is None else "both savepoint and checkpoint"
        yield FieldError("spec", found, "exactly one of the two")
    if spec.savepoint is not None and spec.savepoint.already_exists and spec.savepoint.path is None:
        yield FieldError("spec.savepoint.path", "nothing", "the folder of the savepoint that already exists")


def check_for_cluster(spec: FlinkJobSpec) -> tuple[FieldError, ...]:
    """What only pods cannot do: share a folder of their node."""
    return tuple(_unshared_folders(spec))


def _unshared_folders(spec: FlinkJobSpec) -> Iterator[FieldError]:
    shared = mounted_paths(spec.job_manager.pod_template) & mounted_paths(spec.task_manager.pod_template)
    mounts = [read_uri(f"file://{path}") for path in shared]
    for field, text in (("dir", spec.checkpoints.dir), ("savepointDir", spec.checkpoints.savepoint_dir)):
        if text is None or not text.startswith("file:"):
            continue
        if not any(mount.holds(read_uri(text)) for mount in mounts):
            yield FieldError(
                f"spec.checkpoints.{field}",
                shown(text),
                "a place that all pods share: s3://BUCKET/PATH, or a folder in a volume that both podTemplates mount",
            )


def check_secret(spec: FlinkJobSpec, keys: Collection[str] | None) -> tuple[FieldError, ...]:
    """The Secret that the spec names; `keys` of the one that is there, None where there is none."""
    reference = spec.checkpoints.credentials_secret_ref
    if reference is None:
        return ()
    field = "spec.checkpoints.credentialsSecretRef.name"
    allowed = f"a Secret with the keys {' and '.join(CREDENTIAL_KEYS)}"
    if keys is None:
        return (FieldError(field, f"{reference.name}, which does not exist", allowed),)
    missing = [key for key in CREDENTIAL_KEYS if key not in keys]
    if not missing:
        return ()
    return (FieldError(field, f"{reference.name} without {' and '.join(missing)}", allowed),)


def check_config_map(spec: FlinkJobSpec, data: Mapping[str, str] | None) -> tuple[FieldError, ...]:
    """The ConfigMap that holds the script; `data` of the one that is there, None where there is none."""
    reference = None if spec.job.source is None else spec.job.source.config_map_ref
    if reference is None:
        return ()
    if data is None:
        found, allowed = f"{reference.name}, which does not exist", f"a ConfigMap with the key {reference.key}"
        return (FieldError("spec.job.source.configMapRef.name", found, allowed),)
    field = "spec.job.source.configMapRef.key"
    if reference.key not in data:
        has = f"the ConfigMap has {', '.join(sorted(data)[:20])}" if data else "the ConfigMap has no data"
        return (FieldError(field, reference.key, f"a key that is there: {has}"),)
    size = len(data[reference.key].encode())
    if size > CONFIG_MAP_SOURCE_MAX:
        return (
            FieldError(field, f"a script of {size} bytes", f"at most {CONFIG_MAP_SOURCE_MAX}; larger ones from s3"),
        )
    return ()


def check_state(old: FlinkJobSpec, new: FlinkJobSpec, max_parallelism: int | None) -> tuple[FieldError, ...]:
    """What is to change, beside the state that exists: `max_parallelism` is the state's, None where there is none.

    Only what changes is looked at: a program may say another maximum itself, and then the state has that one.
    """
    if max_parallelism is None or new.job.upgrade_mode == "stateless":
        return ()
    wanted = new.job.max_parallelism
    if wanted not in (None, old.job.max_parallelism, max_parallelism):
        found = f"{wanted}, while there is state with {max_parallelism}"
        allowed = f"{max_parallelism}, or upgradeMode stateless, which gives the state up"
        return (FieldError("spec.job.maxParallelism", found, allowed),)
    if old.job.parallelism != new.job.parallelism > max_parallelism:
        found = f"{new.job.parallelism}, while there is state with maxParallelism {max_parallelism}"
        return (FieldError("spec.job.parallelism", found, f"at most {max_parallelism}"),)
    return ()
