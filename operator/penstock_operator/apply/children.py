"""A revision's children in the cluster: applied server-side as its manifests say, or removed.

What another version of the operator has rendered is left as it is while it is there: a new operator must not restart
the pods of jobs that nobody changed. It gets the new form with the job's next upgrade.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.likeness import rendered_by, sealed
from penstock_operator.clients.resources import (
    BUDGETS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    SECRETS,
    SERVICES,
    resource_of,
)
from penstock_operator.errors import Conflict
from penstock_operator.render.names import REVISION_LABEL

Json = dict[str, Any]

ORDER: Final = (SECRETS, CONFIG_MAPS, SERVICES, BUDGETS, DEPLOYMENTS)
"""What pods need comes before the pods."""
REMOVAL: Final = (DEPLOYMENTS, SERVICES, CONFIG_MAPS, BUDGETS)


async def deploy(kube: Kube, cache: Cache, owner: Owner, manifests: Sequence[Json], version: str) -> None:
    """Have all of these. `version`: of this operator."""
    for manifest in sorted(manifests, key=lambda manifest: ORDER.index(resource_of(manifest))):
        resource = resource_of(manifest)
        if resource is SECRETS:
            await _create_once(kube, manifest)
        else:
            live = cache.whole(owner, resource, manifest["metadata"]["name"])
            wanted = manifest if live is None else kept_as_rendered(live, manifest, version)
            answer = await kube.apply(resource, sealed(wanted, version))
            cache.put(resource, owner, answer)


async def remove(kube: Kube, cache: Cache, owner: Owner, revision: str) -> None:
    """Have none of a revision's. Told once is enough, as long as it is under way."""
    for resource in REMOVAL:
        for body in cache.belongings(owner, resource):
            labels = body["metadata"].get("labels") or {}
            if labels.get(REVISION_LABEL) != revision or cache.being_removed(owner, body):
                continue
            try:
                gone = await kube.delete(
                    resource, owner.namespace, body["metadata"]["name"], uid=body["metadata"]["uid"]
                )
            except Conflict:
                continue  # Another one of that name by now: the watch tells of it.
            if gone:
                cache.drop(resource, owner, body)
            else:
                cache.removing(owner, body)


def kept_as_rendered(live: Json, manifest: Json, version: str) -> Json:
    """The manifest, with what would restart pods as it is where another version of the operator made it."""
    if rendered_by(live) in (None, version):
        return manifest
    if manifest["kind"] == DEPLOYMENTS.kind:
        return {**manifest, "spec": {**manifest["spec"], "template": live["spec"]["template"]}}
    if manifest["kind"] == CONFIG_MAPS.kind:
        return {**manifest, "data": live.get("data") or {}}
    return manifest


async def _create_once(kube: Kube, manifest: Json) -> None:
    """A Secret that is there keeps what it holds: running processes know each other by it."""
    with suppress(Conflict):
        await kube.create(SECRETS, manifest["metadata"]["namespace"], manifest)
