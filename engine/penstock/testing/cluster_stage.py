"""The operator's scenarios on a real cluster: jobs in pods, S3 beside it, the operator under its own service account.

Several stages may share an operator; one that kills it has its own.
"""

import base64
import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final

from penstock.testing.cluster_operator import FLINK_JOB, SNAPSHOT, Operator
from penstock.testing.jobs import RAISE
from penstock.testing.kubernetes.api import POD, Namespace, Refused
from penstock.testing.kubernetes.cluster import Cluster
from penstock.testing.kubernetes.elsewhere import ClusterElsewhere
from penstock.testing.oracle import read_output
from penstock.testing.paced import FINISH, HURRY
from penstock.testing.services import S3Server
from penstock.testing.stages import NAME, Manifest, Process, Seen, Told
from penstock.testing.steps import wait_until

SCRIPT: Final = "/opt/penstock/code/penstock/testing/jobs.py"
GATE: Final = "/tmp"
_CONFIGURATION: Final = {
    "execution.checkpointing.interval": "1 s",
    "execution.checkpointing.tolerable-failed-checkpoints": "1000",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "1000",
    "restart-strategy.fixed-delay.delay": "500 ms",
}
_RESOURCES: Final = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "768Mi"}}
_OF_JOB: Final = {"penstock.dev/job": NAME}
_LOG_LINES: Final = 100
_POLL_S: Final = 0.5
"""Who asks more often takes from the pods what they need to get anywhere."""
TIMEOUT_S: Final = 150.0
"""Pods take longer than processes, and several stages share a node."""


@final
class ClusterStage:
    """See `penstock.testing.stages.Stage`."""

    def __init__(
        self,
        folder: Path,
        cluster: Cluster | ClusterElsewhere,
        namespace: Namespace,
        image: str,
        minio: S3Server,
        operator: Operator,
        *,
        numbers: int = 10_000,
        rate: int = 100,
    ) -> None:
        """`operator`: one that runs, and looks after this namespace."""
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
        self.operator = operator
        self._cluster = cluster
        self._refusal = ""

    def __enter__(self) -> "ClusterStage":
        self.namespace.apply(self._secret())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.story())
        self.delete()  # Others need the room that its pods take.

    # The manifest.

    def manifest(self, **job: Any) -> Manifest:
        process = {"resources": _RESOURCES}
        wanted = {"script": SCRIPT, "args": self.arguments(), **job}
        spec: Manifest = {
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "job": {field: value for field, value in wanted.items() if value is not None},
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

    def start_operator(self) -> None:
        self.operator.start()

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
            assert not self._refusal, self._refusal
            self.operator.tend()
            with contextlib.suppress(Refused):
                seen = self.seen()
                if seen is not None:
                    last[:] = [seen]
                return seen is not None and holds(seen)
            return False

        self.until(found, lambda: f"never came: {what}; last seen: {[s.status for s in last]}", timeout_s)
        return last[-1]

    def wait_gone(self, timeout_s: float = TIMEOUT_S) -> None:
        self.until(
            lambda: self.seen() is None and not self.namespace.all(POD, _OF_JOB),
            lambda: f"left: {self.seen()} {[pod['metadata']['name'] for pod in self.namespace.all(POD, _OF_JOB)]}",
            timeout_s,
        )

    def until(self, holds: Callable[[], bool], found: Callable[[], str], timeout_s: float = TIMEOUT_S) -> None:
        """Ask the cluster again and again, but not all the time."""
        wait_until(holds, timeout_s, found, poll_s=_POLL_S)

    def story(self) -> str:
        seen = self.seen()
        log = [line for line in self.operator.log().splitlines() if self.namespace.name in line]
        return "\n".join([*log[-_LOG_LINES:], str(seen.status if seen else seen), self.namespace.describe()])

    # What is done to it.

    def delete(self) -> None:
        self.namespace.delete(FLINK_JOB, NAME)

    def kill(self, *processes: Process) -> None:
        victims = {process: self.pods(process)[0] for process in processes if process != "operator"}
        if "operator" in processes:
            self.operator.kill()
        for pod in victims.values():
            self._cluster.kill_container(self.namespace.name, pod)

    def pods(self, process: Process) -> list[str]:
        """Of the active revision, all of which run; waits for them."""
        found: list[str] = []

        def there() -> bool:
            seen = self.seen()
            labels = {"penstock.dev/revision": seen.revision if seen else "", "app.kubernetes.io/component": process}
            pods = [pod for pod in self.namespace.all(POD, labels) if "deletionTimestamp" not in pod["metadata"]]
            found[:] = [pod["metadata"]["name"] for pod in pods if _runs(pod)]
            return bool(found) and len(found) == len(pods)

        self.until(there, lambda: f"there is no {process}")
        return found

    def raise_once(self) -> None:
        self._touch(f"{RAISE}-numbers")

    def raise_always(self) -> None:
        """A folder it cannot take away, as it does with the file that makes it raise once."""
        for pod in self.pods("taskmanager"):
            self.namespace.execute(pod, "mkdir", f"{GATE}/{RAISE}-numbers")

    def let_finish(self) -> None:
        self._touch(HURRY, FINISH)

    def _touch(self, *names: str) -> None:
        """Wherever tasks may run; a pod that goes meanwhile, because the job has shrunk, has none of them."""
        for pod in self.pods("taskmanager"):
            try:
                self.namespace.execute(pod, "touch", *(f"{GATE}/{name}" for name in names))
            except AssertionError:
                if any(found["metadata"]["name"] == pod for found in self.namespace.pods()):
                    raise

    def _secret(self) -> Manifest:
        keys = {"AWS_ACCESS_KEY_ID": self.minio.access_key, "AWS_SECRET_ACCESS_KEY": self.minio.secret_key}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in (keys | _REGION).items()}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "data": data}

    def stored(self, uri: str) -> list[str]:
        """The keys below a folder of its bucket."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        pages = self.minio.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


def _runs(pod: Manifest) -> bool:
    """Its phase says the same while its container has ended and is started again."""
    return any("running" in status["state"] for status in pod["status"].get("containerStatuses", ()))


_REGION: Final = {"AWS_REGION": "us-east-1"}
