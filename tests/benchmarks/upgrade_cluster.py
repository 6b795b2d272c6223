"""Downtime of an upgrade by savepoint in Kubernetes: real pods on a node, state in an S3 server beside it."""

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.measurement import Measured
from tests.benchmarks.upgraded import spec_of, told, upgrade

from penstock.storage import S3Settings, open_store
from penstock.testing.cluster_operator import OperatorProcess, define_kinds
from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.kubernetes.binaries import is_built
from penstock.testing.kubernetes.cluster import running_cluster
from penstock.testing.kubernetes.images import penstock_image
from penstock.testing.services import S3Server, running_minio
from penstock.testing.stages import NAME

TARGET_S: Final = 5.0
_REPORTS: Final = "/reports"


def measure() -> list[Measured]:
    if not is_built():
        raise RuntimeError("there is no Kubernetes here yet: `make services` builds it in a quarter of an hour")
    with tempfile.TemporaryDirectory() as directory, _stage(Path(directory)) as stage:
        reports = Path(directory) / "reports"
        reports.mkdir()
        reports.chmod(0o777)  # Pods run as somebody else.
        upgrades = upgrade(
            stage,
            lambda version: _manifest(stage, version, reports),
            reports,
            lambda address: open_store(address, _settings(stage.minio)),
            lambda reason: _events(stage, reason),
        )
    downtime, note = told(upgrades)
    return [Measured("upgrade_cluster", downtime, TARGET_S, "s without records", "less", note)]


@contextlib.contextmanager
def _stage(folder: Path) -> Iterator[ClusterStage]:
    folder.chmod(0o755)  # Pods look into it.
    image = penstock_image()
    with running_cluster() as cluster, running_minio(folder / "minio", cluster.host_address) as minio:
        cluster.load_image(image)
        namespace = cluster.api.namespace(f"upgrade-{secrets.token_hex(3)}")
        namespace.create()
        define_kinds(cluster.api)
        with (
            OperatorProcess(folder, cluster, [namespace]) as operator,
            ClusterStage(folder, cluster, namespace, image, minio, operator) as stage,
        ):
            yield stage


def _manifest(stage: ClusterStage, version: int, reports: Path) -> dict[str, Any]:
    mount = {"name": "reports", "mountPath": _REPORTS}
    volume = {"name": "reports", "hostPath": {"path": str(reports)}}
    containers = [{"name": "penstock-main-container", "volumeMounts": [mount]}]
    template = {"spec": {"containers": containers, "volumes": [volume]}}
    return spec_of(stage.manifest(), version, _REPORTS, podTemplate=template)


def _settings(server: S3Server) -> S3Settings:
    return S3Settings(server.endpoint, server.access_key, server.secret_key, region="us-east-1")


def _events(stage: ClusterStage, reason: str) -> list[float]:
    events = [event for event in stage.namespace.events(NAME) if event["reason"] == reason]
    return [datetime.fromisoformat(event["eventTime"]).timestamp() for event in events]


if __name__ == "__main__":
    for row in measure():
        print(row)
