"""The manifests of a revision's children, with what they take from elsewhere in the cluster."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from penstock_operator.clients import cache as known
from penstock_operator.clients.cache import Cache
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import CONFIG_MAPS
from penstock_operator.decide.facts import JobObject
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.render.children import children, script_in
from penstock_operator.render.engine import source_text
from penstock_operator.render.names import Owner

Json = dict[str, Any]

TOKEN_BYTES: Final = 32


@final
class Manifests:
    """Of all jobs."""

    def __init__(self, kube: Kube, cache: Cache) -> None:
        self._kube = kube
        self._cache = cache

    async def of(self, job: JobObject, revision: str, spec: FlinkJobSpec) -> Sequence[Json]:
        """As they are to be applied. The token in the Secret counts only where there is none yet."""
        script = self._script(job, revision, spec)
        if script is None:
            script = source_text(spec, await self._config_map(job, spec))
        return children(owner_of(job), revision, spec, script=script, token=secrets.token_hex(TOKEN_BYTES))

    def rendered(self, job: JobObject, revision: str, spec: FlinkJobSpec) -> Sequence[Json]:
        """The same of a revision that is there, without asking anybody: what to compare it with."""
        return children(owner_of(job), revision, spec, script=self._script(job, revision, spec), token="")

    def _script(self, job: JobObject, revision: str, spec: FlinkJobSpec) -> str | None:
        """As it was copied when the revision was made: what has become of its source since is nobody's concern."""
        owner = known.Owner(job.namespace, job.name)
        body = self._cache.whole(owner, CONFIG_MAPS, owner_of(job).config_map(revision))
        return None if body is None else script_in(body, spec)

    async def _config_map(self, job: JobObject, spec: FlinkJobSpec) -> Mapping[str, str] | None:
        reference = None if spec.job.source is None else spec.job.source.config_map_ref
        if reference is None:
            return None
        found = await self._kube.get(CONFIG_MAPS, job.namespace, reference.name)
        return dict(found.get("data") or {})


def owner_of(job: JobObject) -> Owner:
    return Owner(job.namespace, job.name, job.uid)
