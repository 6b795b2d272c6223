"""The operator of a test on a real cluster: a process of this machine, or pods that Helm has installed.

As a process it can be killed in the middle of anything, and one may look after the FlinkJobs of several tests at once.
Either has the rights that the chart gives it and no others; `refusals` tells whether those ever failed to suffice.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import unittest
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, final

import yaml

from penstock.testing.kubernetes.api import POD, Api, Namespace, Object, Refused
from penstock.testing.kubernetes.binaries import REPOSITORY, built
from penstock.testing.kubernetes.control_plane import Request
from penstock.testing.steps import wait_until

CHART: Final = REPOSITORY / "charts" / "penstock-operator"
FLINK_JOB: Final = "penstock.dev/v1alpha1/FlinkJob"
SNAPSHOT: Final = "penstock.dev/v1alpha1/FlinkStateSnapshot"
ACCOUNT: Final = "penstock-operator"
PROGRAM: Final = ("-m", "penstock_operator")
_DEPOSED: Final = 75
SETTINGS: Final = {"PENSTOCK_OPERATOR_STEADY_INTERVAL_S": "1"}
TAKEN_OVER: Final = ("--take-ownership", "--force-conflicts")
"""For an installation where the definitions have been applied by hand: they become the release's."""
_KINDS_S: Final = 30.0
_HELM_S: Final = 120.0
_LED_S: Final = 60.0
_END_S: Final = 20.0
_POLL_S: Final = 0.1
_POD_LABELS: Final = {"app.kubernetes.io/component": "operator"}


class Audited(Protocol):
    """A cluster."""

    def requests(self, namespace: str, service_account: str) -> list[Request]:
        """What a service account has asked the API server; `unittest.SkipTest` where nobody lets us know."""


class Operator(Protocol):
    """What a stage does with it."""

    def start(self) -> None:
        """Again, after it was killed."""

    def kill(self) -> None:
        """The one that leads, by SIGKILL."""

    def tend(self) -> None:
        """Start it again if it gave up its lead, which on a busy machine it may."""

    def log(self) -> str:
        """What it has said."""


@final
class OperatorProcess:
    """Runs for the length of a block, in which it may be killed and started again. The first namespace is its own."""

    def __init__(
        self,
        folder: Path,
        cluster: Audited,
        namespaces: Sequence[Namespace],
        *,
        everywhere: bool = False,
        program: Sequence[str] = PROGRAM,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`everywhere`: it looks after all other namespaces too. `program`: what Python is to run instead of it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.namespaces = tuple(namespaces)
        self._watched = () if everywhere else tuple(namespace.name for namespace in namespaces)
        self._folder = folder
        self._cluster = cluster
        self._program = tuple(program)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._tending = threading.Lock()
        self._forgiven = 0

    def __enter__(self) -> "OperatorProcess":
        own = self.namespaces[0]
        for manifest in rendered("rbac.yaml", own.name, self._watched):
            own.api.namespace(manifest["metadata"].get("namespace", own.name)).apply(manifest)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._release()
        if error is None:
            assert self.refusals() == [], "the operator asked for what its role does not allow"

    def start(self) -> None:
        """Once the one before has ended."""
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry))
        kubeconfig = self.namespaces[0].kubeconfig_of(ACCOUNT, self._folder / "kubeconfig")
        environment |= {"KUBECONFIG": str(kubeconfig), "NO_PROXY": "*", **SETTINGS}
        command = [sys.executable, *self._program, "run", "--own-namespace", self.namespaces[0].name]
        command += [f"--namespace={name}" for name in self._watched]
        command += ["--identity", "stage", "--lease", ACCOUNT]
        command += ["--health-port", "0", "--metrics-port", "0", "--log-format", "text"]
        with (self._folder / "operator.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment | self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Returns when it has ended."""
        assert self._process is not None, "started"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """As the kubelet would."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def has_ended(self) -> bool:
        """Whether it runs no longer, for whatever reason."""
        return self._process is not None and self._process.poll() is not None

    def tend(self) -> None:
        """As a kubelet would."""
        with self._tending:
            if self._process is not None and self._process.poll() == _DEPOSED:
                self.start()

    def log(self) -> str:
        """What all its processes have said."""
        file = self._folder / "operator.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def refusals(self) -> list[Request]:
        """What its role did not let it do; nothing where nobody lets us know."""
        return refusals(self._cluster, self.namespaces[0])[self._forgiven :]

    def forgive(self) -> None:
        """What was refused so far: an API server that was just started knows no roles for a moment."""
        self._forgiven += len(self.refusals())

    def _release(self) -> None:
        """So that the namespaces can go without the operator."""
        for namespace in self.namespaces:
            for kind in (FLINK_JOB, SNAPSHOT):
                for found in namespace.all(kind):
                    with contextlib.suppress(Refused):
                        namespace.patch(kind, found["metadata"]["name"], {"metadata": {"finalizers": None}})


@final
class OperatorRelease:
    """A release of the chart in the first of the namespaces, all of which it looks after; for the length of a block."""

    def __init__(self, cluster: Audited, namespaces: Sequence[Namespace], image: str, folder: Path) -> None:
        self._cluster = cluster
        self._namespace = namespaces[0]
        self._values = folder / "values.yaml"
        repository, _, tag = image.rpartition(":")
        values = {
            "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
            "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "384Mi"}},
            "watchNamespaces": [namespace.name for namespace in namespaces],
            "extraEnv": [{"name": name, "value": value} for name, value in SETTINGS.items()],
        }
        folder.mkdir(parents=True, exist_ok=True)
        self._values.write_text(yaml.safe_dump(values))

    def __enter__(self) -> "OperatorRelease":
        self.helm("install", *TAKEN_OVER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.uninstall()

    def helm(self, command: str, *arguments: str, chart: Path = CHART) -> None:
        """`install` or `upgrade`, and wait until all of it is ready."""
        given = ["--values", str(self._values), *arguments]
        self._namespace.helm(command, ACCOUNT, str(chart), *given, "--wait", timeout_s=_HELM_S)

    def uninstall(self) -> None:
        """All but the definitions, and what they define."""
        self._namespace.helm("uninstall", ACCOUNT, "--wait", timeout_s=_HELM_S)

    def pods(self) -> list[str]:
        """Its replicas."""
        return [pod["metadata"]["name"] for pod in self._namespace.pods(**_POD_LABELS)]

    def leader(self) -> str:
        """The pod that leads; empty while none does."""
        lease = self._namespace.find("coordination.k8s.io/v1/Lease", ACCOUNT)
        return "" if lease is None else str(lease["spec"].get("holderIdentity") or "")

    def refusals(self) -> list[Request]:
        """What its role did not let it do; nothing where nobody lets us know."""
        return refusals(self._cluster, self._namespace)

    def start(self) -> None:
        """Its Deployment does."""

    def kill(self) -> None:
        wait_until(lambda: self.leader() in self.pods(), _LED_S, lambda: "nobody leads", poll_s=_POLL_S)
        self._namespace.delete(POD, self.leader(), grace_s=0)

    def tend(self) -> None:
        """The kubelet does."""

    def log(self) -> str:
        return "\n".join(self._namespace.logs(pod) for pod in self.pods())


def refusals(cluster: Audited, namespace: Namespace) -> list[Request]:
    """What its role did not let the operator of a namespace do; nothing where nobody lets us know."""
    try:
        asked = cluster.requests(namespace.name, ACCOUNT)
    except unittest.SkipTest:
        return []
    return [request for request in asked if request.code == 403]


def define_kinds(api: Api) -> None:
    """Apply the chart's definitions, and return when they are served."""
    anywhere = api.namespace("default")
    anywhere.apply(*rendered("crds.yaml", anywhere.name, []))

    def served() -> bool:
        try:
            for kind in (FLINK_JOB, SNAPSHOT):
                anywhere.all(kind)
        except (Refused, KeyError):
            return False
        return True

    wait_until(served, _KINDS_S, lambda: "the definitions are not served", poll_s=_POLL_S)


def rendered(template: str, namespace: str, watched: Sequence[str]) -> list[Object]:
    """What the chart makes for an operator in a namespace that looks after those that are watched; none: after all."""
    command = [str(built("helm")), "template", ACCOUNT, str(CHART), "--namespace", namespace]
    command += [f"--set=watchNamespaces={{{','.join(watched)}}}"] if watched else []
    command += [f"--show-only=templates/{template}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    found: list[Any] = list(yaml.safe_load_all(done.stdout))
    return [manifest for manifest in found if manifest]
