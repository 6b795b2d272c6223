"""The chart, with Helm, on a real API server: every example is valid, and an installation lives, changes and goes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from penstock.testing.cluster_operator import CHART, FLINK_JOB
from penstock.testing.kubernetes.api import Namespace, Object
from penstock.testing.kubernetes.cluster import Cluster
from penstock.testing.steps import wait_until

RELEASE = "penstock-operator"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
NOT_HERE = {"ServiceMonitor"}
"""Kinds that other charts define."""
SMALL = {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "384Mi"}}


@pytest.fixture
def named_in_examples(cluster: Cluster) -> Iterator[None]:
    """The namespaces that the examples name."""
    namespaces = [cluster.api.namespace(name) for name in ("streams", "more-streams")]
    for namespace in namespaces:
        namespace.create()
    yield
    for namespace in namespaces:
        namespace.delete_all()


def test_the_linter_has_nothing_to_say(namespace: Namespace) -> None:
    namespace.helm("lint", "--strict", str(CHART))


@pytest.mark.usefixtures("named_in_examples")
def test_every_example_is_what_the_api_server_takes(namespace: Namespace) -> None:
    for values in (None, *EXAMPLES):
        given = [] if values is None else ["--values", str(values)]
        text = namespace.helm("template", RELEASE, str(CHART), *given)
        manifests = [m for m in yaml.safe_load_all(text) if m and m["kind"] not in NOT_HERE]
        assert len(manifests) > 5
        for manifest in manifests:
            _try(namespace, manifest)


@pytest.mark.parametrize("wrong", ["replicas=0", "metrics.port=80", "image.pullPolicy=Sometimes", "unheard=of"])
def test_values_are_checked(namespace: Namespace, wrong: str) -> None:
    with pytest.raises(AssertionError, match=wrong.partition("=")[0].rpartition(".")[2]):
        namespace.helm("template", RELEASE, str(CHART), "--set", wrong)


def test_an_installation_is_led_by_one_of_two_is_upgraded_and_leaves_nothing(
    cluster: Cluster, namespace: Namespace, image: str, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    repository, _, tag = image.rpartition(":")
    given = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "resources": SMALL,
        "watchNamespaces": [namespace.name],
        "crds": {"install": True},
    }
    values.write_text(yaml.safe_dump(given))

    # Others on this cluster have applied the definitions by hand: they become the release's.
    namespace.helm("install", RELEASE, str(CHART), "--values", str(values), "--take-ownership", "--wait")
    leader = _leader(namespace)
    pods = [pod["metadata"]["name"] for pod in namespace.pods(**{"app.kubernetes.io/component": "operator"})]
    assert len(pods) == 2
    assert leader in pods
    namespace.apply(_job())
    namespace.wait(FLINK_JOB, "refused", lambda job: _told(job) and job["metadata"]["finalizers"])

    namespace.delete("v1/Pod", leader, grace_s=0)
    wait_until(lambda: _leader(namespace) not in ("", leader), 40, lambda: "nobody else leads")

    namespace.helm("upgrade", RELEASE, str(CHART), "--values", str(values), "--set", "logLevel=debug", "--wait")
    absent = {"spec": {"checkpoints": {"credentialsSecretRef": {"name": "absent"}}}}
    namespace.patch(FLINK_JOB, "refused", absent)
    namespace.wait(FLINK_JOB, "refused", lambda job: "absent" in json.dumps(job["status"]), 60)

    namespace.helm("uninstall", RELEASE, "--wait", timeout_s=90)
    left = namespace.get(FLINK_JOB, "refused")
    assert "finalizers" not in left["metadata"], "and the definitions are still there"
    namespace.delete(FLINK_JOB, "refused")
    namespace.wait_gone(FLINK_JOB, "refused")
    denied = [r for r in cluster.requests(namespace.name, RELEASE) if r.code == 403]
    assert denied == []


def _try(namespace: Namespace, manifest: Object) -> None:
    """As it would be applied; nothing is kept."""
    api, metadata = namespace.api, manifest["metadata"]
    kind = f"{manifest['apiVersion']}/{manifest['kind']}"
    path = api.path(kind, metadata["name"], metadata.get("namespace", namespace.name))
    query = {"fieldManager": "helm", "force": "true", "dryRun": "All", "fieldValidation": "Strict"}
    api.json("PATCH", path, manifest, query=query, content_type="application/apply-patch+yaml")


def _leader(namespace: Namespace) -> str:
    lease = namespace.find("coordination.k8s.io/v1/Lease", RELEASE)
    return "" if lease is None else str(lease["spec"].get("holderIdentity") or "")


def _job() -> Object:
    """One that names a Secret which is not there: it starts nothing, and says so."""
    spec = {
        "image": "none",
        "job": {"script": "/job.py"},
        "checkpoints": {
            "dir": "s3://bucket/checkpoints",
            "savepointDir": "s3://bucket/savepoints",
            "credentialsSecretRef": {"name": "missing"},
        },
    }
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "FlinkJob",
        "metadata": {"name": "refused"},
        "spec": spec,
    }


def _told(job: Object) -> bool:
    return "missing" in json.dumps(job["status"])
