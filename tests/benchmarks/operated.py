"""A real API server, and the operator as a process over it, for the benchmarks of the operator. No pods run.

Whoever asks the API server here has a service account, so that its audit log tells who asked what and when.
"""

import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes.aio import client, config
from tests.benchmarks.measurement import environment

from penstock.testing.commands import free_port
from penstock.testing.kubernetes.api import Refused
from penstock.testing.kubernetes.control_plane import ControlPlane, running_control_plane
from penstock_operator.clients.kube import Kube, opened
from penstock_operator.clients.resources import FLINK_JOBS, Resource
from penstock_operator.handlers.definitions import definitions

NAMESPACE: Final = "operator"
OPERATOR: Final = "operator"
USER: Final = "user"
"""Accounts in that namespace: the operator's, and that of whoever has jobs run."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_READY_S: Final = 60.0
_COUNTED: Final = re.compile(r"^penstock_operator_requests_total\{(.*)\} (\S+)$", re.MULTILINE)
_PASSED: Final = re.compile(
    r'^penstock_operator_reconcile_duration_seconds_count\{outcome="(\w+)"\} (\S+)$', re.MULTILINE
)


@contextlib.contextmanager
def control_plane(*namespaces: str) -> Iterator[ControlPlane]:
    """One with the operator's definitions, its accounts, and these namespaces."""
    with running_control_plane() as plane:
        api = plane.api
        for name in (NAMESPACE, *namespaces):
            api.json("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
            api.namespace(name).apply(account("default"))  # Pods are refused without it.
        api.namespace(NAMESPACE).apply(account(OPERATOR), account(USER))
        api.namespace("").apply(*map(yaml.safe_load, definitions().values()), _administrators())
        plane.wait(lambda: _served(plane), "the operator's definitions")
        yield plane


def kubeconfig_of(plane: ControlPlane, name: str, folder: Path) -> Path:
    return plane.api.namespace(NAMESPACE).kubeconfig_of(name, folder / f"kubeconfig-{name}")


@contextlib.asynccontextmanager
async def client_of(kubeconfig: Path) -> AsyncIterator[Kube]:
    """The operator's own client."""
    settings = client.Configuration()
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings)
    kube = Kube(opened(settings), fence=lambda: None, count=lambda *_: None)
    try:
        yield kube
    finally:
        await kube.close()


class Operator:
    """`penstock-operator run`, as a process."""

    def __init__(self, kubeconfig: Path, folder: Path, **settings: str) -> None:
        self._metrics, self._health = free_port(), free_port()
        given = {"metrics_port": self._metrics, "health_port": self._health, "lease_namespace": NAMESPACE, **settings}
        variables = {f"PENSTOCK_OPERATOR_{name.upper()}": str(value) for name, value in given.items()}
        self._log = folder / "operator.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "penstock_operator", "run"],
                env={**environment({}), **variables, "KUBECONFIG": str(kubeconfig), "NO_PROXY": "*"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> "Operator":
        self.wait(lambda: _answers(self._health), "ready", _READY_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def wait(self, holds: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"never came: {what}\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)

    def cpu_s(self) -> float:
        """Of all its threads."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICKS

    def memory_bytes(self, what: str = "VmRSS") -> int:
        """Resident, or `VmHWM`: at most so far."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{what}:"))

    def passes(self) -> dict[str, int]:
        """By their outcome."""
        return {outcome: int(float(count)) for outcome, count in _PASSED.findall(self._scraped())}

    def requests(self) -> dict[tuple[str, str, str, str], int]:
        """By target, verb, resource and status."""
        found = {}
        for labels, count in _COUNTED.findall(self._scraped()):
            of = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            found[of["target"], of["verb"], of["resource"], of["status"]] = int(float(count))
        return found

    def _scraped(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10) as answer:
            return str(answer.read().decode())


def flink_job(name: str, checkpoints: dict[str, Any]) -> dict[str, Any]:
    """As users write them."""
    process = {"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}}
    spec = {
        "image": "registry.example.com/jobs/orders:1.4.2",
        "job": {"script": "/opt/jobs/orders.py", "args": ["--topic", name], "parallelism": 2},
        "flinkConfiguration": {"execution.checkpointing.interval": "10 s", "state.backend.type": "rocksdb"},
        "jobManager": process,
        "taskManager": {"slots": 2, **process},
        "checkpoints": checkpoints,
    }
    return {"apiVersion": FLINK_JOBS.api_version, "kind": FLINK_JOBS.kind, "metadata": {"name": name}, "spec": spec}


def count(plane: ControlPlane, resource: Resource, namespace: str) -> int:
    """How many objects there are, at the cost of one."""
    listed = plane.api.json("GET", resource.path(namespace), query={"limit": 1})
    return len(listed["items"]) + int(listed["metadata"].get("remainingItemCount", 0))


def seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def _administrators() -> dict[str, Any]:
    api = "rbac.authorization.k8s.io"
    subjects = [{"kind": "ServiceAccount", "namespace": NAMESPACE, "name": name} for name in (OPERATOR, USER)]
    role = {"apiGroup": api, "kind": "ClusterRole", "name": "cluster-admin"}
    metadata = {"name": "benchmarks"}
    return {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": role,
        "subjects": subjects,
    }


def _served(plane: ControlPlane) -> bool:
    try:
        plane.api.json("GET", FLINK_JOBS.path(None))
    except Refused:
        return False
    return True


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
