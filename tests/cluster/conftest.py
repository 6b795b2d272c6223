"""The cluster that tests run on, what they find there, and what they say of it when they fail. README.md tells it all.

All tests of this folder run in one process, because they share one node: half-way, when another process can do much
beside their waiting, or after all others where Kubernetes has to be built meanwhile. The scenarios come last of them,
all at the same time.
"""

import os
import secrets
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.cluster.scenes import AT_ONCE, BILL, Scene, new_namespace

from penstock.testing.cluster_operator import Operator, OperatorProcess, OperatorRelease, define_kinds
from penstock.testing.kubernetes.api import Namespace
from penstock.testing.kubernetes.cluster import Cluster, running_cluster
from penstock.testing.kubernetes.elsewhere import ClusterElsewhere, cluster_elsewhere, image_elsewhere
from penstock.testing.kubernetes.images import penstock_image
from penstock.testing.kubernetes.minio import running_minio_in_pods
from penstock.testing.playing import Played
from penstock.testing.services import S3Server, running_minio

HERE = Path(__file__).parent
TIMEOUT_S = 120
"""For each test, without its fixtures: the first one may have to wait until all is built."""
SCENARIOS_S = 600
"""For each scenario, which shares the node with the others; each of its waits has a shorter deadline."""


@pytest.hookimpl(tryfirst=True)  # Before xdist looks at the groups.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.xdist_group("cluster"))
        if item.get_closest_marker("timeout") is None:
            seconds = SCENARIOS_S if _is_scenario(item) else TIMEOUT_S
            item.add_marker(pytest.mark.timeout(seconds, func_only=True))
    # What stops parts of the node does so before the scenarios begin.
    ours.sort(key=_is_scenario)
    others = [item for item in items if HERE not in item.path.parents]
    after = len(others) // 2 if os.environ["PENSTOCK_CLUSTER_TESTS"] == "half-way" else len(others)
    items[:] = [*others[:after], *ours, *others[after:]]


def _is_scenario(item: pytest.Item) -> bool:
    return "played" in getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    namespaces = [found for found in getattr(item, "funcargs", {}).values() if isinstance(found, Namespace)]
    if report.failed and call.when == "call":
        report.sections += [(f"namespace {namespace.name}", namespace.describe()) for namespace in namespaces]
    return report


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """The name of Penstock's image, made of the Dockerfile and the files as they are."""
    return image_elsewhere() if request.config.getoption("--elsewhere") else penstock_image()


@pytest.fixture(scope="package")
def cluster(image: str, request: pytest.FixtureRequest) -> Iterator[Cluster | ClusterElsewhere]:
    """A Kubernetes of one node that has the image; stop no part of it but with `cluster.without(...)`."""
    with cluster_elsewhere() if request.config.getoption("--elsewhere") else running_cluster() as cluster:
        cluster.load_image(image)
        yield cluster


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace that no other test has; all that is in it goes with the test."""
    namespace = new_namespace(cluster, request.node.originalname)
    namespace.create()
    yield namespace
    namespace.delete_all()


@pytest.fixture(scope="package")
def played(
    cluster: Cluster | ClusterElsewhere,
    image: str,
    cluster_minio: S3Server,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Played]:
    """All scenarios that were selected, as they are played; under one operator, each in a namespace of its own."""
    names = BILL.chosen(item.name for item in request.session.items if HERE in item.path.parents)
    namespaces = {name: new_namespace(cluster, name) for name in names}
    for namespace in namespaces.values():
        namespace.create()
    define_kinds(cluster.api)
    folder = tmp_path_factory.mktemp("scenarios")
    with _operator_of_all(cluster, image, folder / "operator", list(namespaces.values())) as operator:
        scenes = {
            name: Scene(folder / name, cluster, namespace, image, cluster_minio, operator)
            for name, namespace in namespaces.items()
        }
        for scene in scenes.values():
            scene.folder.mkdir()
        with BILL.playing(scenes, AT_ONCE) as played:
            yield played
    for namespace in namespaces.values():
        namespace.delete_all()


def _operator_of_all(
    cluster: Cluster | ClusterElsewhere, image: str, folder: Path, namespaces: list[Namespace]
) -> AbstractContextManager[Operator]:
    """A process of this machine where it reaches the pods, otherwise a pod."""
    if isinstance(cluster, ClusterElsewhere):
        return OperatorRelease(cluster, namespaces, image, folder)
    return OperatorProcess(folder, cluster, namespaces)


@pytest.fixture(scope="package")
def cluster_minio(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server; never kill it, and work in a `new_bucket()`."""
    if isinstance(cluster, ClusterElsewhere):
        with running_minio_in_pods(cluster.api.namespace(f"minio-{secrets.token_hex(3)}")) as in_pods:
            yield in_pods
    else:
        with running_minio(tmp_path_factory.mktemp("minio"), cluster.host_address) as server:
            yield server
