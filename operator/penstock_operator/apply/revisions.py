"""Keeps versions of a FlinkJob's spec as ControllerRevisions.

The content of a ControllerRevision can never be changed. A revision that is kept again with another spec gets another
object, made before the old one goes: whenever the operator dies, the newest of a name is the one that counts.
"""

import hashlib
import json
from typing import Any

from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import REVISIONS
from penstock_operator.errors import Conflict, Missing
from penstock_operator.model.spec import FlinkJobSpec, to_json
from penstock_operator.render import names
from penstock_operator.render.names import REVISION_LABEL

Json = dict[str, Any]


async def keep(kube: Kube, cache: Cache, body: Json, revision: str, generation: int, spec: FlinkJobSpec) -> None:
    """Have this spec under this name, and no other."""
    owner = Owner(body["metadata"]["namespace"], body["metadata"]["name"])
    manifest = manifest_of(body, revision, generation, spec)
    try:
        kept = await kube.create(REVISIONS, owner.namespace, manifest)
    except Conflict:
        kept = await kube.get(REVISIONS, owner.namespace, manifest["metadata"]["name"])
    cache.put(REVISIONS, owner, kept)
    for old in named(cache, owner, revision):
        if old["metadata"]["name"] != kept["metadata"]["name"]:
            await _delete(kube, cache, owner, old)


async def forget(kube: Kube, cache: Cache, owner: Owner, revision: str) -> None:
    for old in named(cache, owner, revision):
        await _delete(kube, cache, owner, old)


def named(cache: Cache, owner: Owner, revision: str) -> list[Json]:
    return [
        body
        for body in cache.belongings(owner, REVISIONS)
        if (body["metadata"].get("labels") or {}).get(REVISION_LABEL) == revision
    ]


def manifest_of(body: Json, revision: str, generation: int, spec: FlinkJobSpec) -> Json:
    metadata = body["metadata"]
    maker = names.Owner(metadata["namespace"], metadata["name"], metadata["uid"])
    data = to_json(spec)
    digest = hashlib.sha256(json.dumps([generation, data], sort_keys=True).encode()).hexdigest()[:8]
    return {
        "apiVersion": REVISIONS.api_version,
        "kind": REVISIONS.kind,
        "metadata": {
            "name": f"{maker.controller_revision(revision)}-{digest}",
            "namespace": metadata["namespace"],
            "labels": maker.labels(revision),
            "ownerReferences": [maker.reference()],
        },
        "revision": generation,
        "data": {"spec": data},
    }


async def _delete(kube: Kube, cache: Cache, owner: Owner, old: Json) -> None:
    try:
        await kube.delete(REVISIONS, owner.namespace, old["metadata"]["name"], uid=old["metadata"]["uid"])
    except (Conflict, Missing):
        return  # It is another one by now.
    cache.drop(REVISIONS, owner, old)
