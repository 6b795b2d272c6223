"""What a REST handler is given, what it may answer, and what it may raise: the cluster, one request, one refusal.

Handlers are plain functions of these; only `penstock.rest.server` knows of HTTP servers.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Protocol, TypeVar, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.errors import PenstockError
from penstock.base.ids import JobId
from penstock.common.configuration import Configuration
from penstock.common.options import cluster as options
from penstock.graph.job_graph import JobVertex
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.preflight import Report
from penstock.jobmanager.reign import StartOrder
from penstock.jobmanager.standing import Standing, Verdict
from penstock.jobmanager.workers import TaskManager, Workers
from penstock.monitoring.processes import ProcessMeter
from penstock.rest.flame_graphs import FlameGraphs
from penstock.rpc.errors import RemoteError
from penstock.rpc.messages import TaskManagerMessage

T = TypeVar("T")
_HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF")
_DIGITS: Final = frozenset("0123456789")
_DIGITS_MAX: Final = 18
"""What has no more of them is below 2^63."""


@final
class Refused(PenstockError):
    """The request cannot be served; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@final
class Content(msgspec.Struct, frozen=True):
    """An answer that is not JSON and comes in pieces, such as a log file or a page."""

    media_type: str
    pieces: AsyncIterator[bytes]
    """The first one is there already when the answer is given: what can fail has not."""


@final
class StandbyView(msgspec.Struct, frozen=True, kw_only=True):
    """What a JobManager in standby says of itself."""

    standing: Standing
    slots_required: int
    slots_registered: int
    """Workers that may be given tasks at once: while it waits, those that have loaded the job."""
    preflight: Report | None
    """None: it is under way, or not to be had."""
    against: str | None
    """What it is, or was, compared with."""


class StandbyDesk(Protocol):
    """A JobManager in standby: what it says, and what it may be told. On its loop."""

    def view(self) -> StandbyView:
        """How far it is."""

    def start(self, order: StartOrder) -> Verdict:
        """Begin the job, unless it has begun or cannot."""

    async def preflight(self, against: str | None, allow_unclaimed: bool | None) -> Report:
        """Look again; None: at the newest in the journal, and as the job's configuration says."""


@final
class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """What REST sees of a JobManager, and what it may ask of it. Read on the JobManager's loop."""

    job_id: JobId
    master_now: Callable[[], JobMaster | None]
    """The job; None while there is none, because a JobManager in standby has not loaded its script."""
    workers: Workers
    configuration: Configuration
    """The cluster's own: without the job's settings."""
    clock: Clock
    loop_time: Callable[[], float]
    """The loop's time, to which `heard_at` of connections refers."""
    process: ProcessMeter
    """Of the JobManager's own process."""
    shut_down: Callable[[], None]
    """End the cluster; the job with it."""
    standby: StandbyDesk | None = None
    """None: it is not in standby, it drives its job from the beginning."""
    flame_graphs: FlameGraphs = msgspec.field(default_factory=FlameGraphs)
    """Those that were asked for lately."""

    @property
    def master(self) -> JobMaster:
        """The job. Refused while there is none."""
        found = self.master_now()
        if found is None:
            why = None if self.standby is None else self.standby.view().standing.error
            raise Refused(503, why or "the job's script is being loaded; try again")
        return found

    def job(self, asked: "Asked") -> JobMaster:
        """The job that the path names."""
        job = asked.hexadecimal("jobid", "job")
        if JobId(job) != self.job_id:
            raise Refused(404, f"Job {job} not found: this JobManager drives job {self.job_id}")
        return self.master

    def vertex(self, asked: "Asked") -> tuple[JobMaster, JobVertex]:
        """The job and the vertex that the path names."""
        master, name = self.job(asked), asked.hexadecimal("vertexid", "vertex")
        found = next((vertex for vertex in master.graph.vertices if vertex.id == name), None)
        if found is None:
            raise Refused(404, f"Job {master.job} has no vertex {name}")
        return master, found

    def taskmanager(self, asked: "Asked") -> TaskManager:
        """The TaskManager that the path names."""
        name = asked.path["taskmanagerid"]
        manager = next((m for m in self.workers.taskmanagers.values() if m.id == name), None)
        if manager is None:
            raise Refused(404, f"TaskManager {name} not found")
        return manager

    async def question(self, manager: TaskManager, question: TaskManagerMessage, kind: type[T]) -> T:
        """What a TaskManager answers. Refused when it has gone or does not answer in time."""
        try:
            answer = await manager.connection.request(
                question, self.configuration.get(options.RPC_TIMEOUT).to_seconds()
            )
        except RemoteError as error:
            status = 404 if error.info.type.endswith(".NoSuchLog") else 503
            raise Refused(status, error.info.message) from error
        except PenstockError as error:
            raise Refused(503, f"TaskManager {manager.id} does not answer: {error}") from error
        assert isinstance(answer, kind), "a TaskManager answers what it is asked"
        return answer


@final
class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    path: Mapping[str, str]
    """The parts of the path that vary, by name."""
    query: Mapping[str, str]
    body: bytes = b""

    def number(self, name: str, default: int) -> int:
        """A query parameter that is a whole number, 0 or more."""
        text = self.query.get(name)
        return default if text is None else _number(text, f"the query parameter {name}")

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """A query parameter that is one of a few words, in any case."""
        text = self.query.get(name)
        if text is None:
            return default
        if text.upper() not in choices:
            raise Refused(400, f"the query parameter {name} is one of {', '.join(choices)}; found {text!r}")
        return text.upper()

    def words(self, name: str) -> tuple[str, ...]:
        """A query parameter that is a list, by commas or by being there more than once; empty: not given."""
        found = [word for key, text in self.query.items() if key == name for word in text.split(",")]
        return tuple(dict.fromkeys(word for word in found if word))

    def path_number(self, name: str, what: str) -> int:
        """A part of the path that is a whole number, 0 or more."""
        return _number(self.path[name], f"the {what} in the path")

    def hexadecimal(self, name: str, what: str) -> str:
        """A part of the path that is an id, in the form that ids have here."""
        return hexadecimal(self.path[name], what)

    def json(self) -> Any:
        """The body as JSON; an empty one is an empty object."""
        return self.read(Any)

    def read(self, kind: type[T] | Any) -> T:
        """The body as a msgspec struct or another type, checked field by field; an empty one is an empty object."""
        try:
            found: T = msgspec.json.decode(self.body or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise Refused(400, f"the request's body is not what is expected: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(400, f"the request's body is not JSON: {error}") from error
        except RecursionError:
            raise Refused(400, "the request's body is nested too deeply") from None
        return found


def hexadecimal(text: str, what: str) -> str:
    """An id, in the form that ids have here."""
    if len(text) != 32 or not set(text) <= _HEXADECIMAL:
        raise Refused(400, f"{text!r} is not a {what} id: expected 32 hexadecimal digits")
    return text.lower()


def _number(text: str, what: str) -> int:
    if not text or not set(text) <= _DIGITS:
        raise Refused(400, f"{what} is a whole number, 0 or more; found {text!r}")
    if len(text) > _DIGITS_MAX:
        raise Refused(400, f"{what} is too large")
    return int(text)


Answerer = Callable[[Cluster, Asked], Any]
"""Gives what becomes JSON, or Content; or a coroutine of these, where others have to be asked first. Never blocks: it
runs on the JobManager's loop."""
