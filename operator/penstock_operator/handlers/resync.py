"""Puts the cache right from time to time: what went while a watch was interrupted is in no watch's news.

One list per kind of what carries our label, from the API server's own cache, every few minutes. It says which jobs had
been seen wrongly; they are woken.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, final

from penstock_operator.clients.cache import Cache, Owner, owner_of
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import FLINK_JOBS, Resource
from penstock_operator.errors import OperatorError
from penstock_operator.handlers.watching import WATCHED
from penstock_operator.render.names import JOB_LABEL

log: Final = logging.getLogger(__name__)

Json = dict[str, Any]

PAGE: Final = 500


@final
class Resync:
    """Of one operator process."""

    def __init__(
        self, kube: Kube, cache: Cache, *, namespaces: Sequence[str], interval_s: float, wrong: Callable[[Owner], None]
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._interval_s = interval_s
        self._wrong = wrong

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self.once()

    async def load(self) -> bool:
        """Everything, before anybody is attended to. Whether all of it could be had."""
        for resource in WATCHED:
            for namespace in self._namespaces:
                try:
                    await self._compare(resource, namespace)
                except OperatorError as error:
                    log.warning("not loaded", extra={"resource": resource.plural, "reason": str(error)})
                    return False
        return True

    async def once(self) -> None:
        """Every kind in every namespace; one that fails is left for the next time."""
        for resource in WATCHED:
            for namespace in self._namespaces:
                try:
                    await self._compare(resource, namespace)
                except OperatorError as error:
                    log.info("not compared", extra={"resource": resource.plural, "reason": str(error)})

    async def _compare(self, resource: Resource, namespace: str | None) -> None:
        # Taken before the list: what is first seen while it is under way may not be in it, and lives all the same.
        known = self._cache.known(resource, namespace)
        selector = {} if resource.group == FLINK_JOBS.group else {"labelSelector": JOB_LABEL}
        listed: list[Json] = await self._kube.list_all(resource, namespace, page=PAGE, **selector)
        present = {body["metadata"]["uid"] for body in listed}
        for owner, body in known:
            if body["metadata"]["uid"] not in present and self._cache.lost(resource, owner, body):
                self._wrong(owner)
        for body in listed:
            body |= {"apiVersion": resource.api_version, "kind": resource.kind}  # A list says it once for all.
            self._look(resource, body)

    def _look(self, resource: Resource, body: Json) -> None:
        owner = owner_of(resource, body)
        if owner is None:
            return
        news = self._cache.read_job(body) if resource is FLINK_JOBS else self._cache.put(resource, owner, body)
        if news:
            self._wrong(owner)
