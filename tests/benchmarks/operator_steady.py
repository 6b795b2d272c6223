"""What 1,000 steady FlinkJobs cost the operator: CPU, memory, and requests to them and to the API server.

They are objects on a real API server, made here as the operator and a cluster's controllers would have made them; one
process answers the REST of all, at an address of its own for each. A minute is measured, in which every job is looked
at once, a fifth of the statuses is due for a refresh, and the cache is compared with what is there, which by default it
is every two minutes.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

import msgspec
from tests.benchmarks.measurement import PROGRAMS, Measured
from tests.benchmarks.operated import OPERATOR, USER, Operator, client_of, control_plane, flink_job, kubeconfig_of
from tests.benchmarks.programs.jobmanagers import summary

from penstock.testing.kubernetes.control_plane import ControlPlane
from penstock_operator.apply.revisions import manifest_of
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.likeness import sealed
from penstock_operator.clients.resources import FLINK_JOBS, PODS, REVISIONS, SECRETS, resource_of
from penstock_operator.clients.rest_answers import job_answer
from penstock_operator.decide.deciding import decide
from penstock_operator.decide.facts import Deployed, JobObject, Observed, Processes, Revision
from penstock_operator.decide.naming import revision_name
from penstock_operator.decide.times import written
from penstock_operator.handlers.running import OPERATOR_VERSION
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import LifecycleState, RevisionRecord, Status
from penstock_operator.observe.objects import job_object
from penstock_operator.render.children import children
from penstock_operator.render.names import FINALIZER, Owner
from penstock_operator.render.pods import REST_PORT

JOBS: Final = 1_000
WINDOW_S: Final = 60
CHECKPOINT_S: Final = 10.0
REFRESH_S: Final = 300
CPU_TARGET: Final = 5.0
MEMORY_TARGET_MB: Final = 300.0
_SPACE: Final = "steady"
_WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
_CHECKPOINTS: Final = {"dir": "s3://state/jobs", "endpoint": "http://s3.example.com"}
_AT_ONCE: Final = 32
_SETTLED_S: Final = 5.0
_TIMEOUT_S: Final = 120.0


def measure(jobs: int = JOBS) -> list[Measured]:
    with tempfile.TemporaryDirectory() as directory, control_plane(_SPACE) as plane:
        folder = Path(directory)
        addresses = _serve(plane)
        asyncio.run(_fill(kubeconfig_of(plane, USER, folder), addresses, jobs))
        kubeconfig = kubeconfig_of(plane, OPERATOR, folder)
        with Operator(kubeconfig, folder, resync_interval_s=str(WINDOW_S)) as operator:
            operator.wait(lambda: sum(operator.passes().values()) >= jobs, "a look at each", _TIMEOUT_S)
            _settle(operator, jobs)
            return _measured(operator, jobs)


def _measured(operator: Operator, jobs: int) -> list[Measured]:
    begun, cpu_s, before, passes = time.monotonic(), operator.cpu_s(), operator.requests(), operator.passes()
    memory = 0
    while time.monotonic() < begun + WINDOW_S:
        time.sleep(0.5)
        memory = max(memory, operator.memory_bytes())
    spent = 100 * (operator.cpu_s() - cpu_s) / (time.monotonic() - begun)
    after = operator.requests()
    made = {key: number - before.get(key, 0) for key, number in after.items()}
    looks = sum(operator.passes().values()) - sum(passes.values())
    asked = sum(number for (target, *_), number in made.items() if target == "jobmanager")
    writes = {key: n for key, n in made.items() if n and key[0] == "kubernetes" and key[1] in _WRITES}
    refreshes = sum(n for (_, _, resource, _), n in writes.items() if resource == FLINK_JOBS.plural)
    others = {key: n for key, n in writes.items() if key[2] not in (FLINK_JOBS.plural, "leases")}
    assert not others, f"a steady job causes no writes but refreshes: {others}"
    assert refreshes <= 1.5 * jobs * WINDOW_S / REFRESH_S, f"{refreshes} refreshes"
    assert looks >= 0.9 * jobs, f"every job is looked at: {looks} passes"
    reads = sum(n for (target, verb, *_), n in made.items() if (target, verb) == ("kubernetes", "GET"))
    note = f"{looks} passes, {asked} requests to jobs, {refreshes} refreshes, {reads} reads of the API in {WINDOW_S} s"
    peak = f"at most {operator.memory_bytes('VmHWM') / 1e6:.0f} MB since its start"
    return [
        Measured("operator_steady_cpu", spent, CPU_TARGET, "% of a core", "less", note),
        Measured("operator_steady_memory", memory / 1e6, MEMORY_TARGET_MB, "MB", "less", peak),
        # Passes under way at the window's ends count for one of both figures.
        Measured("operator_steady_requests", round(asked / looks, 2), 1.0, "per pass", "less"),
    ]


def _settle(operator: Operator, jobs: int) -> None:
    """Until no more is done than will be: the first looks, at all at once, are over."""
    looks, few = 0, 1.5 * jobs * _SETTLED_S / WINDOW_S
    while (now := sum(operator.passes().values())) - looks > few:
        looks = now
        time.sleep(_SETTLED_S)


def _serve(plane: ControlPlane) -> Iterator[IPv4Address]:
    """Addresses within the node, all of which one process there answers at."""
    place = plane.node.place
    network = IPv4Network(f"10.{100 + place.number}.128.0/17")
    subprocess.run(["ip", "route", "add", str(network), "via", place.address], check=True)
    plane.node.run(["ip", "route", "add", "local", str(network), "dev", "lo"])
    plane.node.start(
        "jobmanagers", [sys.executable, str(PROGRAMS / "jobmanagers.py"), str(REST_PORT), str(CHECKPOINT_S)]
    )
    return network.hosts()


async def _fill(kubeconfig: Path, addresses: Iterator[IPv4Address], jobs: int) -> None:
    """The API server, with so many jobs that have been running for long, and are due for a refresh in turn."""
    gate = asyncio.Semaphore(_AT_ONCE)
    begun = time.time()
    async with client_of(kubeconfig) as kube:

        async def make(number: int) -> None:
            async with gate:
                await _Job(f"job-{number:04}", str(next(addresses)), begun - number * REFRESH_S / jobs).make(kube)

        await asyncio.gather(*map(make, range(jobs)))


@dataclass(frozen=True)
class _Job:
    """One of them, with all that belongs to it."""

    name: str
    address: str
    refreshed_at: float
    """Seconds since 1970."""

    async def make(self, kube: Kube) -> None:
        wanted = flink_job(self.name, _CHECKPOINTS)
        wanted["metadata"]["finalizers"] = [FINALIZER]
        body = await kube.create(FLINK_JOBS, _SPACE, wanted)
        job = job_object(body)
        assert job.spec is not None, job.errors
        revision = revision_name(job)
        owner = Owner(_SPACE, self.name, job.uid)
        for manifest in children(owner, revision, job.spec, script=None, token="0" * 64):
            if resource_of(manifest) is not SECRETS:
                made = await kube.create(resource_of(manifest), _SPACE, sealed(manifest, OPERATOR_VERSION))
                if manifest["kind"] == "Deployment":
                    await self._run(kube, made)
        kept = manifest_of(body, revision, 1, job.spec)
        await kube.create(REVISIONS, _SPACE, kept)
        status = self._status(job, revision, job.spec)
        body["status"] = msgspec.to_builtins(status)
        await kube.replace(FLINK_JOBS, _SPACE, body, subresource="status")

    async def _run(self, kube: Kube, deployment: dict[str, Any]) -> None:
        """One pod of it, as controllers, scheduler and kubelet leave it."""
        template = deployment["spec"]["template"]
        name = f"{deployment['metadata']['name']}-6d4cf56db6"
        made_by = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": str(uuid.uuid4())}
        owners = [{**made_by, "controller": True, "blockOwnerDeletion": True}]
        metadata = {**template["metadata"], "name": f"{name}-x2x9k", "ownerReferences": owners}
        spec = {**template["spec"], "nodeName": "node1"}
        pod = await kube.create(PODS, _SPACE, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        pod["status"] = _running(pod, self.address)
        await kube.replace(PODS, _SPACE, pod, subresource="status")

    def _status(self, job: JobObject, revision: str, spec: FlinkJobSpec) -> Status:
        """As the operator itself would have it, from its own decision."""
        now = time.time()
        record = RevisionRecord(revision, 1, started_at=written(int(now * 1000)), stable=True)
        rough = Status(
            observed_generation=1,
            lifecycle_state=LifecycleState.STABLE,
            active_revision=revision,
            stable_revision=revision,
            revisions=(record,),
        )
        running = Processes(1, 1, 0)
        seen = Observed(
            int(now * 1000),
            replace(job, status=rough),
            revisions=(Revision(revision, 1, spec),),
            deployed=(Deployed(revision, running, running),),
            answers={revision: job_answer(summary(self.address, CHECKPOINT_S, now))},
        )
        status = decide(seen).status
        refreshed = written(int(self.refreshed_at * 1000))
        return msgspec.structs.replace(
            status, checkpoints=msgspec.structs.replace(status.checkpoints, refreshed_at=refreshed)
        )


def _running(pod: dict[str, Any], address: str) -> dict[str, Any]:
    """What a kubelet says of a pod whose containers run."""
    now = pod["metadata"]["creationTimestamp"]
    types = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    conditions = [
        {"type": type, "status": "True", "lastProbeTime": None, "lastTransitionTime": now, "observedGeneration": 1}
        for type in types
    ]
    containers = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": f"{container['image']}@sha256:{'5' * 64}",
            "containerID": f"containerd://{'7' * 64}",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "lastState": {},
            "state": {"running": {"startedAt": now}},
            "resources": container.get("resources", {}),
            "volumeMounts": [
                {**mount, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else mount
                for mount in container["volumeMounts"]
            ],
        }
        for container in pod["spec"]["containers"]
    ]
    return {
        "phase": "Running",
        "conditions": conditions,
        "containerStatuses": containers,
        "hostIP": "10.0.0.1",
        "hostIPs": [{"ip": "10.0.0.1"}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "qosClass": "Burstable",
        "startTime": now,
    }


if __name__ == "__main__":
    for row in measure():
        print(row)
