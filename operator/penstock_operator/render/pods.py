"""The pods of JobManager and TaskManagers: what runs in them, as whom, and how they are looked after.

They run as nobody in particular, can write nowhere but in /tmp, and get no token of the Kubernetes API. What the user's
podTemplate says is laid over it. Nothing in a pod's template depends on a field that is heeded without an upgrade, else
heeding it would restart the pod. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from penstock_operator.model.pod_templates import MAIN_CONTAINER
from penstock_operator.model.resources import Granted, for_job_manager, for_task_manager
from penstock_operator.model.spec import Amounts, FlinkJobSpec, Resources
from penstock_operator.render.engine import (
    CONFIG_FILE,
    STOP_GRACE_S,
    Place,
    job_manager_argv,
    script_path,
    source_name,
    task_manager_argv,
)
from penstock_operator.render.merging import merged
from penstock_operator.render.names import Component, Owner

Json = dict[str, Any]

TOKEN_KEY: Final = "token"
RPC_PORT: Final = 6123
REST_PORT: Final = 8081
METRICS_PORT: Final = 9249
CREDENTIAL_VARIABLES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")
NOBODY: Final = 9999
"""The user of the image that the Dockerfile builds."""

_CONFIGURATION: Final = "/etc/penstock/conf"
_TOKEN: Final = "/etc/penstock/token"
_SOURCES: Final = "/opt/job"
_SCRATCH: Final = "/tmp"
_OWN_ADDRESS: Final = "$(PENSTOCK_POD_IP)"
_LOST_NODE_S: Final = 30


def place_of(owner: Owner, revision: str) -> Place:
    """Where a revision's processes are in a cluster."""
    return Place(
        configuration=_CONFIGURATION,
        sources=_SOURCES,
        scratch=_SCRATCH,
        secret_file=f"{_TOKEN}/{TOKEN_KEY}",
        bind_host="0.0.0.0",
        job_manager_host=f"{owner.rpc_service(revision)}.{owner.namespace}.svc",
        task_manager_host=_OWN_ADDRESS,
        rpc_port=RPC_PORT,
        rest_port=REST_PORT,
        metrics_port=METRICS_PORT,
    )


def job_manager_pod(owner: Owner, revision: str, spec: FlinkJobSpec) -> Json:
    place = place_of(owner, revision)
    container = _container(spec, job_manager_argv(spec, owner.job_id, revision, place))
    container |= {
        "ports": [_port("rest", REST_PORT), _port("rpc", RPC_PORT), _port("metrics", METRICS_PORT)],
        "resources": _resources(spec.job_manager.resources, for_job_manager(spec)),
        # Alive from the moment it serves, ready once the script was loaded: a script that takes long, or raises, is
        # told of over REST and is no reason to restart.
        "startupProbe": _probe("alive", period_s=1, failures=180),
        "readinessProbe": _probe("ready", period_s=2, failures=2),
        "livenessProbe": _probe("alive", period_s=10, failures=6),
    }
    return _template(owner, revision, "jobmanager", spec, container, spec.job_manager.pod_template)


def task_manager_pod(owner: Owner, revision: str, spec: FlinkJobSpec) -> Json:
    """Without probes: whether it lives is what its JobManager knows, from its heartbeats."""
    container = _container(spec, task_manager_argv(spec, place_of(owner, revision)))
    container |= {
        "ports": [_port("metrics", METRICS_PORT)],
        "resources": _resources(spec.task_manager.resources, for_task_manager(spec)),
    }
    return _template(owner, revision, "taskmanager", spec, container, spec.task_manager.pod_template)


def _template(
    owner: Owner,
    revision: str,
    component: Component,
    spec: FlinkJobSpec,
    container: Json,
    users: Mapping[str, Any] | None,
) -> Json:
    labels = owner.labels(revision, component)
    pod: Json = {
        "automountServiceAccountToken": False,
        "containers": [container],
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "fsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # The first process of a process namespace ignores a signal that it does not listen for: a pod deleted while its
        # program starts would stay for its whole grace period. Here the first process is nothing of ours.
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": STOP_GRACE_S,
        "tolerations": [_gone("not-ready"), _gone("unreachable")],
        "volumes": _volumes(owner, revision, spec),
    }
    if spec.service_account is not None:
        pod["serviceAccountName"] = spec.service_account
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret.name} for secret in spec.image_pull_secrets]
    if _is_fetched(spec):
        pod["initContainers"] = [_fetching(owner, revision, spec, container["resources"])]
    template = merged({"metadata": {"labels": labels}, "spec": pod}, users or {})
    # What the Deployment selects by, whatever else is said of labels.
    template["metadata"]["labels"] = {**template["metadata"].get("labels", {}), **labels}
    return template


def _container(spec: FlinkJobSpec, argv: Sequence[str]) -> Json:
    return {
        "name": MAIN_CONTAINER,
        "image": spec.image,
        "imagePullPolicy": spec.image_pull_policy,
        "command": [argv[0]],
        "args": [_literally(part) for part in argv[1:]],
        "env": _environment(spec),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # What a process says last is what a person wants to read first.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(spec),
    }


def _literally(argument: str) -> str:
    """Kubernetes puts variables into arguments; only the pod's own address is meant so."""
    return argument if argument == _OWN_ADDRESS else argument.replace("$", "$$")


def _environment(spec: FlinkJobSpec) -> list[Json]:
    found: list[Json] = [
        {"name": "PENSTOCK_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "HOME", "value": _SCRATCH},
        {"name": "TMPDIR", "value": _SCRATCH},
    ]
    reference = spec.checkpoints.credentials_secret_ref
    if reference is not None:
        found += [
            {
                "name": variable,
                "valueFrom": {"secretKeyRef": {"name": reference.name, "key": variable, "optional": at > 1}},
            }
            for at, variable in enumerate(CREDENTIAL_VARIABLES)
        ]
    return found


def _volumes(owner: Owner, revision: str, spec: FlinkJobSpec) -> list[Json]:
    texts = owner.config_map(revision)
    found: list[Json] = [
        {"name": "penstock-tmp", "emptyDir": {}},
        {"name": "penstock-token", "secret": {"secretName": owner.token_secret, "defaultMode": 0o440}},
        {"name": "penstock-configuration", "configMap": {"name": texts, "items": [_item(CONFIG_FILE)]}},
    ]
    if _is_fetched(spec):
        found.append({"name": "penstock-sources", "emptyDir": {}})
    elif spec.job.script is None:
        found.append({"name": "penstock-sources", "configMap": {"name": texts, "items": [_item(source_name(spec))]}})
    return found


def _mounts(spec: FlinkJobSpec) -> list[Json]:
    found: list[Json] = [
        {"name": "penstock-tmp", "mountPath": _SCRATCH},
        {"name": "penstock-token", "mountPath": _TOKEN, "readOnly": True},
        {"name": "penstock-configuration", "mountPath": _CONFIGURATION, "readOnly": True},
    ]
    if spec.job.script is None:
        found.append({"name": "penstock-sources", "mountPath": _SOURCES, "readOnly": True})
    return found


def _is_fetched(spec: FlinkJobSpec) -> bool:
    return spec.job.source is not None and spec.job.source.s3 is not None


def _fetching(owner: Owner, revision: str, spec: FlinkJobSpec, resources: Json) -> Json:
    """Gets the script from S3 before anything runs."""
    place = place_of(owner, revision)
    assert spec.job.source is not None and spec.job.source.s3 is not None
    argv = [*place.program, "fetch", "--conf", place.configuration, spec.job.source.s3, script_path(spec, place)]
    container = _container(spec, argv)
    mounts = [{**mount, "readOnly": False} if mount["mountPath"] == _SOURCES else mount for mount in _mounts(spec)]
    return {**container, "name": "penstock-fetch", "resources": resources, "volumeMounts": mounts}


def _item(key: str) -> Json:
    return {"key": key, "path": key}


def _gone(what: str) -> Json:
    """Pods of a node that nobody hears of are replaced after half a minute instead of five."""
    return {
        "key": f"node.kubernetes.io/{what}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": _LOST_NODE_S,
    }


def _port(name: str, number: int) -> Json:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _probe(path: str, *, period_s: int, failures: int) -> Json:
    return {
        "httpGet": {"path": f"/v1/penstock/{path}", "port": "rest"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _resources(asked: Resources, granted: Granted) -> Json:
    requests = {"cpu": f"{granted.millicores}m", "memory": str(granted.memory_bytes), **_disk(asked.requests)}
    limits = {name: str(value) for name, value in (("cpu", asked.limits.cpu), ("memory", asked.limits.memory)) if value}
    limits |= _disk(asked.limits)
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _disk(amounts: Amounts) -> dict[str, str]:
    return {} if amounts.ephemeral_storage is None else {"ephemeral-storage": str(amounts.ephemeral_storage)}
