"""What all tests share: real services, and how long the long tests run."""

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from random import SystemRandom

import pytest
from _pytest.nodeid import NodeId
from hypothesis import settings

from penstock.testing.kubernetes.binaries import is_built
from penstock.testing.sampling import leave_out
from penstock.testing.services import Minio, running_minio


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak-s", type=float, default=None, help="seconds each test marked `soak` may run")
    parser.addoption(
        "--elsewhere", action="store_true", help="tests/cluster on the cluster in KUBECONFIG, or one of kind's"
    )
    parser.addoption("--world", default="local", help="where the operator's scenarios run: local, or MODULE:FUNCTION")


# Examples take as long as the machine, which runs other tests beside them, makes them take.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")


def pytest_configure(config: pytest.Config) -> None:
    # Before xdist starts its workers, so that all of them choose the same sample, in the same order.
    os.environ.setdefault("PENSTOCK_SEED", str(SystemRandom().randrange(10_000)))
    os.environ.setdefault("PENSTOCK_CLUSTER_TESTS", "half-way" if is_built() else "last")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background of a script: what tests start, and interrupt, would ignore it like ourselves.
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Folder(pytest.Package):
    """To pytest it is a package, though there is no `__init__.py`: fixtures of that scope end with its last test."""

    def setup(self) -> None:
        """There is no module to set up."""


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector:
    folder: pytest.Collector = Folder.from_parent(parent, path=path)
    return folder


@pytest.hookimpl(wrapper=True)  # Before those who choose by marks, and after pytest-xdist.
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    for item in items:
        if item.get_closest_marker("sampled"):
            item.add_marker(pytest.mark.soak)
    leave_out(config, items, _cases)
    yield
    # pytest-xdist puts a test's group where pytest 9.2 no longer looks for its id: nothing would be kept together.
    for item in items:
        if (grouped := getattr(item, "_nodeid", None)) is not None:
            item._id = NodeId.parse(grouped)


def _cases(item: pytest.Item) -> int | None:
    sampled = item.get_closest_marker("sampled")
    return None if sampled is None else int(sampled.args[0])


def pytest_report_header(config: pytest.Config) -> str:
    return f"PENSTOCK_SEED={os.environ['PENSTOCK_SEED']}"


@pytest.fixture
def soak_s(request: pytest.FixtureRequest) -> float | None:
    """How long a test marked `soak` shall run; None asks for its short seeded sample."""
    seconds: float | None = request.config.getoption("--soak-s")
    return seconds


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """An S3 server for all tests of this process; never kill it, and work in a `new_bucket()`."""
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture
def minio_own(tmp_path: Path) -> Iterator[Minio]:
    """An S3 server for one test, which may kill and restart it."""
    with running_minio(tmp_path / "minio") as server:
        yield server
