"""kopf's handlers: they put what the watches deliver into the cache and wake the task of the job that it belongs to.

`on.event` handlers only, without kopf's `patch` argument, returning None: kopf then writes nothing to any object. Its
other kinds of handlers write annotations and finalizers of their own, after the handler and without a precondition.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import kopf

from penstock_operator.clients.cache import Cache, Owner, owner_of, owner_of_job
from penstock_operator.clients.resources import (
    BUDGETS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    FLINK_JOBS,
    PODS,
    REVISIONS,
    SERVICES,
    SNAPSHOTS,
    Resource,
)
from penstock_operator.cycle.world import JobKey
from penstock_operator.render.names import JOB_LABEL

BELONGINGS: Final = (DEPLOYMENTS, PODS, SERVICES, CONFIG_MAPS, BUDGETS, REVISIONS)
"""Watched by our label; the API server sends no others."""
WATCHED: Final = (FLINK_JOBS, SNAPSHOTS, *BELONGINGS)


@final
@dataclass(frozen=True, slots=True)
class Wakes:
    """Whom the handlers tell."""

    news: Callable[[JobKey], None]
    gone: Callable[[JobKey], None]
    orphaned: Callable[[Owner], None]
    """What belongs to a FlinkJob that is not known has changed, or the FlinkJob has gone."""
    stop: Callable[[], Any]
    """Awaited before kopf ends: it would cancel the tasks of jobs itself after a while."""


class _NoEssence(kopf.DiffBaseStorage):
    """kopf copies each object twice to find out what has changed, for kinds of handlers that we do not have."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> Any:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        """Nothing is written to any object."""


def watch_settings() -> kopf.OperatorSettings:
    """kopf's defaults wait long on an API server that stalls."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # Events are ours to write.
    settings.peering.standalone = True
    settings.scanning.disabled = True  # Neither namespaces nor definitions are watched: no rights for that are needed.
    settings.networking.connect_timeout = settings.watching.connect_timeout = 5
    settings.networking.request_timeout = 15
    settings.networking.error_backoffs = (1,) * 60
    settings.watching.server_timeout = 300
    settings.watching.inactivity_timeout = 75
    # What was listed is held until the last of its chunk was handled, and each object a while longer.
    settings.watching.chunk_size = 50
    settings.queueing.idle_timeout = 0.1
    settings.persistence.diffbase_storage = _NoEssence()
    for resource in BELONGINGS:
        settings.watching.label_selectors[resource.group, resource.version, resource.plural] = JOB_LABEL
    return settings


def register(registry: kopf.OperatorRegistry, cache: Cache, wakes: Wakes) -> None:
    """All of them."""
    kopf.on.login(registry=registry)(kopf.login_via_client)
    kopf.on.cleanup(registry=registry, id="stop")(_stopping(wakes))
    for resource in WATCHED:
        on_event = kopf.on.event(
            resource.group, resource.version, resource.plural, id=f"watch-{resource.plural}", registry=registry
        )
        on_event(_handler(resource, cache, wakes))


def delivered(resource: Resource, cache: Cache, wakes: Wakes, kind: str | None, body: dict[str, Any]) -> None:
    """One event of a watch; `kind` is None in the list that it begins with."""
    owner = owner_of(resource, body)
    if owner is None:
        return
    if resource is FLINK_JOBS:
        _job_delivered(cache, wakes, kind, body)
        return
    if kind == "DELETED":
        cache.drop(resource, owner, body)
    elif not cache.put(resource, owner, body):
        return
    if (job := cache.job(owner)) is not None:
        wakes.news(key_of(job))
    elif kind != "DELETED":
        wakes.orphaned(owner)


def key_of(body: dict[str, Any]) -> JobKey:
    metadata = body["metadata"]
    return JobKey(metadata["namespace"], metadata["name"], metadata["uid"])


def _job_delivered(cache: Cache, wakes: Wakes, kind: str | None, body: dict[str, Any]) -> None:
    key = key_of(body)
    if kind == "DELETED":
        cache.forget_job(owner_of_job(body), key.uid)
        wakes.gone(key)
        wakes.orphaned(owner_of_job(body))
    elif cache.watched_job(body):
        wakes.news(key)


def _handler(resource: Resource, cache: Cache, wakes: Wakes) -> Callable[..., Any]:
    async def on_event(event: Any, **_: Any) -> None:
        delivered(resource, cache, wakes, event["type"], event["object"])

    return on_event


def _stopping(wakes: Wakes) -> Callable[..., Any]:
    async def stop(**_: Any) -> None:
        await wakes.stop()

    return stop
