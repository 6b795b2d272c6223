"""etcd and a real API server, alone: a Kubernetes that keeps objects and checks them, but does nothing about them.

with running_control_plane() as plane:
    plane.api.json("POST", "/api/v1/namespaces", {"metadata": {"name": "jobs"}})

There in some seconds. Nobody makes service accounts, runs pods or collects garbage. `Cluster` adds those who do.
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
from penstock.testing.kubernetes.api import Api
from penstock.testing.kubernetes.binaries import built, debian_packages
from penstock.testing.kubernetes.namespaces import Namespaces, new_namespaces
from penstock.testing.steps import wait_until

API_SERVER: Final = "kube-apiserver"
ETCD: Final = "etcd"
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
    answered: str
    """When it was received, and when it was answered."""

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
            record["stageTimestamp"],
        )


@final
class ControlPlane:
    """What keeps the objects of one node's cluster, and how all its processes are started and stopped."""

    def __init__(self, node: Namespaces, programs: Path) -> None:
        self.node = node
        self.commands = files.commands(node.place, programs)
        self.started: set[str] = set()
        """Parts that were, whatever has become of them."""
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

    def start(self, *beside: str) -> None:
        """Return when the API server answers; `beside` are parts to be started meanwhile."""
        self._write_files()
        for name in (ETCD, *beside, API_SERVER):
            self.start_part(name)
        certificate = self.node.folder / "certificates" / "apiserver.crt"
        self.wait(lambda: _is_whole(certificate), "the API server's certificate")
        token = (self.node.folder / "tokens.csv").read_text().partition(",")[0]
        encoded = base64.b64encode(certificate.read_bytes()).decode()
        data = f"certificate-authority-data: {encoded}"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(files.kubeconfig(self.node.place, data, token))
        self._api = Api(self.kubeconfig)
        self.wait(self.api.ready, "the API server")

    def close(self) -> None:
        """Close the connections; the rest ends with the namespaces."""
        if self._api is not None:
            self._api.close()

    # Parts: a process each, by the name of its program.

    def start_part(self, name: str) -> None:
        """Start one of the node's processes."""
        self.node.start(name, self.commands[name])
        self.started.add(name)

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
            if name in (API_SERVER, ETCD):
                self.wait(self.api.ready, "the API server")

    def requests(self, namespace: str, service_account: str) -> list[Request]:
        """What a service account has asked the API server, and what it was answered; oldest first."""
        user = f"system:serviceaccount:{namespace}:{service_account}"
        log = self.node.folder / files.AUDIT_LOG
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        records = [json.loads(line) for line in lines if line.endswith("\n")]  # The last one may still be coming.
        return [Request.of(record) for record in records if record["user"]["username"] == user]

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Until it holds, as long as nothing of the node ends."""

        def holds_or_ended() -> bool:
            ended = self.node.ended()
            if ended:
                name, code = next(iter(ended.items()))
                raise RuntimeError(f"{name} has ended with {code}:\n{self.node.log_of(name)}")
            return holds()

        wait_until(holds_or_ended, _START_S, lambda: f"{what} is not there; logs are in {self.node.folder}")

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


@contextlib.contextmanager
def running_control_plane() -> Iterator[ControlPlane]:
    """One that nobody else has, built first if need be; it ends with the block or with this process."""
    debian_packages()
    programs = built(API_SERVER).parent
    with new_namespaces() as node:
        plane = ControlPlane(node, programs)
        try:
            plane.start()
            yield plane
        finally:
            plane.close()


def _is_whole(certificate: Path) -> bool:
    """There for a moment before anything is in it."""
    return certificate.exists() and certificate.read_bytes().rstrip().endswith(b"-----END CERTIFICATE-----")
