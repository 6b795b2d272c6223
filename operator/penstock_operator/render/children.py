"""Everything that exists in a cluster for one revision of a job, as manifests to be applied server-side.

Per revision: ConfigMap, Services, Deployments of JobManager and TaskManagers. Per job: the Secret with the token that
its processes prove to each other, and the PodDisruptionBudget. All of it goes with the FlinkJob. Pure.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from penstock_operator.model.resources import task_managers
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.render.engine import CONFIG_FILE, config_yaml, configuration, source_name
from penstock_operator.render.names import UID_LABEL, Component, Owner
from penstock_operator.render.pods import (
    METRICS_PORT,
    REST_PORT,
    RPC_PORT,
    TOKEN_KEY,
    job_manager_pod,
    place_of,
    task_manager_pod,
)

Json = dict[str, Any]

_SCRAPED: Final = {"prometheus.io/scrape": "true", "prometheus.io/port": str(METRICS_PORT)}


def children(owner: Owner, revision: str, spec: FlinkJobSpec, *, script: str | None, token: str) -> tuple[Json, ...]:
    """All of one revision, and what the job has besides; what others need comes first.

    `script` is what `source_text` says. `token` is the job's: the same as before where its Secret is there already.
    """
    return (
        token_secret(owner, token),
        config_map(owner, revision, spec, script),
        _service(owner, revision, owner.rpc_service(revision), "rpc", RPC_PORT),
        _service(owner, revision, owner.rest_service(revision), "rest", REST_PORT),
        disruption_budget(owner),
        _job_manager(owner, revision, spec),
        _task_managers(owner, revision, spec),
    )


def token_secret(owner: Owner, token: str) -> Json:
    manifest = _manifest("v1", "Secret", owner.token_secret, owner)
    return {**manifest, "type": "Opaque", "data": {TOKEN_KEY: base64.b64encode(token.encode()).decode()}}


def config_map(owner: Owner, revision: str, spec: FlinkJobSpec, script: str | None) -> Json:
    """What its processes read at their start; a changed one reaches them only through another revision."""
    texts = {CONFIG_FILE: config_yaml(configuration(spec, place_of(owner, revision)))}
    if script is not None:
        texts[source_name(spec)] = script
    return {**_manifest("v1", "ConfigMap", owner.config_map(revision), owner, revision), "data": texts}


def script_in(found: Mapping[str, Any], spec: FlinkJobSpec) -> str | None:
    """The script as a revision's ConfigMap holds it, whatever has become of where it was copied from."""
    text = (found.get("data") or {}).get(source_name(spec))
    return text if isinstance(text, str) else None


def disruption_budget(owner: Owner) -> Json:
    """Nodes are drained one pod of the job after the other."""
    return {
        **_manifest("policy/v1", "PodDisruptionBudget", owner.disruption_budget, owner),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {UID_LABEL: owner.uid}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _service(owner: Owner, revision: str, name: str, port: str, number: int) -> Json:
    """Also to pods that are not ready: a JobManager that loads its script takes TaskManagers, and says how it goes."""
    return {
        **_manifest("v1", "Service", name, owner, revision, "jobmanager"),
        "spec": {
            "type": "ClusterIP",
            "publishNotReadyAddresses": True,
            "selector": owner.selector(revision, "jobmanager"),
            "ports": [{"name": port, "port": number, "targetPort": port, "protocol": "TCP"}],
        },
    }


def _job_manager(owner: Owner, revision: str, spec: FlinkJobSpec) -> Json:
    """One, and the old pod is gone before the next comes."""
    return _deployment(owner, revision, "jobmanager", spec.job_manager.replicas, job_manager_pod(owner, revision, spec))


def _task_managers(owner: Owner, revision: str, spec: FlinkJobSpec) -> Json:
    return _deployment(owner, revision, "taskmanager", task_managers(spec), task_manager_pod(owner, revision, spec))


def _deployment(owner: Owner, revision: str, component: Component, replicas: int, template: Json) -> Json:
    annotations = {**_SCRAPED, **(template["metadata"].get("annotations") or {})}
    return {
        **_manifest("apps/v1", "Deployment", owner.deployment(revision, component), owner, revision, component),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": owner.selector(revision, component)},
            "strategy": {"type": "Recreate"},
            "template": {**template, "metadata": {**template["metadata"], "annotations": annotations}},
        },
    }


def _manifest(
    api_version: str,
    kind: str,
    name: str,
    owner: Owner,
    revision: str | None = None,
    component: Component | None = None,
) -> Json:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": owner.labels(revision, component),
            "ownerReferences": [owner.reference()],
        },
    }
