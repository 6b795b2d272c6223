"""A worker's control thread: answers the TaskManager about the worker's stacks, whatever the main thread is doing.

It waits for its connection and nothing else, so it costs nothing until asked. It needs the interpreter's lock like any
other thread; where the main thread keeps that (in a compiled function that does not let it go), `dump_on_signal` is
what is left: the dump is then written by a signal handler in C, to a file in the worker's folder.
"""

import asyncio
import faulthandler
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from penstock.base.errors import PenstockError
from penstock.base.ids import AttemptId, WorkerId
from penstock.base.stacks import ThreadIds, dump_threads, sample_thread, this_thread
from penstock.rpc.endpoints import connect_unix
from penstock.rpc.inspection import (
    ControlMessage,
    ControlReady,
    DumpThreads,
    SampledStack,
    SampleStacks,
    StackSamples,
    ThreadDump,
)
from penstock.taskmanager.zygote import DUMP_SIGNAL

log: Final = logging.getLogger(__name__)

_STACKS: Final = "stacks"
_SAMPLES_MAX: Final = 1_000
_INTERVAL_MIN_S: Final = 0.005


def control_socket(socket: Path) -> Path:
    """The socket for control threads beside the one for workers."""
    return socket.with_suffix(".ctl")


def stacks_file(directory: Path) -> Path:
    """Where a worker with this folder writes its stacks when it is sent the signal."""
    return directory / _STACKS


def dump_on_signal(directory: Path) -> None:
    """Have the signal write all stacks of this process to a file in its folder."""
    # Open as long as the process lives: the handler can open nothing.
    file = stacks_file(directory).open("ab", buffering=0)
    faulthandler.register(DUMP_SIGNAL, file=file, all_threads=True)
    _kept_open.append(file)


_kept_open: list[object] = []


def start_control_thread(worker: WorkerId, socket: Path, token: bytes, at_work: Callable[[], AttemptId | None]) -> None:
    """Start it. `at_work()` says whose step the main thread runs."""
    main = this_thread()

    def run() -> None:
        try:
            asyncio.run(_serve(worker, control_socket(socket), token, main, at_work))
        except PenstockError as error:
            log.debug("control thread ends", extra={"reason": str(error)})

    threading.Thread(target=run, name="control", daemon=True).start()


async def _serve(
    worker: WorkerId, socket: Path, token: bytes, main: ThreadIds, at_work: Callable[[], AttemptId | None]
) -> None:
    one_at_a_time = asyncio.Lock()

    async def answer(message: ControlMessage) -> ControlMessage:
        match message:
            case DumpThreads():
                return ThreadDump(tuple(dump_threads(f"worker {worker}")))
            case SampleStacks(_, samples, interval_s, depth_max):
                async with one_at_a_time:
                    found = await sample_thread(
                        main,
                        at_work,
                        samples=min(samples, _SAMPLES_MAX),
                        interval_s=max(interval_s, _INTERVAL_MIN_S),
                        depth_max=depth_max,
                    )
                return StackSamples(
                    tuple(
                        SampledStack(count, sample.on_cpu, sample.frames, attempt)
                        for (attempt, sample), count in found.items()
                    )
                )
            case ControlReady() | ThreadDump() | StackSamples():
                raise AssertionError(f"a TaskManager does not send {type(message).__name__}")

    connection = await connect_unix(ControlMessage, socket, token, answer)
    connection.send(ControlReady(worker))
    await connection.closed
