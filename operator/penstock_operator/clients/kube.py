"""The Kubernetes API in a few verbs over plain mappings, on `kubernetes.aio`.

Called by whatever observes, applies or leads. Every call has a time-out, every write passes the fence before its first
byte, every request is counted, every failure is one of `errors`. It retries nothing: passes are repeated as a whole.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
from kubernetes.aio import client, config

from penstock_operator.clients.resources import Resource
from penstock_operator.errors import Conflict, Missing, OperatorError, Rejected, Unavailable

Json = dict[str, Any]
T = TypeVar("T")

FIELD_MANAGER: Final = "penstock-operator"
"""Under which the fields that we apply are ours, and others' stay theirs."""
TIMEOUT_S: Final = 15.0
CONNECTIONS: Final = 32
"""At once: what waits for one of them waits here and not in the API server's queue."""

_MERGE: Final = "application/merge-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
"""Lists would come compressed, which takes more of both sides than it saves on the way."""
_HEADS: Final = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
"""Of each object its metadata only."""
_ANSWERED: Final = frozenset((200, 201, 202))
_TOO_LARGE: Final = "request is too large"
"""etcd's words, which the API server passes on as if something had gone wrong in it."""
_READ_BYTES: Final = 1 << 21
"""More than any object has, as the client itself would have it."""
_NO_ANSWER: Final = (aiohttp.ClientError, TimeoutError, OSError)


async def connect() -> client.ApiClient:
    """With a pod's own account where there is one, otherwise as `kubectl` would."""
    settings = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)
    except config.ConfigException:
        await config.load_kube_config(client_configuration=settings)
    return opened(settings)


def opened(settings: client.Configuration) -> client.ApiClient:
    """With connections of its own."""
    settings.connection_pool_maxsize = CONNECTIONS
    settings.proxy = settings.proxy or _proxy_to(settings.host)
    api = client.ApiClient(configuration=settings)
    theirs = api.rest_client.pool_manager
    # Theirs looks for proxies and a .netrc at each request, in a thread each: more work than the request itself.
    api.rest_client.pool_manager = aiohttp.ClientSession(
        connector=theirs.connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": FIELD_MANAGER},
        read_bufsize=_READ_BYTES,
    )
    theirs.detach()
    return api


def _proxy_to(address: str) -> str | None:
    """As the environment says."""
    url = urlsplit(address)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resource_version: str = "0"


class _Headed(msgspec.Struct):
    metadata: _Metadata


class _List(msgspec.Struct):
    metadata: dict[str, Any] = {}
    items: list[msgspec.Raw] | None = None


@final
@dataclass(frozen=True, slots=True)
class Head:
    """Which object it is, and at which version."""

    namespace: str | None
    name: str
    uid: str
    version: int


@final
@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked of the API server."""

    verb: str
    path: str
    resource: Resource | None
    """For who counts; None of what is none."""
    body: Json | None = None
    content: str = "application/json"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S


@final
class Kube:
    """A connection. Several share one API server; each has its own connections, so that none waits for another's."""

    def __init__(
        self,
        api: client.ApiClient,
        *,
        fence: Callable[[], None],
        count: Callable[[str, str, str], None],
    ) -> None:
        """`fence` raises, or ends the process, if we may not write; `count` is told verb, resource and status."""
        self._api = api
        self._fence = fence
        self._count = count

    async def close(self) -> None:
        await self._api.close()

    async def get(self, resource: Resource, namespace: str | None, name: str, *, timeout_s: float = TIMEOUT_S) -> Json:
        return await self._call(_Request("GET", resource.path(namespace, name), resource, timeout_s=timeout_s))

    async def list_all(self, resource: Resource, namespace: str | None, *, page: int, **query: str) -> list[Json]:
        """All of them, asked for `page` at a time."""
        return [body async for body in self.each(resource, namespace, page=page, **query)]

    async def each(self, resource: Resource, namespace: str | None, *, page: int, **query: str) -> AsyncIterator[Json]:
        """The same one by one, for who does not keep them as they are."""
        # A list says once for all what its items are.
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        async for item in self._listed(resource, namespace, page, query, {}):
            yield {**msgspec.json.decode(item), **kind}

    async def heads(self, resource: Resource, namespace: str | None, *, page: int, **query: str) -> AsyncIterator[Head]:
        """Of all of them, for who has most already."""
        async for item in self._listed(resource, namespace, page, query, _HEADS):
            found = msgspec.json.decode(item, type=_Headed).metadata
            yield Head(found.namespace, found.name, found.uid, int(found.resource_version))

    async def _listed(
        self,
        resource: Resource,
        namespace: str | None,
        page: int,
        query: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> AsyncIterator[msgspec.Raw]:
        more: dict[str, str] = {}
        while True:
            asked = {**query, "limit": str(page), **more}
            request = _Request("GET", resource.path(namespace), resource, query=asked, headers=headers)
            answer = _decoded(await self._asked(request), _List, request.path)
            for item in answer.items or ():
                yield item
            token = answer.metadata.get("continue")
            if not token:
                return
            more = {"continue": token}

    async def raw(self, path: str) -> Json:
        """Whatever is there, such as the list of a group's resources."""
        return await self._call(_Request("GET", path, None))

    async def create(
        self, resource: Resource, namespace: str | None, body: Json, *, timeout_s: float = TIMEOUT_S
    ) -> Json:
        return await self._call(_Request("POST", resource.path(namespace), resource, body, timeout_s=timeout_s))

    async def replace(
        self,
        resource: Resource,
        namespace: str | None,
        body: Json,
        *,
        subresource: str = "",
        timeout_s: float = TIMEOUT_S,
    ) -> Json:
        """Only if it is still at the resourceVersion that `body` carries."""
        path = resource.path(namespace, body["metadata"]["name"], subresource)
        return await self._call(_Request("PUT", path, resource, body, timeout_s=timeout_s))

    async def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        path = resource.path(namespace, name, subresource)
        return await self._call(_Request("PATCH", path, resource, patch, _MERGE))

    async def apply(self, resource: Resource, manifest: Json) -> Json:
        """Server-side: what the manifest says is ours from now on, what it no longer says goes, the rest stays."""
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._call(_Request("PATCH", path, resource, manifest, _APPLY, query))

    async def delete(self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None) -> bool:
        """Whether it was gone already. What depends on it goes after it; with `uid`, only that very object is meant."""
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._call(_Request("DELETE", resource.path(namespace, name), resource, options))
        except Missing:
            return True
        return False

    async def _call(self, request: _Request) -> Json:
        if request.verb != "GET":
            self._fence()
        data = await self._asked(request)
        found: Any = _decoded(data, Any, request.path) if data else {}
        return found if isinstance(found, dict) else {}

    async def _asked(self, request: _Request) -> bytes:
        """The bytes of its answer if that is a good one."""
        verb, path = request.verb, request.path
        status = "none"
        headers = {**_HEADERS, **request.headers, "Content-Type": request.content}
        try:
            # Not by its `call_api`, which walks through what is sent and through what comes, both in vain.
            await self._api.update_params_for_auth(headers, [], ["BearerToken"])
            answer: aiohttp.ClientResponse = await self._api.rest_client.request(
                verb,
                self._api.configuration.host + path,
                query_params=request.query,
                headers=headers,
                body=request.body,
                _preload_content=False,
                _request_timeout=request.timeout_s,
            )
            status = str(answer.status)
            data = await answer.read()
        except _NO_ANSWER as error:
            raise Unavailable(
                f"the Kubernetes API does not answer {verb} {path}: {error or type(error).__name__}"
            ) from error
        finally:
            self._count(verb, request.resource.plural if request.resource else "", status)
        if answer.status not in _ANSWERED:
            raise failure(verb, path, answer.status, data)
        return data


def _decoded(data: bytes, kind: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(f"what answers {path} is no Kubernetes API: {error}") from error


def failure(verb: str, path: str, status: int, body: object) -> OperatorError:
    """What an answer that is none of success means."""
    said = f"{verb} {path}: {_message(body) or 'no reason given'}"
    match status:
        case 404:
            return Missing(said)
        case 409:
            return Conflict(said)
        # 401: a token that has just been renewed is read again with the next call. 410: a list in pages took too long.
        case 0 | 401 | 408 | 410 | 429:
            return Unavailable(said)
        case _ if status >= 500 and _TOO_LARGE in said:
            return Rejected(f"{said}; the manifest must become smaller", status)
        case _ if status >= 500:
            return Unavailable(said)
        case _:
            return Rejected(said, status)


def _message(body: object) -> str:
    try:
        said = json.loads(body) if isinstance(body, str | bytes) else body
    except ValueError:
        return str(body)[:200]
    return str(said.get("message", "")) if isinstance(said, Mapping) else ""
