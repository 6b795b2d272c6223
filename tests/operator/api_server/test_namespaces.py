"""A namespace is deleted with the jobs in it: it goes, and nothing of theirs holds it back."""

from pathlib import Path

import pytest

from penstock.testing.cluster_operator import ACCOUNT, OperatorProcess
from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.kubernetes.api import Namespace
from penstock.testing.kubernetes.control_plane import ControlPlane
from penstock.testing.pretended_pods import PretendedPods
from penstock.testing.services import Minio
from penstock.testing.stages import Seen, said, stable
from penstock.testing.steps import wait_until

IMAGE = "docker.io/local/nowhere:1"


@pytest.mark.usefixtures("kinds")
def test_a_namespace_that_is_deleted_goes_with_its_jobs(
    tmp_path: Path, plane: ControlPlane, namespace: Namespace, home: Namespace, minio: Minio
) -> None:
    told: list[Seen] = []
    with (
        OperatorProcess(tmp_path, plane, [home], everywhere=True) as operator,
        ClusterStage(tmp_path, plane, namespace, IMAGE, minio, operator) as stage,
        PretendedPods(namespace),
    ):
        wanted = stage.manifest()
        wanted["spec"]["deletionTimeout"] = "3 s"
        stage.apply(wanted)
        stable(stage)
        plane.api.json("DELETE", f"/api/v1/namespaces/{namespace.name}")

        def gone() -> bool:
            if (seen := stage.seen()) is not None:
                told.append(seen)
            return namespace.find("v1/Namespace", namespace.name) is None

        wait_until(gone, 50, stage.story)
        assert told[-1].lifecycle == "Deleting"
        assert "the job is being deleted" in said(told[-1])
        assert len(plane.requests(home.name, ACCOUNT)) < 300, "nobody asks without end"
        operator.forgive()  # Nothing can be created any more where it is.
