"""The kinds of objects that the operator reads or writes, and where the Kubernetes API has them.

Used by whoever makes a path; nobody else puts one together. The roles in the chart name these and no others.
"""

from dataclasses import dataclass
from typing import Final, final

from penstock_operator.render.names import GROUP, VERSION


@final
@dataclass(frozen=True, slots=True)
class Resource:
    """A kind."""

    group: str
    """Empty: the core group."""
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Of all objects in a namespace (None: in all), or of one of them, or of a part of it."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        return "/".join(part for part in (*parts, self.plural, name, subresource) if part)


FLINK_JOBS: Final = Resource(GROUP, VERSION, "flinkjobs", "FlinkJob")
SNAPSHOTS: Final = Resource(GROUP, VERSION, "flinkstatesnapshots", "FlinkStateSnapshot")
DEFINITIONS: Final = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
EVENTS: Final = Resource("", "v1", "events", "Event")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")

CHILDREN: Final = (DEPLOYMENTS, SERVICES, CONFIG_MAPS, SECRETS, BUDGETS)
"""What a revision or a job consists of."""


def resource_of(manifest: dict[str, object]) -> Resource:
    """The kind of a manifest of ours."""
    return next(r for r in CHILDREN if (r.api_version, r.kind) == (manifest["apiVersion"], manifest["kind"]))
