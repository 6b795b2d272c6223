"""The fault tests: which of their many settings run, and the processes that they run on.

Every scenario is there for each state backend and checkpoint storage where that makes a difference. `make test` runs
each scenario in one of them, chosen by PENSTOCK_SEED, which is printed; `make soak` and PENSTOCK_FAULT=all run all.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from penstock.testing.cluster import FaultCluster, Job, Setup
from penstock.testing.sampling import leave_out
from penstock.testing.services import Minio
from penstock.testing.spread import SpreadCluster

C = TypeVar("C", bound=FaultCluster)

HERE = Path(__file__).parent
FAILED = pytest.StashKey[bool]()
HANGS_S = 180
"""No test here takes so long on any machine: each starts several clusters, and every wait has its own deadline."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if (
            HERE in item.path.parents
            and item.get_closest_marker("timeout") is None
            and config.getoption("timeout") is None
        ):
            item.add_marker(pytest.mark.timeout(HANGS_S))
    leave_out(config, items, lambda item: 1 if HERE in item.path.parents and "setup" in _fixtures(item) else None)


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def clusters(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., FaultCluster]]:
    """Makes clusters of one process and its workers, which are gone when the test is over.

    Of a test that failed they tell what they have seen.
    """
    with _making(FaultCluster, tmp_path / "one", request) as make:
        yield make


@pytest.fixture
def spread(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., SpreadCluster]]:
    """The same with a process for the JobManager and for each TaskManager."""
    with _making(SpreadCluster, tmp_path / "spread", request) as make:
        yield make


@contextmanager
def _making(kind: type[C], folder: Path, request: pytest.FixtureRequest) -> Generator[Callable[..., C], None, None]:
    made: list[C] = []
    with ExitStack() as stack:

        def make(job: Job, setup: Setup, minio: Minio | None = None) -> C:
            if minio is None and setup.storage == "s3":
                minio = request.getfixturevalue("minio")
            cluster = kind(folder / f"cluster-{len(made)}", job, setup, minio)
            stack.enter_context(cluster)
            made.append(cluster)
            return cluster

        yield make
    if request.node.stash.get(FAILED, False):
        for cluster in made:
            print(cluster.story())
