"""Configuration keys that a FlinkJob may not set, each with what to do instead: the operator sets them itself.

Older spellings of a key are listed beside it, as the engine reads them all; a contract test compares with the engine's
own list. Pure.
"""

from typing import Final

_OPERATOR: Final = "left to the operator, which sets it: take it out"


def _instead(field: str, *keys: str) -> dict[str, str]:
    return dict.fromkeys(keys, f"said by spec.{field}: take it out and set that")


FORBIDDEN: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "cluster.id",
            "execution.checkpointing.create-subdir",
            "execution.checkpointing.externalized-checkpoint-retention",
            "execution.checkpointing.storage",
            "jobmanager.bind-host",
            "jobmanager.resource-id",
            "jobmanager.rpc.address",
            "jobmanager.rpc.bind-port",
            "jobmanager.rpc.port",
            "jobmanager.web.address",
            "jobmanager.web.port",
            "metrics.reporter.prom.port",
            "penstock.job.id",
            "penstock.jobmanager.revision",
            "penstock.jobmanager.standby",
            "penstock.security.secret",
            "penstock.security.secret-file",
            "rest.address",
            "rest.bind-address",
            "rest.bind-port",
            "rest.port",
            "state.checkpoint-storage",
            "state.checkpoints.create-subdir",
            "taskmanager.bind-host",
            "taskmanager.data.bind-port",
            "taskmanager.data.port",
            "taskmanager.host",
            "taskmanager.resource-id",
            "taskmanager.rpc.bind-port",
            "taskmanager.rpc.port",
            "web.address",
            "web.port",
        ),
        _OPERATOR,
    ),
    **_instead("job.parallelism", "parallelism.default"),
    **_instead("job.maxParallelism", "pipeline.max-parallelism"),
    **_instead("taskManager.slots", "taskmanager.numberOfTaskSlots"),
    **_instead("jobManager.resources.requests.memory", "jobmanager.memory.process.size"),
    **_instead("taskManager.resources.requests.memory", "taskmanager.memory.process.size"),
    **_instead("taskManager.resources.requests.cpu", "taskmanager.cpu.cores"),
    **_instead(
        "checkpoints.dir", "execution.checkpointing.dir", "state.checkpoints.dir", "state.backend.fs.checkpointdir"
    ),
    **_instead(
        "checkpoints.savepointDir",
        "execution.checkpointing.savepoint-dir",
        "state.savepoints.dir",
        "savepoints.state.backend.fs.dir",
    ),
    **_instead("checkpoints.retention.count", "execution.checkpointing.num-retained", "state.checkpoints.num-retained"),
    **_instead("checkpoints.retention.pin", "penstock.checkpoint.pinned"),
    **_instead("checkpoints.endpoint", "s3.endpoint", "fs.s3a.endpoint", "presto.s3.endpoint"),
    **_instead(
        "checkpoints.credentialsSecretRef",
        "s3.access-key",
        "s3.access.key",
        "fs.s3a.access.key",
        "presto.s3.access-key",
        "s3.secret-key",
        "s3.secret.key",
        "fs.s3a.secret.key",
        "presto.s3.secret-key",
        "s3.session-token",
        "s3.session.token",
        "fs.s3a.session.token",
    ),
    **_instead("job.initialSavepointPath", "execution.state-recovery.path", "execution.savepoint.path"),
    **_instead(
        "job.allowNonRestoredState",
        "execution.state-recovery.ignore-unclaimed-state",
        "execution.savepoint.ignore-unclaimed-state",
    ),
    **_instead("job.claimMode", "execution.state-recovery.claim-mode", "execution.savepoint-restore-mode"),
}


def instead_of(key: str) -> str | None:
    """What is to be done instead of setting this key; None where it may be set."""
    return _OPERATOR if key.startswith("$internal.") else FORBIDDEN.get(key)
