"""Names of what exists for a job and for one revision of it, and the labels by which it is found. Pure.

A FlinkJob's name has at most 45 characters and a revision's eight or so (`r7-1a2b3`), so names of Services, which may
have 63, hold both; longer ones are cut and told apart by a digest.
"""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Final, Literal, final

GROUP: Final = "penstock.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FIELD_MANAGER: Final = "penstock-operator"
FINALIZER: Final = f"{GROUP}/finalizer"
PAUSED: Final = f"{GROUP}/paused"
"""Annotation of a FlinkJob that is to be left as it is."""
JOB_LABEL: Final = f"{GROUP}/job"
UID_LABEL: Final = f"{GROUP}/uid"
REVISION_LABEL: Final = f"{GROUP}/revision"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
Component = Literal["jobmanager", "taskmanager"]

_LENGTH_MAX: Final = 63
_DIGEST: Final = 8


@final
@dataclass(frozen=True, slots=True)
class Owner:
    """The FlinkJob that everything is made for."""

    namespace: str
    name: str
    uid: str

    @property
    def job_id(self) -> str:
        """The same for all FlinkJobs of this name, so that one that is created again finds its state."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"{GROUP}/{self.namespace}/{self.name}").hex

    @property
    def token_secret(self) -> str:
        """Another one for a FlinkJob that was created again: the garbage collector may take its time with the old one,
        or miss it for good where the CustomResourceDefinition was written again while the FlinkJob went."""
        return f"{self.name}-token-{self.uid}"

    @property
    def disruption_budget(self) -> str:
        return self.name

    def controller_revision(self, revision: str) -> str:
        return f"{self.name}-{revision}"

    def config_map(self, revision: str) -> str:
        return f"{self.name}-{revision}"

    def deployment(self, revision: str, component: Component) -> str:
        return f"{self.name}-{revision}-{component}"

    def rpc_service(self, revision: str) -> str:
        return _cut(f"{self.name}-{revision}-rpc")

    def rest_service(self, revision: str) -> str:
        return _cut(f"{self.name}-{revision}-rest")

    def labels(self, revision: str | None = None, component: Component | None = None) -> dict[str, str]:
        """Of the job's things, of one revision's, of one component's."""
        found = {
            "app.kubernetes.io/name": "flinkjob",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/part-of": "penstock",
            "app.kubernetes.io/managed-by": FIELD_MANAGER,
            JOB_LABEL: self.name,
            UID_LABEL: self.uid,
        }
        if revision is not None:
            found[REVISION_LABEL] = revision
        if component is not None:
            found[COMPONENT_LABEL] = component
        return found

    def selector(self, revision: str, component: Component) -> dict[str, str]:
        """What tells these pods from all others; a Deployment's can never change."""
        return {UID_LABEL: self.uid, REVISION_LABEL: revision, COMPONENT_LABEL: component}

    @property
    def task_manager_selector(self) -> str:
        """For the scale subresource."""
        return f"{UID_LABEL}={self.uid},{COMPONENT_LABEL}=taskmanager"

    def reference(self) -> dict[str, object]:
        """What makes the garbage collector remove a child with its FlinkJob."""
        return {
            "apiVersion": API_VERSION,
            "kind": "FlinkJob",
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def _cut(whole: str) -> str:
    """Never longer than the name of a Service may be."""
    if len(whole) <= _LENGTH_MAX:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST]
    return f"{whole[: _LENGTH_MAX - _DIGEST - 1].rstrip('-')}-{digest}"
