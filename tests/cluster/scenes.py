"""Where the scenarios of this folder are played, all at the same time: most of what they do is to wait for pods."""

import contextlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from penstock.testing.cluster_operator import PROGRAM, Operator, OperatorProcess, OperatorRelease
from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.kubernetes.api import Namespace, Refused
from penstock.testing.kubernetes.cluster import Cluster
from penstock.testing.kubernetes.elsewhere import ClusterElsewhere
from penstock.testing.playing import Playbill
from penstock.testing.services import S3Server
from penstock.testing.stages import Seen, stable

AT_ONCE = 6
"""More of them take no less time on two cores."""


@final
@dataclass(frozen=True)
class Scene:
    """What one scenario finds. `operator` looks after the namespaces of all: who wants to kill one has its own."""

    folder: Path
    cluster: Cluster | ClusterElsewhere
    namespace: Namespace
    image: str
    minio: S3Server
    operator: Operator

    def stage(self, operator: Operator | None = None) -> ClusterStage:
        chosen = operator or self.operator
        return ClusterStage(self.folder, self.cluster, self.namespace, self.image, self.minio, chosen)

    @contextlib.contextmanager
    def own_namespace(self) -> Iterator[Namespace]:
        """That the operator of all does not see."""
        namespace = new_namespace(self.cluster, f"own-{self.namespace.name[:30]}")
        namespace.create()
        yield namespace
        namespace.delete_all()

    @contextlib.contextmanager
    def mortal_stage(self, program: Sequence[str] = PROGRAM, **environment: str) -> Iterator[ClusterStage]:
        """With an operator of its own: a process of this machine, or pods that only run what is in the image."""
        with (
            self.own_namespace() as namespace,
            self._own_operator(namespace, program, environment) as operator,
            ClusterStage(self.folder, self.cluster, namespace, self.image, self.minio, operator) as stage,
        ):
            yield stage

    def _own_operator(
        self, namespace: Namespace, program: Sequence[str], environment: Mapping[str, str]
    ) -> AbstractContextManager[Operator]:
        if isinstance(self.cluster, ClusterElsewhere):
            return OperatorRelease(self.cluster, [namespace], self.image, self.folder)
        return OperatorProcess(self.folder, self.cluster, [namespace], program=program, environment=environment)


BILL: Playbill[Scene] = Playbill()


def new_namespace(cluster: Cluster | ClusterElsewhere, title: str) -> Namespace:
    """Not created yet, with a name that no other has."""
    words = re.sub("[^a-z0-9]+", "-", title.lower()).removeprefix("test-")
    return cluster.api.namespace(f"{words[:40].strip('-')}-{secrets.token_hex(3)}")


def newest_checkpoint(stage: ClusterStage) -> int:
    """Its number, as a JobManager that is there tells it now; 0 if none does."""
    seen = stage.seen()
    job = "" if seen is None else (seen.status.get("jobStatus") or {}).get("jobId", "")
    with contextlib.suppress(Refused):
        (pod,) = stage.pods("jobmanager")
        told = stage.namespace.reach(f"pods/{pod}:8081", f"/v1/jobs/{job}/checkpoints")
        completed = (told.get("latest") or {}).get("completed")
        return int(completed["id"]) if completed else 0
    return 0


def await_checkpoint(stage: ClusterStage, after: int) -> Seen:
    """Until a newer one is complete, and the job stable."""
    stage.until(lambda: newest_checkpoint(stage) > after, lambda: f"no checkpoint after {after}")
    return stable(stage)
