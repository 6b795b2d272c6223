"""The operator's scenarios on a real cluster: jobs in pods, S3 beside it, the operator under its own service account.

The operator is a process of this machine, so that a test can kill it in the middle of anything, with the rights that
the chart gives it in this one namespace and no others. `refusals` tells whether those ever failed to suffice.
"""

import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final

import yaml

from penstock.testing.jobs import RAISE
from penstock.testing.kubernetes.api import POD, Namespace, Refused
from penstock.testing.kubernetes.binaries import REPOSITORY, built
from penstock.testing.kubernetes.cluster import Cluster
from penstock.testing.kubernetes.control_plane import Request
from penstock.testing.oracle import read_output
from penstock.testing.paced import FINISH
from penstock.testing.services import Minio
from penstock.testing.stages import NAME, Manifest, Process, Seen, Told
from penstock.testing.steps import wait_until

CHART: Final = REPOSITORY / "charts" / "penstock-operator"
FLINK_JOB: Final = "penstock.dev/v1alpha1/FlinkJob"
SNAPSHOT: Final = "penstock.dev/v1alpha1/FlinkStateSnapshot"
ACCOUNT: Final = "penstock-operator"
SCRIPT: Final = "/opt/penstock/code/penstock/testing/jobs.py"
GATE: Final = "/tmp"
_CONFIGURATION: Final = {
    "execution.checkpointing.interval": "300 ms",
    "execution.checkpointing.tolerable-failed-checkpoints": "1000",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "1000",
    "restart-strategy.fixed-delay.delay": "100 ms",
}
_RESOURCES: Final = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "768Mi"}}
_LOG_SHOWN: Final = 8_000
_DEPOSED: Final = 75
_POLL_S: Final = 0.1
"""Each look costs the API server as much as it costs us, and both share the machine with what is looked at."""
TIMEOUT_S: Final = 100.0
"""Pods take longer than processes, and several stages share a node."""


@final
class ClusterStage:
    """See `penstock.testing.stages.Stage`."""

    def __init__(
        self,
        folder: Path,
        cluster: Cluster,
        namespace: Namespace,
        image: str,
        minio: Minio,
        *,
        numbers: int = 2_000,
        rate: int = 200,
        home: Namespace | None = None,
    ) -> None:
        """`home`: where the operator lives if not beside the job; it looks after all namespaces then."""
        bucket = minio.new_bucket()
        self.folder = folder
        self.namespace = namespace
        self.image = image
        self.minio = minio
        self.numbers = numbers
        self.rate = rate
        self.checkpoints = f"{bucket}/checkpoints"
        self.savepoints = f"{bucket}/savepoints"
        self.output = f"{bucket}/output"
        self._cluster = cluster
        self._home = home or namespace
        self._watched = (namespace.name,) if home is None else ()
        self._operator: subprocess.Popen[bytes] | None = None
        self._refusal = ""
        self._forgiven = 0

    def __enter__(self) -> "ClusterStage":
        self._home.apply(*rendered(self._home.name, "templates/crds.yaml"))
        self._await_kinds()
        self._home.apply(*rendered(self._home.name, "templates/rbac.yaml", watched=self._watched))
        self.namespace.apply(self._secret())
        self.start_operator()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.story())
        self.stop_operator()
        self._release()
        if error is None:
            assert self.refusals() == [], "the operator asked for what its role does not allow"

    # The manifest.

    def manifest(self, **job: Any) -> Manifest:
        process = {"resources": _RESOURCES}
        spec: Manifest = {
            "image": self.image,
            "imagePullPolicy": "Never",
            "job": {"script": SCRIPT, "args": self.arguments(), **job},
            "flinkConfiguration": dict(_CONFIGURATION),
            "jobManager": dict(process),
            "taskManager": dict(process),
            "checkpoints": {
                "dir": self.checkpoints,
                "savepointDir": self.savepoints,
                "endpoint": self.minio.endpoint,
                "credentialsSecretRef": {"name": "s3"},
            },
        }
        return {"apiVersion": "penstock.dev/v1alpha1", "kind": "FlinkJob", "metadata": {"name": NAME}, "spec": spec}

    def arguments(self, **changes: str | int) -> list[str]:
        given = {"gate": GATE, "output": self.output, "numbers": self.numbers, "rate": self.rate, **changes}
        return ["count", *(part for name, value in given.items() for part in (f"--{name}", str(value)))]

    def apply(self, *manifests: Manifest) -> None:
        try:
            self.namespace.apply(*manifests)
            self._refusal = ""
        except Refused as refused:
            self._refusal = str(refused)

    def refusal(self) -> str:
        """The API server's, or the operator's where the schema let it pass."""
        if not self._refusal:
            self._refusal = self.wait("the manifest is refused", lambda seen: bool(seen.error)).error
        return self._refusal

    # The operator.

    def start_operator(self) -> None:
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry))
        kubeconfig = self._home.kubeconfig_of(ACCOUNT, self.folder / "kubeconfig")
        environment |= {"KUBECONFIG": str(kubeconfig), "NO_PROXY": "*"}
        environment["PENSTOCK_OPERATOR_STEADY_INTERVAL_S"] = "1"
        command = [sys.executable, "-m", "penstock_operator", "run"]
        command += [f"--namespace={name}" for name in self._watched]
        command += ["--own-namespace", self._home.name, "--identity", "stage", "--lease", ACCOUNT]
        command += ["--health-port", "0", "--metrics-port", "0", "--log-format", "text"]
        with (self.folder / "operator.log").open("ab") as log:
            self._operator = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop_operator(self) -> int | None:
        """As the kubelet would; its exit code."""
        if self._operator is None:
            return None
        self._operator.terminate()
        try:
            return self._operator.wait(20)
        except subprocess.TimeoutExpired:
            self._operator.kill()
            return self._operator.wait()

    def log(self) -> str:
        file = self.folder / "operator.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def refusals(self) -> list[Request]:
        """What the operator's role did not let it do."""
        asked = self._cluster.requests(self._home.name, ACCOUNT)
        return [request for request in asked if request.code == 403][self._forgiven :]

    def forgive(self) -> None:
        """What was refused so far: an API server that was just started knows no roles for a moment."""
        self._forgiven += len(self.refusals())

    # What is seen.

    def seen(self) -> Seen | None:
        found = self.namespace.find(FLINK_JOB, NAME)
        return None if found is None else Seen(found)

    def snapshot(self, name: str) -> Manifest | None:
        found = self.namespace.find(SNAPSHOT, name)
        return None if found is None else dict(found.get("status") or {})

    def events(self) -> list[Told]:
        return [Told(e["type"], e["reason"], e.get("message", "")) for e in self.namespace.events(NAME)]

    def committed(self) -> list[str]:
        return read_output(self.output, self.minio)

    def wait(self, what: str, holds: Callable[[Seen], bool], timeout_s: float = TIMEOUT_S) -> Seen:
        last: list[Seen] = []

        def found() -> bool:
            self._tend()
            with contextlib.suppress(Refused):
                seen = self.seen()
                if seen is not None:
                    last[:] = [seen]
                if seen is not None and holds(seen):
                    return True
            time.sleep(_POLL_S)
            return False

        wait_until(found, timeout_s, lambda: f"never came: {what}; last seen: {[s.status for s in last]}")
        return last[-1]

    def wait_gone(self, timeout_s: float = TIMEOUT_S) -> None:
        wait_until(
            lambda: self.seen() is None and not self.namespace.all(POD),
            timeout_s,
            lambda: f"left: {self.seen()} {[pod['metadata']['name'] for pod in self.namespace.all(POD)]}",
        )

    def story(self) -> str:
        seen = self.seen()
        return "\n".join([self.log()[-_LOG_SHOWN:], str(seen.status if seen else seen), self.namespace.describe()])

    # What is done to it.

    def delete(self) -> None:
        self.namespace.delete(FLINK_JOB, NAME)

    def kill(self, *processes: Process) -> None:
        for process in processes:
            if process == "operator":
                assert self._operator is not None, "started"
                self._operator.send_signal(signal.SIGKILL)
                self._operator.wait()
            else:
                self._cluster.kill_container(self.namespace.name, self.pods(process)[0])

    def pods(self, process: Process) -> list[str]:
        """Of the active revision, all of which run; waits for them."""
        found: list[str] = []

        def there() -> bool:
            seen = self.seen()
            labels = {"penstock.dev/revision": seen.revision if seen else "", "app.kubernetes.io/component": process}
            pods = [pod for pod in self.namespace.all(POD, labels) if "deletionTimestamp" not in pod["metadata"]]
            found[:] = [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]
            return bool(found) and len(found) == len(pods)

        wait_until(there, TIMEOUT_S, lambda: f"there is no {process}")
        return found

    def raise_once(self) -> None:
        self._touch(f"{RAISE}-numbers")

    def let_finish(self) -> None:
        self._touch(FINISH)

    def _tend(self) -> None:
        """Start the operator again if it gave up its lead, which on a busy machine it may: a kubelet would."""
        if self._operator is not None and self._operator.poll() == _DEPOSED:
            self.start_operator()

    def _touch(self, name: str) -> None:
        for pod in self.pods("taskmanager"):
            self.namespace.execute(pod, "touch", f"{GATE}/{name}")

    def _secret(self) -> Manifest:
        keys = {"AWS_ACCESS_KEY_ID": self.minio.access_key, "AWS_SECRET_ACCESS_KEY": self.minio.secret_key}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in (keys | _REGION).items()}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "data": data}

    def _await_kinds(self) -> None:
        def served() -> bool:
            try:
                self.seen()
                self.namespace.all(SNAPSHOT)
            except (Refused, KeyError):
                return False
            return True

        wait_until(served, TIMEOUT_S, lambda: "the definitions are not served")

    def _release(self) -> None:
        """So that the namespace can go without the operator."""
        for kind in (FLINK_JOB, SNAPSHOT):
            for found in self.namespace.all(kind):
                with contextlib.suppress(Refused):
                    self.namespace.patch(kind, found["metadata"]["name"], {"metadata": {"finalizers": None}})


_REGION: Final = {"AWS_REGION": "us-east-1"}


def rendered(
    namespace: str, *templates: str, values: Path | None = None, watched: Sequence[str] | None = None
) -> list[Manifest]:
    """What the chart makes for an operator in this namespace that looks after it alone, or after `watched`, or all."""
    names = (namespace,) if watched is None else watched
    command = [str(built("helm")), "template", ACCOUNT, str(CHART), "--namespace", namespace]
    command += ["--set", f"watchNamespaces={{{','.join(names)}}}"] if names else []
    command += [f"--show-only={template}" for template in templates]
    command += [] if values is None else ["--values", str(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]
