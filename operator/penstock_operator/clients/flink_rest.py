"""A JobManager's REST: what a revision says of itself and its job, and the acts that it carries out.

Called by both worlds. Every call has a time-out, and none is repeated here: acts are asked for under ids that make a
repetition harmless, and passes are repeated as a whole. What cannot be found out is `Unknown`, with a sentence.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, final
from urllib.parse import quote

import aiohttp
import msgspec

from penstock_operator.clients.rest_answers import (
    Triggered,
    checkpoint_path,
    job_answer,
    refusal,
    triggered,
)
from penstock_operator.decide.acts import (
    CheckState,
    Dispose,
    OfJobManager,
    Rescale,
    RetainCheckpoints,
    StartJob,
    TriggerCheckpoint,
    TriggerSavepoint,
)
from penstock_operator.decide.facts import JobAnswer, TriggerAnswer, TriggerState, Unknown
from penstock_operator.decide.questions import TriggerKind
from penstock_operator.errors import Missing, OperatorError, Rejected, Unavailable

T = TypeVar("T")

TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 2.0
CONNECTIONS: Final = 256
"""At once; those that are kept for the next look are not among them."""
KEPT_S: Final = 75.0
"""Longer than from one look at a steady job to the next: half of what a look costs is to connect."""
ANSWER_BYTES_MAX: Final = 1 << 20
_NO_ANSWER: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
_FOLDERS: Final[dict[TriggerKind, str]] = {
    "savepoint": "savepoints",
    "checkpoint": "checkpoints",
    "rescaling": "rescaling",
}
_SERVER_BUSY: Final = frozenset({408, 425, 429})


def open_session() -> aiohttp.ClientSession:
    """Connections for all jobs; whoever opens it closes it."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, limit_per_host=4, keepalive_timeout=KEPT_S)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
    return aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    )


@final
class FlinkRest:
    """Speaks with the JobManagers of all jobs. `address` is always `http://host:port` of one."""

    def __init__(self, session: aiohttp.ClientSession, *, count: Callable[[str, str, str], None]) -> None:
        """`count` is told verb, what was asked, and status of every request."""
        self._session = session
        self._count = count

    # What it says.

    async def answer(self, address: str) -> JobAnswer | Unknown:
        """What a revision's JobManager says, in one request."""
        return await _known(self._answer(address))

    async def trigger(self, address: str, job: str, kind: TriggerKind, trigger_id: str) -> TriggerAnswer | Unknown:
        """What became of what was asked for."""
        return await _known(self._trigger(address, job, kind, trigger_id))

    # What it is to do. Unavailable: whether it was heard is not known; Rejected says why it is not done.

    async def ask(self, address: str, job: str, act: OfJobManager) -> None:
        """Whatever it is."""
        match act:
            case StartJob():
                await self.start(address, act)
            case CheckState():
                await self.check_state(address, act)
            case TriggerSavepoint():
                await self.savepoint(address, job, act)
            case TriggerCheckpoint():
                await self.checkpoint(address, job, act)
            case Rescale():
                await self.rescale(address, job, act)
            case RetainCheckpoints():
                await self.retain(address, act)
            case Dispose(paths=paths):
                for path in paths:
                    await self.dispose(address, path)

    async def start(self, address: str, act: StartJob) -> None:
        """Done once under its start id."""
        origin: dict[str, Any] = {"kind": act.origin.kind}
        if act.origin.path is not None:
            origin["path"] = act.origin.path
        body = {
            "startId": act.start_id,
            "from": origin,
            "allowNonRestoredState": act.allow_non_restored,
            "claimMode": act.claim_mode,
        }
        await self._asked(address, "POST", "standby", "/penstock/standby", body=body)

    async def check_state(self, address: str, act: CheckState) -> None:
        """Begun, not waited for: it may take longer than a request; `answer` tells what it finds."""
        try:
            await self._asked(address, "POST", "preflight", "/penstock/preflight", body={"against": act.against})
        except Unavailable as error:
            # Who cannot be reached at all refuses the connection, or has a connect time-out of its own.
            if not isinstance(error.__cause__, TimeoutError) or isinstance(error.__cause__, aiohttp.ClientError):
                raise

    async def savepoint(self, address: str, job: str, act: TriggerSavepoint) -> None:
        """A savepoint in a folder of its own below the one given, and the job's end after it if so told. Done once
        under its trigger id."""
        body = {"triggerId": act.trigger_id, "formatType": act.format.upper()}
        if act.stop:
            body |= {"targetDirectory": act.directory}
            await self._asked(address, "POST", "stop", f"/jobs/{job}/stop", body=body)
        else:
            body |= {"target-directory": act.directory}
            await self._asked(address, "POST", "savepoint", f"/jobs/{job}/savepoints", body=body)

    async def checkpoint(self, address: str, job: str, act: TriggerCheckpoint) -> None:
        """Done once under its trigger id."""
        await self._asked(address, "POST", "checkpoint", f"/jobs/{job}/checkpoints", body={"triggerId": act.trigger_id})

    async def rescale(self, address: str, job: str, act: Rescale) -> None:
        """Done once under its trigger id, where it is found too why it cannot be. At that parallelism already, nothing
        changes."""
        path = f"/jobs/{job}/rescaling?parallelism={act.spec.job.parallelism}&triggerId={act.trigger_id}"
        await self._asked(address, "PATCH", "rescaling", path)

    async def retain(self, address: str, act: RetainCheckpoints) -> None:
        """For as long as this JobManager lives."""
        body = {"count": act.count} | ({} if act.pinned is None else {"pinned": act.pinned})
        await self._asked(address, "PUT", "retention", "/penstock/retention", body=body)

    async def dispose(self, address: str, path: str) -> None:
        """Have a savepoint removed by the JobManager, which knows what needs it. Begun, not waited for."""
        await self._asked(address, "POST", "disposal", "/savepoint-disposal", body={"savepoint-path": path})

    async def _answer(self, address: str) -> JobAnswer:
        return job_answer(await self._asked(address, "GET", "summary", "/penstock/summary"))

    async def _trigger(self, address: str, job: str, kind: TriggerKind, trigger_id: str) -> TriggerAnswer:
        path = f"/jobs/{job}/{_FOLDERS[kind]}/{quote(trigger_id, safe='')}"
        try:
            found: Triggered = triggered(await self._asked(address, "GET", f"{kind} status", path))
        except Missing:
            return TriggerAnswer(TriggerState.UNKNOWN)
        if found.checkpoint is None or found.answer.state is not TriggerState.COMPLETED:
            return found.answer
        details = f"/jobs/{job}/checkpoints/details/{found.checkpoint}"
        try:
            where = checkpoint_path(await self._asked(address, "GET", "checkpoint details", details))
        except Missing:
            where = ""  # It completed, and the JobManager remembers newer ones only.
        return TriggerAnswer(TriggerState.COMPLETED, path=where)

    async def _asked(
        self, address: str, verb: str, what: str, path: str, *, body: Mapping[str, Any] | None = None
    ) -> bytes:
        """The answer's bytes. Missing for 404, Rejected for other refusals, Unavailable for no answer."""
        status = "none"
        try:
            async with self._session.request(
                verb,
                f"{address}/v1{path}",
                data=None if body is None else msgspec.json.encode(body),
                headers={"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": ""},
                allow_redirects=False,
            ) as response:
                status = str(response.status)
                data = await _limited(response)
        except _NO_ANSWER as error:
            reason = str(error) or "no answer in time"
            raise Unavailable(f"the JobManager at {address} does not answer: {reason}") from error
        finally:
            self._count(verb, what, status)
        if 200 <= response.status < 300:
            return data
        raise _refused(address, response.status, data)


async def _known(asked: Awaitable[T]) -> T | Unknown:
    try:
        return await asked
    except OperatorError as error:
        return Unknown(str(error))


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise ValueError(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
    return b"".join(pieces)


def _refused(address: str, status: int, data: bytes) -> OperatorError:
    sentence = refusal(data, status)
    if status == 404:
        return Missing(sentence)
    if status >= 500 or status in _SERVER_BUSY:
        return Unavailable(f"the JobManager at {address} cannot answer now: {sentence}")
    return Rejected(sentence, status)
