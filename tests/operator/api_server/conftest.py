"""A real API server with its controllers and without a node, and the operator as a process against it.

For what goes wrong between an operator and its cluster. Nothing runs in pods: `PretendedPods` says that it does. All
tests of this folder run in one process, since they share one API server.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing.cluster_operator import OperatorProcess, define_kinds
from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.kubernetes.api import Namespace
from penstock.testing.kubernetes.control_plane import ControlPlane, running_control_plane
from penstock.testing.services import Minio

HERE = Path(__file__).parent
CONTROLLERS = "kube-controller-manager"


@pytest.hookimpl(tryfirst=True)  # Before xdist looks at the groups.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("api server"))
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="package")
def plane() -> Iterator[ControlPlane]:
    """etcd, the API server and the controllers."""
    with running_control_plane() as plane:
        plane.start_part(CONTROLLERS)
        yield plane


@pytest.fixture
def namespace(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """All that is in it goes with the test."""
    words = request.node.originalname.removeprefix("test_").replace("_", "-")[:40].strip("-")
    namespace = plane.api.namespace(f"{words}-{secrets.token_hex(3)}")
    namespace.create()
    yield namespace
    if namespace.find("v1/Namespace", namespace.name) is not None:
        namespace.delete_all()


@pytest.fixture
def home(plane: ControlPlane) -> Iterator[Namespace]:
    """For an operator that looks after all namespaces."""
    home = plane.api.namespace(f"home-{secrets.token_hex(3)}")
    home.create()
    yield home
    home.delete_all()


@pytest.fixture
def kinds(plane: ControlPlane) -> None:
    """The API server knows FlinkJob and FlinkStateSnapshot."""
    define_kinds(plane.api)


@pytest.fixture
def operator(tmp_path: Path, plane: ControlPlane, namespace: Namespace, kinds: None) -> Iterator[OperatorProcess]:
    """With the rights that the chart gives it."""
    with OperatorProcess(tmp_path, plane, [namespace]) as operator:
        yield operator


@pytest.fixture
def stage(
    tmp_path: Path, plane: ControlPlane, namespace: Namespace, minio: Minio, operator: OperatorProcess
) -> Iterator[ClusterStage]:
    """A FlinkJob for it."""
    with ClusterStage(tmp_path, plane, namespace, "docker.io/local/nowhere:1", minio, operator) as stage:
        yield stage
