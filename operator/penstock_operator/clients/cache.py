"""What the watches have delivered of FlinkJobs and what belongs to them, so that a steady job costs no API call.

The handlers feed it, and so does whoever writes: an answer to a write of ours counts as seen. Observations read it. An
older version never replaces a newer one, in whatever order they come. It never calls anybody.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from penstock_operator.clients.bodies import Kept, kept, slim
from penstock_operator.clients.resources import FLINK_JOBS, Resource
from penstock_operator.render.names import JOB_LABEL

Json = dict[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Owner:
    """By namespace and name: what belongs to a FlinkJob says so in a label."""

    namespace: str
    name: str


@final
@dataclass(slots=True)
class _Seen:
    """A FlinkJob, and how far the watch has come with it."""

    body: Json
    watched: int
    behind_since_s: float | None = None


@final
@dataclass(slots=True)
class _Belongings:
    """By kind, and by name."""

    objects: defaultdict[str, dict[str, Kept]] = field(default_factory=lambda: defaultdict(dict))
    removing: set[str] = field(default_factory=set)
    """Uids of what was told to go, and has not gone yet."""
    changes: int = 0


@final
class Cache:
    """Of one operator process."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changes = itertools.count(1)
        self._jobs: dict[Owner, _Seen] = {}
        self._belongings: defaultdict[Owner, _Belongings] = defaultdict(_Belongings)

    def job(self, owner: Owner) -> Json | None:
        seen = self._jobs.get(owner)
        return None if seen is None else seen.body

    def belongings(self, owner: Owner, resource: Resource) -> list[Json]:
        """Heads of all of one kind, by name: `clients.bodies` says what is in them."""
        return [found.head for found in self._of(owner, resource).values()]

    def whole(self, owner: Owner, resource: Resource, name: str) -> Json | None:
        """All of one of them."""
        found = self._of(owner, resource).get(name)
        return None if found is None else found.whole

    def stand(self, owner: Owner) -> int:
        """Another one whenever anything that belongs to this job has changed."""
        return self._belongings[owner].changes if owner in self._belongings else 0

    def being_removed(self, owner: Owner, body: Json) -> bool:
        metadata = body["metadata"]
        return "deletionTimestamp" in metadata or metadata["uid"] in self._belongings[owner].removing

    def watched_job(self, body: Json) -> bool:
        """From the watch. Whether it is news, and not the echo of our own write."""
        body, owner, version = slim(body), owner_of_job(body), version_of(body)
        seen = self._jobs.get(owner)
        if seen is None or _uid(seen.body) != _uid(body):
            self._jobs[owner] = _Seen(body, version)
            return True
        seen.watched = max(seen.watched, version)
        news = version > version_of(seen.body)
        if news:
            seen.body = body
        if seen.watched >= version_of(seen.body):
            seen.behind_since_s = None
        return news

    def read_job(self, body: Json) -> bool:
        """From a call: the watch has to deliver it yet. Whether it is news."""
        body, owner, version = slim(body), owner_of_job(body), version_of(body)
        seen = self._jobs.get(owner)
        news = seen is None or _uid(seen.body) != _uid(body) or version > version_of(seen.body)
        if seen is None or _uid(seen.body) != _uid(body):
            self._jobs[owner] = seen = _Seen(body, 0)
        if news:
            seen.body = body
        if seen.watched < version_of(seen.body) and seen.behind_since_s is None:
            seen.behind_since_s = self._clock()
        return news

    def forget_job(self, owner: Owner, uid: str) -> None:
        seen = self._jobs.get(owner)
        if seen is not None and _uid(seen.body) == uid:
            del self._jobs[owner]
            self._forget_empty(owner)

    def put(self, resource: Resource, owner: Owner, body: Json) -> bool:
        """From the watch, or the answer to a write. Whether it is news."""
        known = self._belongings[owner]
        objects, name = known.objects[resource.plural], body["metadata"]["name"]
        old = objects.get(name)
        if old is not None and _uid(old.head) == _uid(body) and version_of(old.head) >= version_of(body):
            return False
        objects[name] = kept(resource, body)
        if old is None:
            known.objects[resource.plural] = dict(sorted(objects.items()))
        known.changes = next(self._changes)
        return True

    def drop(self, resource: Resource, owner: Owner, body: Json) -> None:
        """The watch says that it has gone."""
        known = self._belongings[owner]
        objects, name = known.objects[resource.plural], body["metadata"]["name"]
        known.removing.discard(_uid(body))
        old = objects.get(name)
        if old is not None and _uid(old.head) == _uid(body):
            del objects[name]
            known.changes = next(self._changes)
        if owner not in self._jobs:
            self._forget_empty(owner)

    def removing(self, owner: Owner, body: Json) -> None:
        """We have told it to go."""
        self._belongings[owner].removing.add(_uid(body))
        self._belongings[owner].changes = next(self._changes)

    def behind_s(self) -> float:
        """For how long the watch has not delivered what is known to exist; 0 when it keeps up."""
        now_s = self._clock()
        since = (seen.behind_since_s for seen in self._jobs.values())
        return max((now_s - at_s for at_s in since if at_s is not None), default=0.0)

    def known(self, resource: Resource, namespace: str | None) -> list[tuple[Owner, Json]]:
        """All of a kind, in one namespace or in all."""
        if resource is FLINK_JOBS:
            found = [(owner, seen.body) for owner, seen in self._jobs.items()]
        else:
            found = [
                (owner, one.head)
                for owner, belongings in self._belongings.items()
                for one in belongings.objects.get(resource.plural, {}).values()
            ]
        return [(owner, body) for owner, body in found if namespace in (None, owner.namespace)]

    def lost(self, resource: Resource, owner: Owner, body: Json) -> bool:
        """It is not there any more and no watch has said so. False: the watch just did. A job itself is not dropped:
        its task looks for itself, and ends when it sees nothing."""
        if resource is FLINK_JOBS:
            seen = self._jobs.get(owner)
            return seen is not None and _uid(seen.body) == _uid(body)
        before = self._of(owner, resource).get(body["metadata"]["name"])
        self.drop(resource, owner, body)
        return before is not None and _uid(before.head) == _uid(body)

    def _of(self, owner: Owner, resource: Resource) -> Mapping[str, Kept]:
        belongings = self._belongings.get(owner)
        return {} if belongings is None else belongings.objects.get(resource.plural, {})

    def _forget_empty(self, owner: Owner) -> None:
        if not any(self._belongings[owner].objects.values()):
            del self._belongings[owner]


def owner_of_job(body: Json) -> Owner:
    return Owner(body["metadata"]["namespace"], body["metadata"]["name"])


def owner_of(resource: Resource, body: Json) -> Owner | None:
    """To which FlinkJob something belongs; None where it does not say."""
    metadata = body["metadata"]
    if resource is FLINK_JOBS:
        return owner_of_job(body)
    named = (metadata.get("labels") or {}).get(JOB_LABEL)
    if named is None and resource.group == FLINK_JOBS.group:
        named = ((body.get("spec") or {}).get("jobReference") or {}).get("name")
    return Owner(metadata["namespace"], named) if isinstance(named, str) else None


def version_of(body: Json) -> int:
    """Kubernetes compares them as numbers."""
    return int(body["metadata"]["resourceVersion"])


def _uid(body: Json) -> str:
    return str(body["metadata"]["uid"])
