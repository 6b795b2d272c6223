"""The scenarios of the operator: each is played in the world that `--world` names, by default on this machine."""

import importlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from penstock.testing.local_stage import LocalStage
from penstock.testing.stages import Stage

Stages = Callable[..., Stage]
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def stages(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stages]:
    """Makes stages, which are gone when the test is over. `minio=True`: state and output lie in S3."""
    world = request.config.getoption("--world")
    found: list[Stage] = []
    with ExitStack() as stack:

        def make(*, minio: bool = False, **more: Any) -> Stage:
            folder = tmp_path / f"stage-{len(stack._exit_callbacks)}"  # type: ignore[attr-defined]
            if world != "local":
                module, _, name = world.partition(":")
                made: Any = getattr(importlib.import_module(module), name)(folder, request, minio=minio, **more)
            else:
                made = LocalStage(folder, minio=request.getfixturevalue("minio") if minio else None, **more)
            stage: Stage = stack.enter_context(made)
            found.append(stage)
            return stage

        yield make
        if request.node.stash.get(FAILED, False):
            for stage in found:
                print(stage.story())


@pytest.fixture
def stage(stages: Stages) -> Stage:
    """One, with state and output in files, or wherever its world has them."""
    return stages()
