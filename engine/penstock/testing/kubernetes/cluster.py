"""A cluster of one node: started, looked at, hurt, and stopped by the tests.

with running_cluster() as cluster:
    cluster.load_image(penstock_image())
    namespace = cluster.api.namespace("jobs")
    ...
    cluster.kill_container("jobs", "job-manager-0")
"""

import base64
import contextlib
import json
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from penstock.testing.kubernetes import files
from penstock.testing.kubernetes.api import POD, Api, Object
from penstock.testing.kubernetes.binaries import binaries, debian_packages
from penstock.testing.kubernetes.containers import Containers
from penstock.testing.kubernetes.files import NODE_NAME
from penstock.testing.kubernetes.images import pause_image
from penstock.testing.kubernetes.namespaces import Namespaces, new_namespaces
from penstock.testing.steps import wait_until

API_SERVER: Final = "kube-apiserver"
KUBELET: Final = "kubelet"
_START_S: Final = 60.0


@final
@dataclass(frozen=True, slots=True)
class Request:
    """One request to the API server."""

    verb: str
    """In the words of RBAC: get, list, watch, create, patch, ..."""
    resource: str
    """With its subresource: `flinkjobs/status`."""
    namespace: str
    name: str
    code: int
    """HTTP's: 403 is one that the roles do not allow."""
    at: str

    @staticmethod
    def of(record: Mapping[str, Any]) -> "Request":
        """From the audit log."""
        about = record.get("objectRef", {})
        resource = "/".join(part for part in (about.get("resource"), about.get("subresource")) if part)
        return Request(
            record["verb"],
            resource or record["requestURI"],
            about.get("namespace", ""),
            about.get("name", ""),
            record.get("responseStatus", {}).get("code", 0),
            record["requestReceivedTimestamp"],
        )


@final
class Cluster:
    """Everything that runs in one node's namespaces."""

    def __init__(self, node: Namespaces, built: Path) -> None:
        self.node = node
        self._commands = files.commands(node.place, built)
        self._containers = Containers(node)
        self._api: Api | None = None

    @property
    def kubeconfig(self) -> Path:
        """With all rights, for any client on this machine."""
        return self.node.folder / "kubeconfig"

    @property
    def api(self) -> Api:
        """Its API, with all rights."""
        assert self._api is not None, "started"
        return self._api

    @property
    def host_address(self) -> str:
        """Where pods reach what listens on this machine."""
        return self.node.place.host_address

    def start(self) -> None:
        """Return when the node is ready to run pods."""
        self._write_files()
        self._containers.open()
        for name in ("etcd", "containerd", API_SERVER):
            self.start_part(name)
        certificate = self.node.folder / "certificates" / "apiserver.crt"
        self._await(lambda: _is_whole(certificate), "the API server's certificate")
        token = (self.node.folder / "tokens.csv").read_text().partition(",")[0]
        encoded = base64.b64encode(certificate.read_bytes()).decode()
        data = f"certificate-authority-data: {encoded}"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(files.kubeconfig(self.node.place, data, token))
        self._api = Api(self.kubeconfig)
        self._await(self.api.ready, "the API server")
        for name in self._commands:
            if name not in ("etcd", "containerd", API_SERVER):
                self.start_part(name)
        self.api.namespace("kube-system").apply(*files.dns_manifests(self.node.place))
        self._await(self._containers.answers, "containerd")
        self.load_image(pause_image())
        self.await_node()

    def close(self) -> None:
        """Leave the images for the next node in this place; the rest ends with the namespaces."""
        if self._api is not None:
            self._api.close()
            self.stop_part(KUBELET, signal.SIGKILL)
            self._containers.close()

    def node_ready(self) -> bool:
        """Whether the node says that it can run pods."""
        node = self.api.namespace("").find("v1/Node", NODE_NAME)
        conditions = [] if node is None else node["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def await_node(self) -> None:
        """Return when it is ready."""
        self._await(self.node_ready, "the node")

    # Parts: a process each, by the name of its program.

    def start_part(self, name: str) -> None:
        """Start one of the node's processes."""
        self.node.start(name, self._commands[name])

    def stop_part(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End one, and return when it has ended."""
        self.node.signal(name, how)

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Kill one of the node's processes for the length of a block: "kube-apiserver", "kubelet", "etcd"."""
        self.stop_part(name, signal.SIGKILL)
        try:
            yield
        finally:
            self.start_part(name)
            if name in (API_SERVER, "etcd"):
                self._await(self.api.ready, "the API server")

    def requests(self, namespace: str, service_account: str) -> list[Request]:
        """What a service account has asked the API server, and what it was answered; oldest first."""
        user = f"system:serviceaccount:{namespace}:{service_account}"
        log = self.node.folder / files.AUDIT_LOG
        records = map(json.loads, log.read_text().splitlines() if log.exists() else [])
        return [Request.of(record) for record in records if record["user"]["username"] == user]

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

    def _write_files(self) -> None:
        folder = self.node.folder
        for name, text in files.configuration(self.node.place).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        (folder / "tokens.csv").touch(mode=0o600)
        (folder / "tokens.csv").write_text(f"{secrets.token_hex(16)},admin,admin,system:masters\n")
        key, public = folder / "service-accounts.key", folder / "service-accounts.pub"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)

    def _await(self, holds: Callable[[], bool], what: str) -> None:
        def holds_or_ended() -> bool:
            ended = self.node.ended()
            if ended:
                name, code = next(iter(ended.items()))
                raise RuntimeError(f"{name} has ended with {code}:\n{self.node.log_of(name)}")
            return holds()

        wait_until(holds_or_ended, _START_S, lambda: f"{what} is not there; logs are in {self.node.folder}")


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster that nobody else has, built first if need be; it ends with the block or with this process."""
    debian_packages()
    built = binaries()
    with new_namespaces() as node:
        cluster = Cluster(node, built)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


def _is_whole(certificate: Path) -> bool:
    """There for a moment before anything is in it."""
    return certificate.exists() and certificate.read_bytes().rstrip().endswith(b"-----END CERTIFICATE-----")


def _container_status(pod: Object, container: str | None) -> Object:
    statuses: list[Object] = pod["status"].get("containerStatuses", [])
    return next(status for status in statuses if container in (None, status["name"]))
