"""An API server that keeps objects, versions them, and misbehaves when told to, as a real one cannot be made to."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from penstock_operator.clients.kube import Kube, opened


class ApiServer:
    """Objects by path. `behave` may be set to a coroutine that is awaited before each request and may answer it."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.counted: list[tuple[str, str, str]] = []
        self.behave: Any = None
        self.url = ""
        self.clients: list[Kube] = []
        self._versions = itertools.count(1)

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        body["metadata"] = {**body["metadata"], "resourceVersion": str(next(self._versions))}
        self.objects[path] = body
        return body

    def client(self, fence: Any = lambda: None) -> Kube:
        kube = Kube(
            opened(client.Configuration(host=self.url)), fence=fence, count=lambda *said: self.counted.append(said)
        )
        self.clients.append(kube)
        return kube

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path))
        if self.behave is not None and (answer := await self.behave(request)) is not None:
            return answer
        text = await request.text()
        body = json.loads(text) if text else {}
        known = self.objects.get(request.path)
        match request.method:
            case "POST":
                path = f"{request.path}/{body['metadata']['name']}"
                return said(409, "already exists") if path in self.objects else written(self.put(path, body))
            case _ if known is None and request.headers.get("Content-Type") != "application/apply-patch+yaml":
                return said(404, f"{request.path} not found")
            case "PUT":
                if body["metadata"].get("resourceVersion") != known["metadata"]["resourceVersion"]:
                    return said(409, "the object has been modified")
                return written(self.put(request.path, body))
            case "PATCH":
                return written(self.put(request.path, {**(known or {}), **body}))
            case "DELETE":
                return written(self.objects.pop(request.path))
        return written(known)


def written(body: Any) -> web.Response:
    return web.json_response(body)


def said(status: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "message": message}, status=status)


@pytest.fixture
async def api_server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(app) as running:
        server.url = str(running.make_url("")).rstrip("/")
        yield server
        for kube in server.clients:
            await kube.close()


@pytest.fixture
def stalled() -> Any:
    """Behaviour of a server that has taken the request and never answers."""

    async def forever(_: web.Request) -> None:
        await asyncio.Event().wait()

    return forever
