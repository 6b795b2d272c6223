"""200 FlinkJobs created at once on a real API server: p99 from a job's creation until all its children are applied.

Beyond what the API server takes by itself: that is the same for 200 more, to which a client like the operator's applies
the same children directly, all at once, as soon as all are created: otherwise those that are served last would be
created late. Times are the API server's own, from its audit log.
"""

import asyncio
import base64
import re
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.measurement import Measured
from tests.benchmarks.operated import (
    NAMESPACE,
    OPERATOR,
    USER,
    Operator,
    client_of,
    control_plane,
    count,
    flink_job,
    kubeconfig_of,
    seconds,
)

from penstock.testing.kubernetes.control_plane import ControlPlane, Request
from penstock.testing.services import Minio, running_minio
from penstock_operator.apply.children import deploy
from penstock_operator.clients.cache import Cache
from penstock_operator.clients.cache import Owner as CacheOwner
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import CHILDREN, DEPLOYMENTS, FLINK_JOBS, SECRETS
from penstock_operator.model.validation import validate_job
from penstock_operator.render.children import children
from penstock_operator.render.names import Owner

JOBS: Final = 200
TARGET_S: Final = 5.0
REFUSED_TARGET: Final = 0.05
"""409 and 429, for each job."""
OPERATED: Final = "operated"
DIRECT: Final = "direct"
_WATCHES: Final = 8
_TIMEOUT_S: Final = 120.0
_CHILDREN: Final = frozenset(resource.plural for resource in CHILDREN)
_NAME: Final = re.compile(r"job-\d{4}")


def measure(jobs: int = JOBS) -> list[Measured]:
    with (
        tempfile.TemporaryDirectory() as directory,
        running_minio(Path(directory) / "minio") as minio,
        control_plane(OPERATED, DIRECT) as plane,
    ):
        return _measured(plane, minio, Path(directory), jobs)


def _measured(plane: ControlPlane, minio: Minio, folder: Path, jobs: int) -> list[Measured]:
    checkpoints = _checkpoints(plane, minio)
    manifests = [flink_job(f"job-{number:04}", checkpoints) for number in range(jobs)]
    user = kubeconfig_of(plane, USER, folder)
    with Operator(kubeconfig_of(plane, OPERATOR, folder), folder) as operator:
        plane.wait(lambda: _watched(plane), "the operator's watches")
        asyncio.run(_create(user, manifests))
        operator.wait(lambda: count(plane, DEPLOYMENTS, OPERATED) == 2 * jobs, "all children", _TIMEOUT_S)
        codes = Counter(request.code for request in plane.requests(NAMESPACE, OPERATOR))
        cpu_s = operator.cpu_s()
    asyncio.run(_apply_directly(user, manifests))
    asked = plane.requests(NAMESPACE, OPERATOR) + plane.requests(NAMESPACE, USER)
    mine, direct = _times(asked, OPERATED), _times(asked, DIRECT)
    assert len(mine) == len(direct) == jobs, "every job has its children"
    beyond = _p99(mine) - _p99(direct)
    note = f"{_p99(mine):.1f} s, {_p99(direct):.1f} s by the API server alone; median {statistics.median(mine):.1f} s"
    refused = f"{codes[409]} times 409, {codes[429]} times 429 in {sum(codes.values())} requests; {cpu_s:.1f} s of CPU"
    return [
        Measured("operator_burst", beyond, TARGET_S, "s beyond API server", "less", note),
        Measured(
            "operator_burst_refused", (codes[409] + codes[429]) / jobs, REFUSED_TARGET, "per job", "less", refused
        ),
    ]


async def _create(kubeconfig: Path, manifests: list[dict[str, Any]]) -> None:
    async with client_of(kubeconfig) as kube:
        await asyncio.gather(*(kube.create(FLINK_JOBS, OPERATED, manifest) for manifest in manifests))


async def _apply_directly(kubeconfig: Path, manifests: list[dict[str, Any]]) -> None:
    async with client_of(kubeconfig) as kube:
        made = await asyncio.gather(*(kube.create(FLINK_JOBS, DIRECT, manifest) for manifest in manifests))
        await asyncio.gather(*(_children_of(kube, body) for body in made))


async def _children_of(kube: Kube, body: dict[str, Any]) -> None:
    name = body["metadata"]["name"]
    spec, errors = validate_job(body["spec"])
    assert spec is not None and not errors, errors
    owner = Owner(DIRECT, name, body["metadata"]["uid"])
    made = children(owner, "r1-abcde", spec, script=None, token="0" * 64)
    await deploy(kube, Cache(clock=time.monotonic), CacheOwner(DIRECT, name), made, "benchmark")


def _times(asked: list[Request], namespace: str) -> list[float]:
    """Of each job: from its creation to the last of its children."""
    created: dict[str, float] = {}
    applied: defaultdict[str, float] = defaultdict(float)
    for request in asked:
        if request.namespace != namespace or (matched := _NAME.match(request.name)) is None:
            continue
        if request.resource == FLINK_JOBS.plural and request.verb == "create":
            created[matched[0]] = seconds(request.answered)
        elif request.resource in _CHILDREN and request.verb in ("create", "patch"):
            applied[matched[0]] = max(applied[matched[0]], seconds(request.answered))
    return [applied[name] - at for name, at in created.items()]


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]


def _watched(plane: ControlPlane) -> bool:
    watched = {request.resource for request in plane.requests(NAMESPACE, OPERATOR) if request.verb == "watch"}
    return len(watched) == _WATCHES


def _checkpoints(plane: ControlPlane, minio: Minio) -> dict[str, Any]:
    keys = {"AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key, "AWS_REGION": "us-east-1"}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}
    secret = {"apiVersion": "v1", "kind": SECRETS.kind, "metadata": {"name": "s3"}, "data": data}
    plane.api.namespace(OPERATED).apply(secret)
    where = f"{minio.new_bucket()}/jobs"
    return {"dir": where, "endpoint": minio.endpoint, "credentialsSecretRef": {"name": "s3"}}


if __name__ == "__main__":
    for row in measure():
        print(row)
