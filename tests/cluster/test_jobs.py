"""A job in pods, by manifests written by hand: the image, Services, S3 and real kills, with nobody looking after it."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from penstock.base.ids import JobId, new_job_id
from penstock.testing.kubernetes.api import Namespace, Object, Refused
from penstock.testing.kubernetes.cluster import Cluster
from penstock.testing.oracle import Expectation, read_output
from penstock.testing.services import Minio
from penstock.testing.steps import wait_until

NUMBERS: Final = 3000
PARALLELISM: Final = 2
SCRIPT: Final = "/opt/penstock/code/penstock/testing/jobs.py"
GATE: Final = "/tmp/gate"
REST: Final = "services/jobmanager:8081"
DEADLINE_S: Final = 60.0
SETTINGS: Final = {
    "execution.checkpointing.interval": "300ms",
    "parallelism.default": str(PARALLELISM),
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "100",
    "restart-strategy.fixed-delay.delay": "100ms",
}


def test_a_job_in_pods_loses_nothing_when_both_kinds_of_them_are_killed(
    cluster: Cluster, namespace: Namespace, image: str, cluster_minio: Minio
) -> None:
    bucket, job = cluster_minio.new_bucket(), new_job_id()
    settings = {**SETTINGS, **cluster_minio.options, "execution.checkpointing.dir": f"{bucket}/checkpoints"}
    namespace.apply(*manifests(image, job, f"{bucket}/output", settings))
    await_checkpoints(namespace, job)

    for app in ("taskmanager", "jobmanager"):
        pod = namespace.pods(app=app)[0]["metadata"]["name"]
        cluster.kill_container(namespace.name, pod)
        namespace.wait("v1/Pod", pod, lambda found: found["status"]["containerStatuses"][0]["restartCount"] == 1)
        await_checkpoints(namespace, job)
    for pod in namespace.pods(app="taskmanager"):
        namespace.execute(pod["metadata"]["name"], "touch", f"{GATE}/finish")

    wait_until(lambda: state_of(namespace, job) == "FINISHED", DEADLINE_S, lambda: state_of(namespace, job))
    committed = read_output(f"{bucket}/output", cluster_minio)
    assert Expectation.of("count", NUMBERS, PARALLELISM).differences(committed) == []


def manifests(image: str, job: JobId, output: str, settings: Mapping[str, str]) -> list[Object]:
    """A JobManager that drives the job, its Service, and TaskManagers with a slot each."""
    environment = [{"name": "PENSTOCK_SECRET", "value": secrets.token_hex(8)}]
    definitions = [f"-D{key}={value}" for key, value in settings.items()]
    script = ["count", f"--gate={GATE}", f"--output={output}", f"--numbers={NUMBERS}", "--rate=200"]
    drive = ["jobmanager", f"--job={SCRIPT}", f"--job-id={job}", "--host=0.0.0.0", "--linger=600", *definitions, "--"]
    serve = ["taskmanager", "--jobmanager=jobmanager:6123", "--slots=1", "--host=$(POD_IP)", *definitions]
    ports = [{"name": "rest", "port": 8081}, {"name": "rpc", "port": 6123}]
    service = {"selector": {"app": "jobmanager"}, "ports": ports, "publishNotReadyAddresses": True}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "jobmanager"}, "spec": service},
        pod("jobmanager", "jobmanager", image, [*drive, *script], environment),
        *(pod(f"taskmanager-{index}", "taskmanager", image, serve, environment) for index in range(PARALLELISM)),
    ]


def pod(name: str, app: str, image: str, command: list[str], environment: list[dict[str, Any]]) -> Object:
    """Such as a careful administrator asks for: no rights, and nothing to write to but /tmp."""
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    main = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", f'mkdir -p {GATE} && exec "$@"', "sh", *command],
        "env": [*environment, address],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
    }
    spec = {"containers": [main], "volumes": [{"name": "tmp", "emptyDir": {}}], "enableServiceLinks": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": app}}, "spec": spec}


def await_checkpoints(namespace: Namespace, job: JobId) -> None:
    """Until the job as it runs now, whichever JobManager drives it, has completed one more."""
    before = newest_checkpoint(namespace, job)
    wait_until(
        lambda: state_of(namespace, job) == "RUNNING" and newest_checkpoint(namespace, job) > before,
        DEADLINE_S,
        lambda: f"no checkpoint after {before}; the job is {state_of(namespace, job)}",
    )


def newest_checkpoint(namespace: Namespace, job: JobId) -> int:
    latest = (asked(namespace, f"/jobs/{job}/checkpoints") or {}).get("latest", {}).get("completed")
    return latest["id"] if latest else 0


def state_of(namespace: Namespace, job: JobId) -> str:
    return str((asked(namespace, f"/jobs/{job}") or {}).get("state", "UNKNOWN"))


def asked(namespace: Namespace, path: str) -> Any:
    try:
        return namespace.reach(REST, f"/v1{path}")
    except Refused:
        return None
