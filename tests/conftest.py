"""Fixtures that all tests share: real services."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.testing.services import Minio, running_minio


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
