"""A small client of Flink's REST, for the command line and tests. Blocking; needs only the standard library."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, Final, final
from urllib.parse import quote, urlencode, urlsplit

from penstock.base.errors import ConfigurationError, PeerUnavailable, PenstockError

_PREFIX: Final = "/v1"
_PORT: Final = 8081
_TIMEOUT_S: Final = 10.0


@final
class RestRefused(PenstockError):
    """The JobManager answered with an error; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@final
class RestClient:
    """Asks one JobManager. Raises PeerUnavailable when nobody answers, RestRefused when the answer is no."""

    def __init__(self, address: str, timeout_s: float = _TIMEOUT_S) -> None:
        """`address`: `host`, `host:port` or `http://host:port`."""
        self._host, self._port = _endpoint(address)
        self._timeout_s = timeout_s

    @property
    def address(self) -> str:
        return f"{self._host}:{self._port}"

    def overview(self) -> dict[str, Any]:
        """The cluster: TaskManagers, slots, jobs."""
        return dict(self._asked("GET", "/overview"))

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, each with its state and times."""
        found: list[dict[str, Any]] = self._asked("GET", "/jobs/overview")["jobs"]
        return found

    def job(self, job: str) -> dict[str, Any]:
        """One job in detail."""
        return dict(self._asked("GET", _job_path(job)))

    def exceptions(self, job: str) -> list[dict[str, Any]]:
        """Why it failed, newest first."""
        found = self._asked("GET", f"{_job_path(job)}/exceptions")
        entries: list[dict[str, Any]] = found["exceptionHistory"]["entries"]
        return entries

    def checkpoints(self, job: str) -> dict[str, Any]:
        """Counts, newest ones, history."""
        return dict(self._asked("GET", f"{_job_path(job)}/checkpoints"))

    def taskmanagers(self) -> list[dict[str, Any]]:
        """All that are registered."""
        found: list[dict[str, Any]] = self._asked("GET", "/taskmanagers")["taskmanagers"]
        return found

    def cancel(self, job: str) -> None:
        """Ask for the job's cancellation."""
        self._asked("PATCH", _job_path(job), {"mode": "cancel"})

    def savepoint(
        self, job: str, *, trigger: str, directory: str | None, format_type: str, cancel: bool = False
    ) -> str:
        """Begin a savepoint; the id under which to ask for it. Asked again with the same `trigger`, nothing changes."""
        body = {"triggerId": trigger, "cancel-job": cancel, "formatType": format_type}
        body |= {"target-directory": directory} if directory is not None else {}
        return str(self._asked("POST", f"{_job_path(job)}/savepoints", body=body)["request-id"])

    def stop(self, job: str, *, trigger: str, directory: str | None, format_type: str, drain: bool) -> str:
        """Begin to stop the job with a savepoint; as `savepoint`."""
        body: dict[str, Any] = {"triggerId": trigger, "drain": drain, "formatType": format_type}
        body |= {"targetDirectory": directory} if directory is not None else {}
        return str(self._asked("POST", f"{_job_path(job)}/stop", body=body)["request-id"])

    def checkpoint(self, job: str, *, trigger: str, checkpoint_type: str) -> str:
        """Begin a checkpoint; as `savepoint`."""
        body = {"triggerId": trigger, "checkpointType": checkpoint_type}
        return str(self._asked("POST", f"{_job_path(job)}/checkpoints", body=body)["request-id"])

    def dispose(self, path: str) -> str:
        """Begin to delete a savepoint; the id under which to ask for it."""
        return str(self._asked("POST", "/savepoint-disposal", body={"savepoint-path": path})["request-id"])

    def savepoint_status(self, job: str, trigger: str) -> dict[str, Any]:
        """How a savepoint, or a stop, is coming along: `status` and, once over, `operation`."""
        return dict(self._asked("GET", f"{_job_path(job)}/savepoints/{quote(trigger, safe='')}"))

    def checkpoint_status(self, job: str, trigger: str) -> dict[str, Any]:
        """The same of a checkpoint that was asked for."""
        return dict(self._asked("GET", f"{_job_path(job)}/checkpoints/{quote(trigger, safe='')}"))

    def disposal_status(self, trigger: str) -> dict[str, Any]:
        """The same of a disposal."""
        return dict(self._asked("GET", f"/savepoint-disposal/{quote(trigger, safe='')}"))

    def resource_requirements(self, job: str) -> dict[str, Any]:
        """Bounds of the parallelism of each vertex."""
        return dict(self.get(f"{_job_path(job)}/resource-requirements"))

    def require(self, job: str, requirements: Mapping[str, Any]) -> None:
        """Have a running job at a parallelism within these bounds of every vertex."""
        self._asked("PUT", f"{_job_path(job)}/resource-requirements", body=dict(requirements))

    def rescale(self, job: str, parallelism: int) -> str:
        """Have a running job at this parallelism; the id under which to ask what came of it."""
        asked = self._asked("PATCH", f"{_job_path(job)}/rescaling", {"parallelism": str(parallelism)})
        return str(asked["request-id"])

    def rescale_status(self, job: str, trigger: str) -> dict[str, Any]:
        """How far the rescaling is, and why it failed if it has."""
        return dict(self.get(f"{_job_path(job)}/rescaling/{quote(trigger, safe='')}"))

    def rescales(self, job: str) -> list[dict[str, Any]]:
        """The job's rescalings, newest first."""
        return list(self.get(f"{_job_path(job)}/rescales/history"))

    def checkpoint_details(self, job: str, checkpoint: int) -> dict[str, Any]:
        """One checkpoint or savepoint that the JobManager remembers."""
        return dict(self._asked("GET", f"{_job_path(job)}/checkpoints/details/{checkpoint}"))

    def standby(self) -> dict[str, Any]:
        """How far a JobManager in standby is."""
        return dict(self.get("/penstock/standby"))

    def summary(self) -> dict[str, Any]:
        """What an operator looks at: standby, job and checkpoints in one."""
        return dict(self.get("/penstock/summary"))

    def kept(self, directory: str | None = None) -> dict[str, Any]:
        """Retained checkpoints and savepoints of the job, with size, age, and whether the job needs them."""
        return dict(self.get("/penstock/kept", None if directory is None else {"directory": directory}))

    def start(self, start: Mapping[str, Any]) -> dict[str, Any]:
        """Tell a JobManager in standby from what to start; asked again with the same `startId`, nothing changes."""
        return dict(self._asked("POST", "/penstock/standby", body=dict(start)))

    def preflight(self, against: str | None = None) -> dict[str, Any]:
        """Have a JobManager in standby compare its job with a state, or with the newest of the journal; the report."""
        return dict(self._asked("POST", "/penstock/preflight", body={"against": against}))

    def shut_down(self) -> None:
        """End the cluster."""
        self._asked("DELETE", "/cluster")

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Whatever else the contract has."""
        return self._asked("GET", path, query)

    def _asked(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        target = _PREFIX + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            status, data = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise PeerUnavailable(f"no JobManager answers at {self.address}: {reason}") from error
        finally:
            connection.close()
        try:
            answer = json.loads(data) if data else {}
        except ValueError as error:
            raise PeerUnavailable(f"what answers at {self.address} is no JobManager: it does not speak JSON") from error
        if status >= 300:
            errors = answer.get("errors") if isinstance(answer, dict) else None
            raise RestRefused(status, "; ".join(map(str, errors)) if errors else f"HTTP status {status}")
        return _Answer(self.address, answer) if isinstance(answer, dict) else answer


@final
class _Answer(dict[str, Any]):
    """What a JobManager has said. If something is missing that every one says, it was none."""

    def __init__(self, address: str, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self._address = address

    def __missing__(self, name: str) -> Any:
        raise PeerUnavailable(f"what answers at {self._address} is no JobManager: it does not say {name!r}")


def _job_path(job: str) -> str:
    return f"/jobs/{quote(job, safe='')}"


def _endpoint(address: str) -> tuple[str, int]:
    refusal = f"{address!r} is not the address of a JobManager's REST: expected HOST:PORT"
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(refusal) from error
    if not host or parts.scheme not in ("", "http") or parts.path.strip("/"):
        raise ConfigurationError(refusal)
    return host, _PORT if port is None else port
