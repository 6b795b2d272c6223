"""What a TaskManager answers about itself and its workers: logs, stacks of all threads, sampled stacks.

Asked by the JobManager through the supervisor. Workers are asked through their control threads, past their main
threads; one that cannot even answer there is sent a signal and read from its file. Nothing here waits for user code.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, final

import msgspec

from penstock.base.errors import PenstockError
from penstock.base.ids import TaskManagerId, WorkerId
from penstock.base.log_files import LogPlace, list_logs, read_log
from penstock.base.stacks import dump_threads
from penstock.rpc.connection import RpcConnection
from penstock.rpc.endpoints import RpcServer
from penstock.rpc.inspection import (
    ControlMessage,
    ControlReady,
    DumpThreads,
    ListLogs,
    LogPiece,
    Logs,
    ReadLog,
    SampleStacks,
    StackSamples,
    ThreadDump,
)

_ANSWER_S: Final = 1.5
"""Time for a control thread to get the interpreter's lock."""
_SIGNAL_S: Final = 1.0
_LOOK_S: Final = 0.02
_MARGIN_S: Final = 10.0
_PIECE_MAX: Final = 1 << 20
_ROTATE_S: Final = 1.0

Question = ListLogs | ReadLog | DumpThreads | SampleStacks


@final
class InspectedWorker(msgspec.Struct, frozen=True):
    """A worker as the supervisor knows it."""

    stacks: Path
    """The file that it writes when it is sent the signal."""
    send_signal: Callable[[], None]


@final
class Inspection:
    """Listens for control threads once started."""

    def __init__(
        self,
        taskmanager: TaskManagerId,
        place: LogPlace | None,
        token: bytes,
        workers: Callable[[], Mapping[WorkerId, InspectedWorker]],
    ) -> None:
        """`workers()`: those that live now."""
        self._taskmanager = taskmanager
        self._place = place
        self._workers = workers
        self._controls: dict[WorkerId, RpcConnection[ControlMessage]] = {}
        self._server: RpcServer[ControlMessage] = RpcServer(ControlMessage, token, self._connected)
        self._loop = asyncio.get_running_loop()
        self._rotating: asyncio.TimerHandle | None = None

    async def start(self, socket: Path) -> None:
        """Take the socket; look after the log files from now on."""
        await self._server.listen_unix(socket)
        if self._place is not None:
            self._rotate(self._place)

    async def close(self, reason: str) -> None:
        """Answer no more."""
        if self._rotating is not None:
            self._rotating.cancel()
        await self._server.close(reason)

    async def answer(self, question: Question) -> Logs | LogPiece | ThreadDump | StackSamples:
        """The answer; PenstockError if there is none, which travels to the asker."""
        match question:
            case ListLogs():
                return await self._loop.run_in_executor(None, self._list)
            case ReadLog(name, offset, bytes_max):
                folder = None if self._place is None else self._place.folder
                size = min(bytes_max, _PIECE_MAX)
                return LogPiece(await self._loop.run_in_executor(None, read_log, folder, name, offset, size))
            case DumpThreads():
                return await self._dump()
            case SampleStacks():
                return await self._sample(question)

    def _list(self) -> Logs:
        place = self._place
        if place is None:
            return Logs()
        files = tuple((file.name, file.size, file.modified_ms) for file in list_logs(place.folder))
        return Logs(files, place.log.name, place.out.name)

    async def _dump(self) -> ThreadDump:
        own = dump_threads(f"taskmanager {self._taskmanager}")
        workers = self._workers()
        found = await asyncio.gather(*(self._dump_worker(worker, seen) for worker, seen in workers.items()))
        return ThreadDump((*own, *(thread for threads in found for thread in threads)))

    async def _dump_worker(self, worker: WorkerId, seen: InspectedWorker) -> tuple[tuple[str, str], ...]:
        control = self._controls.get(worker)
        if control is None:
            return ((f"worker {worker}", f"worker {worker} is starting\n"),)
        try:
            answer = await control.request(DumpThreads(), _ANSWER_S)
        except PenstockError:
            text = await self._dump_by_signal(seen)
            return ((f"worker {worker}", f"worker {worker} keeps the interpreter to itself:\n{text}"),)
        assert isinstance(answer, ThreadDump), "stacks were asked for"
        return answer.threads

    async def _dump_by_signal(self, seen: InspectedWorker) -> str:
        size = 0
        with contextlib.suppress(OSError):
            os.truncate(seen.stacks, 0)
        seen.send_signal()
        deadline = self._loop.time() + _SIGNAL_S
        while self._loop.time() < deadline:
            await asyncio.sleep(_LOOK_S)
            try:
                before, size = size, seen.stacks.stat().st_size
            except OSError:
                break
            if size and size == before:
                return seen.stacks.read_text(errors="replace")
        return "it does not answer\n"

    async def _sample(self, question: SampleStacks) -> StackSamples:
        control = self._controls.get(question.worker)
        if control is None:
            raise PenstockError(f"worker {question.worker} is not here")
        answer = await control.request(question, question.samples * question.interval_s * 3 + _MARGIN_S)
        assert isinstance(answer, StackSamples), "samples were asked for"
        return answer

    def _connected(self, connection: RpcConnection[ControlMessage]) -> None:
        connection.on_message = lambda message: self._said(connection, message)

    def _said(self, connection: RpcConnection[ControlMessage], message: ControlMessage) -> None:
        assert isinstance(message, ControlReady), "a control thread answers, and says nothing else"
        worker = message.worker
        self._controls[worker] = connection
        connection.closed.add_done_callback(lambda _: self._controls.pop(worker, None))

    def _rotate(self, place: LogPlace) -> None:
        place.rotate()
        self._rotating = self._loop.call_later(_ROTATE_S, self._rotate, place)
