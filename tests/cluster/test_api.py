"""FlinkJob and FlinkStateSnapshot on a real API server: what it refuses, explains, shows, and leaves as it is."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.operator.model.specs import SMALLEST, changed, spec

from penstock.testing.kubernetes.api import Namespace, Object, Refused
from penstock.testing.kubernetes.binaries import built
from penstock.testing.kubernetes.cluster import Cluster
from penstock_operator.model.snapshot_status import SnapshotStatus
from penstock_operator.model.status import LifecycleState, Status
from penstock_operator.render.children import children
from penstock_operator.render.names import Owner

CRD = "apiextensions.k8s.io/v1/CustomResourceDefinition"
JOB = "penstock.dev/v1alpha1/FlinkJob"
SNAPSHOT = "penstock.dev/v1alpha1/FlinkStateSnapshot"
FOLDER = Path(__file__).parents[2] / "crds"
CRDS = [yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))]


@pytest.fixture(scope="module")
def known(cluster: Cluster) -> Iterator[None]:
    """The API server knows our kinds; those that it did not know before it forgets again."""
    everywhere = cluster.api.namespace("default")
    ours = [crd for crd in CRDS if everywhere.find(CRD, crd["metadata"]["name"]) is None]
    for crd in ours:
        everywhere.apply(crd)
        everywhere.wait(CRD, crd["metadata"]["name"], is_established)
    yield
    for crd in ours:
        everywhere.delete(CRD, crd["metadata"]["name"])
    for crd in ours:
        everywhere.wait_gone(CRD, crd["metadata"]["name"])


pytestmark = pytest.mark.usefixtures("known")


def is_established(found: Object) -> bool:
    return any(c["type"] == "Established" and c["status"] == "True" for c in found["status"]["conditions"] or ())


def job(name: str = "word-count", **paths: Any) -> Object:
    manifest = SMALLEST
    for path, value in paths.items():
        manifest = changed(manifest, path.replace("__", "."), value)
    return {"apiVersion": "penstock.dev/v1alpha1", "kind": "FlinkJob", "metadata": {"name": name}, "spec": manifest}


def snapshot(**spec_: Any) -> Object:
    wanted = {"jobReference": {"name": "word-count"}, **spec_}
    metadata = {"name": "one"}
    return {"apiVersion": "penstock.dev/v1alpha1", "kind": "FlinkStateSnapshot", "metadata": metadata, "spec": wanted}


def refusals(namespace: Namespace, manifest: Object) -> str:
    with pytest.raises(Refused) as refused:
        namespace.apply(manifest)
    assert refused.value.status in (403, 422)
    return str(refused.value)


def kubectl(cluster: Cluster, *arguments: str) -> str:
    command = [str(built("kubectl")), "--kubeconfig", str(cluster.kubeconfig), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_that_the_schema_can_say_is_refused_at_once(namespace: Namespace) -> None:
    wrong = job(
        "two.words",
        job={"script": "a", "module": "b", "parallelism": 5, "maxParallelism": 2},
        checkpoints={"endpoint": "minio"},
        taskManager={"replicas": 2, "resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m", "memory": "1M"}}},
        snapshots={"periodic": {}},
        upgrade={"readinessTimeout": "soon"},
    )
    said = refusals(namespace, wrong)
    for sentence in (
        "metadata.name: at most 45 small letters, digits and dashes",
        "spec.checkpoints.dir: Required value: checkpoints.dir must be set, except with job.upgradeMode stateless",
        "spec.job: Invalid value: exactly one of script, module and source must be set",
        "spec.job.parallelism: Invalid value: parallelism must not exceed maxParallelism",
        "spec.taskManager.replicas: Invalid value: taskManager.replicas times taskManager.slots must be at least",
        "spec.taskManager.resources: Invalid value: requests.cpu must not exceed limits.cpu",
        "spec.taskManager.resources.limits: Invalid value: memory must be at least 64Mi",
        "spec.snapshots.periodic: Invalid value: exactly one of interval and cron must be set",
        "spec.upgrade.readinessTimeout in body should match",
        "spec.checkpoints.endpoint in body should match",
    ):
        assert sentence in json.loads(said.partition(": ")[2])["message"], said


def test_what_state_forbids_is_refused_and_status_never_is(cluster: Cluster, namespace: Namespace) -> None:
    namespace.apply(job(job__parallelism=200))
    status = {"status": {"maxParallelism": 128, "stateExists": True}}
    path = cluster.api.path(JOB, "word-count/status", namespace.name)
    cluster.api.json("PATCH", path, status, content_type="application/merge-patch+json")
    assert "maxParallelism cannot change while there is state" in refusals(namespace, job(job__maxParallelism=300))
    assert "parallelism cannot exceed" in refusals(namespace, job(job__parallelism=150))
    namespace.apply(job(job__parallelism=100, job__maxParallelism=128))
    namespace.apply(job(job__parallelism=100, job__maxParallelism=300, job__upgradeMode="stateless"))


def test_a_snapshot_is_what_it_was_made_as(namespace: Namespace) -> None:
    assert "exactly one of savepoint and checkpoint" in refusals(namespace, snapshot(savepoint={}, checkpoint={}))
    assert "path must name the savepoint" in refusals(namespace, snapshot(savepoint={"alreadyExists": True}))
    namespace.apply(snapshot(savepoint={}))
    other = {**snapshot(savepoint={"format": "native"}), "spec": {"jobReference": {"name": "b"}, "savepoint": {}}}
    assert "jobReference cannot be changed" in refusals(namespace, other)
    assert "only disposeOnDelete can be changed" in refusals(namespace, snapshot(savepoint={"format": "native"}))
    namespace.apply(snapshot(savepoint={"disposeOnDelete": False}))


def test_applying_a_manifest_again_changes_nothing(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> None:
    file = tmp_path / "flinkjob.yaml"
    file.write_text(yaml.safe_dump(job(flinkConfiguration={"a": {"b": 1}}, taskManager__resources__limits__cpu=1)))
    place = ("--namespace", namespace.name, "--server-side", "-f", str(file))
    kubectl(cluster, "apply", *place)
    before = namespace.get(JOB, "word-count")
    kubectl(cluster, "apply", *place)
    assert kubectl(cluster, "diff", *place) == ""
    after = namespace.get(JOB, "word-count")
    assert (after["metadata"]["resourceVersion"], after["spec"]) == (
        before["metadata"]["resourceVersion"],
        before["spec"],
    )
    assert kubectl(cluster, "diff", "--server-side", "--force-conflicts", "-f", str(FOLDER)) == ""


def test_a_person_finds_explanations_columns_and_scale(cluster: Cluster, namespace: Namespace) -> None:
    assert "Where checkpoints and the job's journal go" in kubectl(cluster, "explain", "fj.spec.checkpoints.dir")
    assert "Under which the job is asked for" in kubectl(cluster, "explain", "fj.status.operation")
    assert "Whether the data are removed with" in kubectl(cluster, "explain", "fsnap.spec.savepoint")
    namespace.apply(job())
    kubectl(cluster, "scale", "fj/word-count", "--replicas", "3", "--namespace", namespace.name)
    assert namespace.get(JOB, "word-count")["spec"]["job"]["parallelism"] == 3
    columns = kubectl(cluster, "get", "penstock", "--namespace", namespace.name).splitlines()[0].split()
    assert columns == ["NAME", "STATE", "JOB", "PARALLELISM", "CHECKPOINT", "BYTES", "RESTARTS", "AGE"]


def test_whatever_the_operator_says_is_kept(cluster: Cluster, namespace: Namespace) -> None:
    """Nothing of a status is pruned."""
    namespace.apply(job(), snapshot(checkpoint={}))
    for kind, name, said in (
        (
            JOB,
            "word-count",
            Status(lifecycle_state=LifecycleState.STABLE, error="no", parallelism=2, observed_generation=3),
        ),
        (SNAPSHOT, "one", SnapshotStatus(path="s3://bucket/x", attempts=2, message="no")),
    ):
        written = msgspec.to_builtins(said)
        path = cluster.api.path(kind, f"{name}/status", namespace.name)
        cluster.api.json("PATCH", path, {"status": written}, content_type="application/merge-patch+json")
        assert namespace.get(kind, name)["status"] == written


def test_what_is_rendered_is_taken_as_it_is(namespace: Namespace) -> None:
    """Under the strictest of Kubernetes' pod security standards; applied again it changes nothing."""
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name, "labels": label}})
    (uid,) = [found["metadata"]["uid"] for found in namespace.apply(job())]
    owner = Owner(namespace.name, "word-count", uid)
    wanted = spec(
        job={"source": {"s3": "s3://bucket/job.py"}, "parallelism": 2},
        taskManager={"resources": {"limits": {"memory": "1Gi"}}},
        checkpoints__credentialsSecretRef={"name": "s3"},
    )
    manifests = children(owner, "r1-00000", wanted, script=None, token="hush")
    for deployment in manifests[-2:]:
        deployment["spec"]["replicas"] = 0  # There is nothing for it to run.
    first = namespace.apply(*manifests)
    again = namespace.apply(*manifests)
    for before, after in zip(first, again, strict=True):
        if after["kind"] not in ("Deployment", "PodDisruptionBudget"):  # Whose status their controllers write.
            assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert after["metadata"].get("generation") == before["metadata"].get("generation")
