"""The chart, with Helm, on a real API server: every example is valid, and an installation lives, changes and goes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.scenes import BILL, Scene

from penstock.testing.cluster_operator import CHART, FLINK_JOB, TAKEN_OVER, OperatorRelease
from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.kubernetes.api import Namespace, Object
from penstock.testing.kubernetes.cluster import Cluster
from penstock.testing.stages import NAME, finish, stable, upgraded

RELEASE = "penstock-operator"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
NOT_HERE = {"ServiceMonitor"}
"""Kinds that other charts define."""
DEFINITION = "apiextensions.k8s.io/v1/CustomResourceDefinition"
COLUMN = "Restarts"


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


@BILL.scenario
def test_an_installation_is_led_by_one_of_two_is_upgraded_and_leaves_nothing(scene: Scene) -> None:
    with scene.own_namespace() as namespace:
        release = OperatorRelease(scene.cluster, [namespace], scene.image, scene.folder)
        release.helm("install", *TAKEN_OVER, chart=_older_chart(scene.folder))
        assert COLUMN not in _columns(namespace)
        leader = release.leader()
        assert leader in release.pods()
        assert len(release.pods()) == 2

        with ClusterStage(scene.folder, scene.cluster, namespace, scene.image, scene.minio, release) as stage:
            stage.apply(stage.manifest())
            before = stable(stage)
            stage.apply(stage.manifest(args=stage.arguments(rate=150)))
            stage.wait("the upgrade has begun", lambda seen: seen.step == "Preparing")
            stage.kill("operator")
            after = upgraded(stage, before)
            assert release.leader() not in ("", leader)
            assert len([key for key in stage.stored(stage.savepoints) if key.endswith("/_metadata")]) == 1

            release.helm("upgrade", "--set", "logLevel=debug")
            assert COLUMN in _columns(namespace)
            assert stable(stage).revision == after.revision
            finish(stage)

            release.uninstall()
            left = namespace.get(FLINK_JOB, NAME)
            assert "finalizers" not in left["metadata"], "and the definitions are still there"
            namespace.delete(FLINK_JOB, NAME)
            stage.wait_gone()
        assert release.refusals() == []


def _older_chart(folder: Path) -> Path:
    """Whose definitions lack a column."""
    chart = Path(shutil.copytree(CHART, folder / "chart"))
    definition = chart / "files" / "crds" / "flinkjobs.yaml"
    crd = yaml.safe_load(definition.read_text())
    for version in crd["spec"]["versions"]:
        version["additionalPrinterColumns"] = [
            column for column in version["additionalPrinterColumns"] if column["name"] != COLUMN
        ]
    definition.write_text(yaml.safe_dump(crd))
    return chart


def _columns(namespace: Namespace) -> list[str]:
    (version,) = namespace.get(DEFINITION, "flinkjobs.penstock.dev")["spec"]["versions"]
    return [column["name"] for column in version["additionalPrinterColumns"]]


def _try(namespace: Namespace, manifest: Object) -> None:
    """As it would be applied; nothing is kept."""
    api, metadata = namespace.api, manifest["metadata"]
    kind = f"{manifest['apiVersion']}/{manifest['kind']}"
    path = api.path(kind, metadata["name"], metadata.get("namespace", namespace.name))
    query = {"fieldManager": "helm", "force": "true", "dryRun": "All", "fieldValidation": "Strict"}
    api.json("PATCH", path, manifest, query=query, content_type="application/apply-patch+yaml")
