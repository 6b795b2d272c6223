"""The Kubernetes API as tests use it: manifests are dictionaries, kinds `group/version/Kind`, every call has a limit.

    jobs = api.namespace("jobs")
    jobs.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"text": "to be"}})
    jobs.wait("v1/Pod", "one", lambda pod: pod["status"]["phase"] == "Running", timeout_s=20)

It looks at the cluster past the code under test.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

import urllib3
import yaml
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config

from penstock.testing.kubernetes.binaries import built

Manifest = Mapping[str, Any]
Object = dict[str, Any]

FIELD_MANAGER: Final = "penstock-tests"
POD: Final = "v1/Pod"
_CALL_S: Final = 10.0
_POLL_S: Final = 0.1
_UNREACHABLE: Final = (urllib3.exceptions.HTTPError, OSError)


class Refused(Exception):
    """The API server said no; `status` is its HTTP status, the text what it found wrong."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


@final
class Api:
    """The API server that a kubeconfig names, with that kubeconfig's rights."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._client: ApiClient = new_client_from_config(str(kubeconfig), persist_config=False)
        # A test that waits for a dead server asks again by itself.
        self._client.configuration.retries = False
        self._client.rest_client.pool_manager.connection_pool_kw["retries"] = False
        self._resources: dict[str, dict[str, Any]] = {}
        self._looking = threading.Lock()

    def close(self) -> None:
        """Close its connections."""
        self._client.rest_client.pool_manager.clear()
        self._client.close()

    def namespace(self, name: str) -> "Namespace":
        """A view of one namespace, which need not exist."""
        return Namespace(self, name)

    def ready(self) -> bool:
        """Whether the API server answers that it is ready."""
        try:
            return bool(self.text("GET", "/readyz", timeout_s=2) == "ok")
        except (Refused, *_UNREACHABLE):
            return False

    def text(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        timeout_s: float = _CALL_S,
    ) -> str:
        """One request; `Refused` unless it succeeds."""
        try:
            answer = self._client.call_api(
                path,
                method,
                query_params=[(name, value) for name, value in (query or {}).items() if value is not None],
                header_params={"Content-Type": content_type, "Accept": "*/*"},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=timeout_s,
            )
        except ApiException as error:
            raise Refused(error.status or 0, str(error.body or error.reason)) from error
        data: bytes = answer.data
        return data.decode(errors="replace")

    def json(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The same, its answer parsed."""
        return json.loads(self.text(method, path, body, **options))

    def path(self, kind: str, name: str | None = None, namespace: str | None = None) -> str:
        """Where objects of a kind are; the namespace is left out for kinds that have none."""
        version, _, short = kind.rpartition("/")
        resource = self._resource(version, short)
        base = _base(version)
        if resource["namespaced"] and namespace is not None:
            base += f"/namespaces/{namespace}"
        return "/".join([base, resource["name"], *([name] if name else [])])

    def _resource(self, version: str, short: str) -> dict[str, Any]:
        key = f"{version}/{short}"
        with self._looking:
            if key not in self._resources:
                found = self.json("GET", _base(version))["resources"]
                self._resources |= {f"{version}/{r['kind']}": r for r in found if "/" not in r["name"]}
        return self._resources[key]


@final
class Namespace:
    """The objects of one namespace, and those of none."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.name = name

    def create(self) -> None:
        """Make the namespace."""
        self.api.json("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}})
        # Pods are refused before its service account exists.
        self.wait("v1/ServiceAccount", "default", lambda account: True)

    def delete_all(self) -> None:
        """Delete the namespace, its pods at once; without waiting for their end."""
        everything = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        self.api.json("DELETE", f"/api/v1/namespaces/{self.name}", everything)
        self.api.json("DELETE", self.api.path(POD, namespace=self.name), everything)

    def apply(self, *manifests: Manifest, force: bool = True) -> list[Object]:
        """Server-side apply, under the tests' field manager."""
        return [self._apply(manifest, force) for manifest in manifests]

    def _apply(self, manifest: Manifest, force: bool) -> Object:
        kind = f"{manifest['apiVersion']}/{manifest['kind']}"
        path = self.api.path(kind, manifest["metadata"]["name"], self.name)
        query = {"fieldManager": FIELD_MANAGER, "force": str(force).lower()}
        applied: Object = self.api.json(
            "PATCH", path, manifest, query=query, content_type="application/apply-patch+yaml"
        )
        return applied

    def patch(self, kind: str, name: str, change: Manifest) -> Object:
        """A merge patch, as `kubectl patch --type merge` and `kubectl edit` make it."""
        path = self.api.path(kind, name, self.name)
        patched: Object = self.api.json("PATCH", path, change, content_type="application/merge-patch+json")
        return patched

    def get(self, kind: str, name: str) -> Object:
        """An object; `Refused` with status 404 if there is none."""
        found: Object = self.api.json("GET", self.api.path(kind, name, self.name))
        return found

    def find(self, kind: str, name: str) -> Object | None:
        """An object, or None."""
        try:
            return self.get(kind, name)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None

    def all(self, kind: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        """All objects of a kind that carry the labels."""
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        query = {"labelSelector": selector or None}
        found: list[Object] = self.api.json("GET", self.api.path(kind, namespace=self.name), query=query)["items"]
        return found

    def pods(self, **labels: str) -> list[Object]:
        """Pods that carry the labels and are not on their way out."""
        return [pod for pod in self.all(POD, labels) if "deletionTimestamp" not in pod["metadata"]]

    def delete(self, kind: str, name: str, grace_s: int | None = None) -> None:
        """Ask for an object's end; nothing happens if there is none."""
        options = {"propagationPolicy": "Background"} | ({} if grace_s is None else {"gracePeriodSeconds": grace_s})
        try:
            self.api.json("DELETE", self.api.path(kind, name, self.name), options)
        except Refused as refused:
            if refused.status != 404:
                raise

    def wait(self, kind: str, name: str, holds: Callable[[Object], bool], timeout_s: float = 30) -> Object:
        """Poll an object until something holds of it; AssertionError with the object when time is up.

        It need not exist yet, and the API server may be away for a while.
        """
        deadline = time.monotonic() + timeout_s
        found: Object | None = None
        trouble = ""
        while True:
            try:
                found = self.find(kind, name)
                if found is not None and holds(found):
                    return found
            except (KeyError, IndexError) as absent:
                trouble = f"it has no {absent}"
            except (Refused, *_UNREACHABLE) as error:
                trouble = str(error)
            if time.monotonic() > deadline:
                shown = json.dumps(_without_managers(found), indent=2) if found else "there is none"
                raise AssertionError(f"{kind} {name} after {timeout_s:g} s: {trouble} {shown}")
            time.sleep(_POLL_S)

    def wait_gone(self, kind: str, name: str, timeout_s: float = 30) -> None:
        """Poll until there is no such object."""
        deadline = time.monotonic() + timeout_s
        while (found := self.find(kind, name)) is not None:
            if time.monotonic() > deadline:
                shown = json.dumps(_without_managers(found), indent=2)
                raise AssertionError(f"{kind} {name} is still there after {timeout_s:g} s: {shown}")
            time.sleep(_POLL_S)

    def logs(self, pod: str, container: str | None = None, *, previous: bool = False, lines: int = 200) -> str:
        """What a container has written, or why that cannot be had."""
        query = {"container": container, "previous": str(previous).lower(), "tailLines": lines}
        try:
            return self.api.text("GET", self.api.path(POD, f"{pod}/log", self.name), query=query)
        except Refused as refused:
            return f"(no log: {refused})"

    def execute(self, pod: str, *argv: str, container: str | None = None, timeout_s: float = 30) -> str:
        """Run a command in a container and return what it says."""
        chosen = [] if container is None else ["--container", container]
        return self.kubectl("exec", pod, *chosen, "--", *argv, timeout_s=timeout_s)

    def kubectl(self, *argv: str, stdin: str = "", timeout_s: float = 30) -> str:
        """What a person types, in this namespace; AssertionError with what it said if it fails."""
        return self._person("kubectl", argv, stdin, timeout_s)

    def helm(self, *argv: str, stdin: str = "", timeout_s: float = 60) -> str:
        """The same with Helm."""
        return self._person("helm", argv, stdin, timeout_s)

    def _person(self, command: str, argv: Sequence[str], stdin: str, timeout_s: float) -> str:
        here = [str(built(command)), "--kubeconfig", str(self.api.kubeconfig), "--namespace", self.name]
        done = subprocess.run([*here, *argv], input=stdin, capture_output=True, text=True, timeout=timeout_s)
        said = f"{done.stdout}{done.stderr}"
        assert done.returncode == 0, f"{command} {' '.join(argv)} ended with {done.returncode}: {said}"
        return done.stdout

    def kubeconfig_of(self, service_account: str, file: Path) -> Path:
        """Write a kubeconfig that has the rights of a service account, for an hour."""
        path = self.api.path("v1/ServiceAccount", f"{service_account}/token", self.name)
        token = self.api.json("POST", path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
        configuration = yaml.safe_load(self.api.kubeconfig.read_text())
        for user in configuration["users"]:
            user["user"] = {"token": token}
        for context in configuration["contexts"]:
            context["context"]["namespace"] = self.name
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(configuration))
        return file

    def events(self, about: str | None = None) -> list[Object]:
        """Events, oldest first; of one object, or all."""
        found = self.all("v1/Event")
        chosen = [e for e in found if about is None or e["involvedObject"]["name"] == about]
        return sorted(chosen, key=_told_at)

    def reach(self, target: str, path: str, method: str = "GET", body: Any = None, timeout_s: float = _CALL_S) -> Any:
        """A JSON request to a Service or pod, through the API server: `reach("services/rest:8081", "/overview")`."""
        kind, _, name = target.partition("/")
        return self.api.json(
            method,
            f"/api/v1/namespaces/{self.name}/{kind}/{name}/proxy{path}",
            body,
            timeout_s=timeout_s,
        )

    def describe(self) -> str:
        """What a person wants to know when something has gone wrong here."""
        parts = []
        for event in self.events():
            what = event["involvedObject"]
            parts.append(f"{event['type']} {what['kind']}/{what['name']} {event['reason']}: {event.get('message')}")
        for pod in self.all(POD):
            parts += [f"--- pod {pod['metadata']['name']}", json.dumps(pod["status"].get("containerStatuses"))]
            for container in _containers(pod):
                parts.append(f"--- log of {pod['metadata']['name']}/{container}")
                parts.append(self.logs(pod["metadata"]["name"], container))
                if _restarts(pod, container):
                    parts.append(
                        f"--- and of the one before\n{self.logs(pod['metadata']['name'], container, previous=True)}"
                    )
        return "\n".join(parts)


def _told_at(event: Object) -> str:
    """To the microsecond where it is known: several may be told in one second."""
    once = event.get("count", 1) == 1
    return str((event.get("eventTime") if once else None) or event.get("lastTimestamp") or event.get("eventTime") or "")


def _containers(pod: Object) -> Sequence[str]:
    spec = pod["spec"]
    return [container["name"] for container in (*spec.get("initContainers", ()), *spec["containers"])]


def _restarts(pod: Object, container: str) -> int:
    statuses = pod["status"].get("containerStatuses", ())
    return sum(status["restartCount"] for status in statuses if status["name"] == container)


def _without_managers(found: Object) -> Object:
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    return {**found, "metadata": metadata}


def _base(version: str) -> str:
    return f"/api/{version}" if "/" not in version else f"/apis/{version}"
