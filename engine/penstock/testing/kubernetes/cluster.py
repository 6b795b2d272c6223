"""A cluster of one node: started, looked at, hurt, and stopped by the tests.

with running_cluster() as cluster:
    cluster.load_image(penstock_image())
    namespace = cluster.api.namespace("jobs")
    ...
    cluster.kill_container("jobs", "job-manager-0")
"""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from penstock.testing.kubernetes import files
from penstock.testing.kubernetes.api import POD, Api, Object
from penstock.testing.kubernetes.binaries import binaries, debian_packages
from penstock.testing.kubernetes.containers import CONTAINERD, Containers
from penstock.testing.kubernetes.control_plane import ControlPlane, Request
from penstock.testing.kubernetes.files import NODE_NAME
from penstock.testing.kubernetes.images import pause_image
from penstock.testing.kubernetes.namespaces import Namespaces, new_namespaces

KUBELET: Final = "kubelet"


@final
class Cluster:
    """Everything that runs in one node's namespaces."""

    def __init__(self, node: Namespaces, programs: Path) -> None:
        self._node = node
        self._plane = ControlPlane(node, programs)
        self._containers = Containers(node)

    @property
    def kubeconfig(self) -> Path:
        """With all rights, for any client on this machine."""
        return self._plane.kubeconfig

    @property
    def api(self) -> Api:
        """Its API, with all rights."""
        return self._plane.api

    @property
    def host_address(self) -> str:
        """Where pods reach what listens on this machine."""
        return self._node.place.host_address

    def start(self) -> None:
        """Return when the node is ready to run pods."""
        plane = self._plane
        self._containers.open()
        plane.start(CONTAINERD)
        for name in plane.commands:
            if name not in plane.started:
                plane.start_part(name)
        self.api.namespace("kube-system").apply(*files.dns_manifests(self._node.place))
        plane.wait(self._containers.answers, "containerd")
        self.load_image(pause_image())
        self.await_node()

    def close(self) -> None:
        """Leave the images for the next node in this place; the rest ends with the namespaces."""
        if KUBELET in self._plane.started:
            self._plane.stop_part(KUBELET, signal.SIGKILL)
            self._containers.close()
        self._plane.close()

    def node_ready(self) -> bool:
        """Whether the node says that it can run pods."""
        node = self.api.namespace("").find("v1/Node", NODE_NAME)
        conditions = [] if node is None else node["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def await_node(self) -> None:
        """Return when it is ready."""
        self._plane.wait(self.node_ready, "the node")

    def without(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Kill one of the node's processes for the length of a block: "kube-apiserver", "kubelet", "etcd"."""
        return self._plane.without(name)

    def requests(self, namespace: str, service_account: str) -> list[Request]:
        """What a service account has asked the API server, and what it was answered; oldest first."""
        return self._plane.requests(namespace, service_account)

    # Images and containers.

    def load_image(self, name: str) -> None:
        """Give the node an image that was made here, unless it has it."""
        self._containers.load(name)

    def name_image(self, image: str, *names: str) -> None:
        """Have one that was loaded under other names too, such as `docker.io/library/penstock:0.1.0`."""
        self._containers.name(image, *names)

    def kill_container(self, namespace: str, pod: str, container: str | None = None) -> None:
        """SIGKILL for a container's first process, as a crash would end it; the kubelet will start it again."""
        status = _container_status(self.api.namespace(namespace).get(POD, pod), container)
        self._containers.kill(status["containerID"].removeprefix("containerd://"))


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster that nobody else has, built first if need be; it ends with the block or with this process."""
    debian_packages()
    programs = binaries()
    with new_namespaces() as node:
        cluster = Cluster(node, programs)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


def _container_status(pod: Object, container: str | None) -> Object:
    statuses: list[Object] = pod["status"].get("containerStatuses", [])
    return next(status for status in statuses if container in (None, status["name"]))
