"""Puts the cache right from time to time: what went while a watch was interrupted is in no watch's news.

One list of versions per kind of what carries our label, from the API server's own cache, every few minutes. It says
which jobs had been seen wrongly; they are woken.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, final

from penstock_operator.clients.cache import Cache, Owner, owner_of, version_of
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import FLINK_JOBS, SNAPSHOTS, Resource
from penstock_operator.errors import Missing, OperatorError, Rejected
from penstock_operator.handlers.watching import WATCHED
from penstock_operator.render.names import JOB_LABEL

log: Final = logging.getLogger(__name__)

Json = dict[str, Any]

PAGE: Final = 200
PAGE_OF_HEADS: Final = 1000


@final
class Resync:
    """Of one operator process."""

    def __init__(
        self, kube: Kube, cache: Cache, *, namespaces: Sequence[str], interval_s: float, wrong: Callable[[Owner], None]
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._closed: tuple[str | None, ...] = ()
        """Namespaces that we may not look into."""
        self._interval_s = interval_s
        self._wrong = wrong

    @property
    def namespaces(self) -> tuple[str | None, ...]:
        """Those that were loaded."""
        return tuple(namespace for namespace in self._namespaces if namespace not in self._closed)

    async def run(self) -> str:
        """Until a namespace that was left out can be looked into: its name. A new process is to look after it."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.once()
            for namespace in self._closed:
                if namespace is not None and await self._is_open(namespace):
                    return namespace

    async def load(self) -> bool:
        """Everything, before anybody is attended to: jobs and snapshots are told of once all is there. Whether it could
        be had; what is left out are single namespaces that we may not look into, or that are gone."""
        closed = []
        for namespace in self._namespaces:
            try:
                for resource in WATCHED:
                    await self._fill(resource, namespace)
            except Rejected as error:
                log.warning("namespace left out", extra={"namespace": namespace, "reason": str(error)})
                closed.append(namespace)
            except OperatorError as error:
                log.warning("not loaded", extra={"namespace": namespace, "reason": str(error)})
                return False
        self._closed = tuple(closed)
        for namespace in self.namespaces:
            known = (*self._cache.known(FLINK_JOBS, namespace), *self._cache.known(SNAPSHOTS, namespace))
            for owner in dict.fromkeys(owner for owner, _ in known):
                self._wrong(owner)
        return bool(self.namespaces)

    async def once(self) -> None:
        """Every kind in every namespace; one that fails is left for the next time."""
        for resource in WATCHED:
            for namespace in self.namespaces:
                try:
                    found = await self._compare(resource, namespace)
                except OperatorError as error:
                    log.info("not compared", extra={"resource": resource.plural, "reason": str(error)})
                else:
                    for owner in found:
                        self._wrong(owner)

    async def _is_open(self, namespace: str) -> bool:
        try:
            await self._kube.list_all(FLINK_JOBS, namespace, page=PAGE)
        except OperatorError:
            return False
        return True

    async def _compare(self, resource: Resource, namespace: str | None) -> set[Owner]:
        """Whose were seen wrongly. Nearly nothing is news: only versions are asked for, and then what is new."""
        # Taken before the list: what is first seen while it is under way may not be in it, and lives all the same.
        known = self._cache.known(resource, namespace)
        versions = {body["metadata"]["uid"]: version_of(body) for _, body in known}
        present: set[str] = set()
        wrong: set[Owner] = set()
        async for head in self._kube.heads(resource, namespace, page=PAGE_OF_HEADS, **_selector(resource)):
            present.add(head.uid)
            if versions.get(head.uid, -1) < head.version:
                try:
                    body = await self._kube.get(resource, head.namespace, head.name)
                except Missing:
                    continue  # Its watch will say so, or the next comparison.
                wrong |= self._put(resource, body)
        return wrong | self._lost(resource, known, present)

    async def _fill(self, resource: Resource, namespace: str | None) -> None:
        known = self._cache.known(resource, namespace)
        present: set[str] = set()
        async for body in self._kube.each(resource, namespace, page=PAGE, **_selector(resource)):
            present.add(body["metadata"]["uid"])
            self._put(resource, body)
        self._lost(resource, known, present)

    def _put(self, resource: Resource, body: Json) -> set[Owner]:
        """Whose it is, if it is news."""
        owner = owner_of(resource, body)
        return {owner} if owner is not None and self._is_news(resource, owner, body) else set()

    def _lost(self, resource: Resource, known: Sequence[tuple[Owner, Json]], present: set[str]) -> set[Owner]:
        """Whose are there no more."""
        gone = [(owner, body) for owner, body in known if body["metadata"]["uid"] not in present]
        return {owner for owner, body in gone if self._cache.lost(resource, owner, body)}

    def _is_news(self, resource: Resource, owner: Owner, body: Json) -> bool:
        return self._cache.read_job(body) if resource is FLINK_JOBS else self._cache.put(resource, owner, body)


def _selector(resource: Resource) -> dict[str, str]:
    """Only what says that it belongs to a FlinkJob."""
    return {} if resource.group == FLINK_JOBS.group else {"labelSelector": JOB_LABEL}
