"""Messages by which the JobManager looks into processes: log files, stacks of threads, sampled stacks.

Requests and their answers, on the connection between JobManager and TaskManager; those about stacks also between a
TaskManager and the control thread of a worker, past what its main thread is doing.
"""

from typing import final

import msgspec

from penstock.base.ids import AttemptId, WorkerId


class _Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Common encoding of all messages."""


@final
class ListLogs(_Message, frozen=True):
    """Answered by `Logs`."""


@final
class Logs(_Message, frozen=True):
    """The files in a TaskManager's log folder: (name, bytes, time of the last change)."""

    files: tuple[tuple[str, int, int], ...] = ()
    log: str = ""
    """The name of the TaskManager's own log, which its workers write too; empty without a log folder."""
    out: str = ""
    """The same of what they print."""


@final
class ReadLog(_Message, frozen=True):
    """Answered by `LogPiece`."""

    name: str
    offset: int
    bytes_max: int


@final
class LogPiece(_Message, frozen=True):
    """A piece of a log file; empty behind its end."""

    data: bytes


@final
class DumpThreads(_Message, frozen=True):
    """What are all threads doing? Answered by `ThreadDump`."""


@final
class ThreadDump(_Message, frozen=True):
    """Threads of one process or of several: (name, stack)."""

    threads: tuple[tuple[str, str], ...]


@final
class SampleStacks(_Message, frozen=True):
    """Look at the stack of a worker's main thread so many times. Answered by `StackSamples`."""

    worker: WorkerId
    samples: int
    interval_s: float
    depth_max: int


@final
class SampledStack(_Message, frozen=True):
    """A stack that was seen so many times."""

    count: int
    on_cpu: bool
    frames: tuple[str, ...]
    attempt: AttemptId | None = None
    """Whose step it was; None: the worker was between steps."""


@final
class StackSamples(_Message, frozen=True):
    """What was seen."""

    stacks: tuple[SampledStack, ...]


@final
class ControlReady(_Message, frozen=True):
    """First message of a worker's control thread: it can be asked from here on."""

    worker: WorkerId


ControlMessage = ControlReady | DumpThreads | ThreadDump | SampleStacks | StackSamples
