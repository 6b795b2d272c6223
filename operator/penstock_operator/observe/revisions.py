"""The kept versions of a FlinkJob's spec, from the cache. Pure but for the cache it reads."""

import logging
from typing import Any, Final

import msgspec

from penstock_operator.clients.cache import Cache, Owner, version_of
from penstock_operator.clients.resources import REVISIONS
from penstock_operator.decide.facts import Revision
from penstock_operator.model.spec import FlinkJobSpec, from_json
from penstock_operator.render.names import REVISION_LABEL

log: Final = logging.getLogger(__name__)

Json = dict[str, Any]


def revisions(cache: Cache, owner: Owner, uid: str) -> tuple[Revision, ...]:
    """Those of this very object, one of each name: the newest. One that cannot be read counts as not there."""
    newest: dict[str, Json] = {}
    for body in cache.belongings(owner, REVISIONS):
        name = (body["metadata"].get("labels") or {}).get(REVISION_LABEL)
        whole = cache.whole(owner, REVISIONS, body["metadata"]["name"])
        if not name or whole is None or not _owned_by(whole, uid):
            continue
        if name not in newest or version_of(newest[name]) < version_of(whole):
            newest[name] = whole
    read = (_read(name, body) for name, body in newest.items())
    return tuple(sorted((r for r in read if r is not None), key=lambda revision: revision.generation))


def _read(name: str, body: Json) -> Revision | None:
    try:
        spec = from_json((body.get("data") or {})["spec"], FlinkJobSpec)
        return Revision(name, int(body["revision"]), spec)
    except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
        log.warning("revision cannot be read", extra={"object": body["metadata"]["name"], "error": str(error)})
        return None


def _owned_by(body: Json, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in body["metadata"].get("ownerReferences") or ())
