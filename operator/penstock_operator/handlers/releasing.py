"""What an uninstall needs: the operator stopped, and none of its finalizers left to wait for it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from penstock_operator.apply.applying import finalizer_patch
from penstock_operator.clients.kube import Json, Kube, connect
from penstock_operator.clients.resources import DEPLOYMENTS, FLINK_JOBS, LEASES, SNAPSHOTS, Resource
from penstock_operator.errors import Conflict, Missing, OperatorError

log: Final = logging.getLogger(__name__)

PAGE: Final = 500
POLL_S: Final = 0.5
STOP_TIMEOUT_S: Final = 90.0
"""Longer than a leader that was killed is believed in."""


async def release_all(namespaces: Sequence[str], *, own_namespace: str, lease: str, deployment: str | None) -> None:
    """OperatorError when something could not be done; it may be asked for again."""
    kube = Kube(await connect(), fence=lambda: None, count=lambda verb, resource, status: None)
    try:
        if deployment is not None:
            await _stop(kube, own_namespace, deployment)
            await _wait_unled(kube, own_namespace, lease)
        for resource in (FLINK_JOBS, SNAPSHOTS):
            for namespace in namespaces or (None,):
                await _release(kube, resource, namespace)
    finally:
        await kube.close()


async def _stop(kube: Kube, namespace: str, deployment: str) -> None:
    try:
        await kube.merge(DEPLOYMENTS, namespace, deployment, {"spec": {"replicas": 0}})
    except Missing:
        return
    log.info("operator stopped", extra={"deployment": deployment})


async def _wait_unled(kube: Kube, namespace: str, lease: str) -> None:
    """Until nobody leads: given up, or not renewed while we looked."""
    seen = ""
    loop = asyncio.get_running_loop()
    deadline_s, changed_s = loop.time() + STOP_TIMEOUT_S, loop.time()
    while loop.time() < deadline_s:
        try:
            found = await kube.get(LEASES, namespace, lease)
        except Missing:
            return
        spec = found.get("spec") or {}
        if found["metadata"]["resourceVersion"] != seen:
            seen, changed_s = found["metadata"]["resourceVersion"], loop.time()
        if not spec.get("holderIdentity") or loop.time() - changed_s > int(spec.get("leaseDurationSeconds") or 0):
            return
        await asyncio.sleep(POLL_S)
    raise OperatorError(
        f"the operator has not stopped within {STOP_TIMEOUT_S:g} s: is another one using Lease {lease}?"
    )


async def _release(kube: Kube, resource: Resource, namespace: str | None) -> None:
    try:
        found = await kube.list_all(resource, namespace, page=PAGE)
    except Missing:
        return  # Its definition has gone, and all objects with it.
    for body in found:
        await _release_one(kube, resource, body)


async def _release_one(kube: Kube, resource: Resource, body: Json) -> None:
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    while (patch := finalizer_patch(body, False)) is not None:
        try:
            await kube.merge(resource, namespace, name, patch)
        except Missing:
            return
        except Conflict:
            body = await kube.get(resource, namespace, name)
            continue
        log.info("finalizer taken off", extra={"kind": resource.kind, "namespace": namespace, "object": name})
        return
