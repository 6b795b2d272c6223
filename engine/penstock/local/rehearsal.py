"""What state a job's operators ask for, found out by opening them on empty state, with nothing running.

The script's child process calls it for `penstock check`. Users' `open` and `initialize_state` do run, as they do at
each start of a job, and so must bear being run again; sources and sinks are left alone, because opening those reaches
out.
"""

import pickle
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, final

from penstock.base.clock import SystemClock
from penstock.base.ids import JobId, OperatorUid
from penstock.checkpoint.comparison import Asked
from penstock.common.configuration import Configuration
from penstock.common.metrics import MetricTree
from penstock.common.options import jobs
from penstock.graph.job_graph import ChainedOperator, JobGraph, JobVertex
from penstock.graph.loading import install_prelude
from penstock.operators.operator import Operator, OperatorContext, SourceDriver, StateContext, Steps
from penstock.operators.sink_operator import SinkOperator
from penstock.records.batch import Batch
from penstock.records.key_groups import KeyGroupRange
from penstock.records.key_types import OPEN, declared_key_type
from penstock.state.backend import KeyedBackend, SnapshotReader
from penstock.state.open import open_backend
from penstock.state.operator_state import OperatorStateBackend
from penstock.state.settings import StateSettings

_CLOCK: Final = SystemClock()
_JOB: Final = JobId("0" * 32)


def rehearse(
    graph: JobGraph, configuration: Configuration, directory: Path, timeout_s: float
) -> dict[OperatorUid, Asked]:
    """What each operator asks for; `timeout_s` is each one's, and `directory` for files of theirs.

    Call it in a process that is of no other use.
    """
    install_prelude(graph, directory)
    return {
        operator.uid: asked
        for vertex in graph.vertices
        for operator in vertex.chain
        if (asked := _asked(operator, vertex, configuration, directory, timeout_s)) is not None
    }


@final
class _TooSlow(BaseException):
    """No Exception, so that the user's own handlers let it pass."""


def _asked(
    described: ChainedOperator, vertex: JobVertex, configuration: Configuration, directory: Path, timeout_s: float
) -> Asked | None:
    keyed = _backend(described, vertex, directory) if described.keyed else None
    state = OperatorStateBackend(
        operator_name=described.name, uid=described.uid, restore=(), infos=(), reader=_NothingToRead()
    )
    key_type = declared_key_type(described.key_type)
    try:
        with _at_most(timeout_s):
            operator: Operator = pickle.loads(described.factory)()
            if isinstance(operator, SourceDriver | SinkOperator):
                return None
            _open(operator, _context(described, vertex, configuration, directory), state, keyed)
    except _TooSlow:
        return Asked(failure=f"its open() took longer than {timeout_s:g} s")
    except Exception as error:
        return Asked(failure=f"its open() failed: {type(error).__name__}: {error}".rstrip(": "))
    return Asked(
        keyed=keyed.infos() if keyed is not None else (),
        operator=state.infos(),
        key_type=None if key_type == OPEN else {"key": key_type.to_json()},
    )


def _open(
    operator: Operator, context: OperatorContext, state: OperatorStateBackend, keyed: KeyedBackend | None
) -> None:
    operator.setup(context, _Nowhere())
    try:
        operator.initialize_state(StateContext(restored_checkpoint=None, operator=state, keyed=keyed))
        operator.open()
    finally:
        operator.close()


def _backend(described: ChainedOperator, vertex: JobVertex, directory: Path) -> KeyedBackend:
    return open_backend(
        "hashmap",
        operator_name=described.name,
        uid=described.uid,
        key_groups=KeyGroupRange(0, vertex.max_parallelism - 1),
        max_parallelism=vertex.max_parallelism,
        key_type=described.key_type,
        restore=(),
        reader=_NothingToRead(),
        directory=directory,
        clock=_CLOCK,
        memory=None,
        settings=StateSettings(),
    )


def _context(
    described: ChainedOperator, vertex: JobVertex, configuration: Configuration, directory: Path
) -> OperatorContext:
    parameters: Mapping[str, str] | None = configuration.get(jobs.GLOBAL_JOB_PARAMETERS)
    return OperatorContext(
        job=_JOB,
        job_name="check",
        name=described.name,
        uid=described.uid,
        task_name=vertex.name,
        subtask=0,
        parallelism=vertex.parallelism,
        max_parallelism=vertex.max_parallelism,
        attempt=0,
        configuration=configuration,
        job_parameters={} if parameters is None else parameters,
        metrics=MetricTree(_CLOCK).root,
        clock=_CLOCK,
        processing_time=_NoTime(),
        background=_NoBackground(),
        mailbox=lambda work: None,
        directory=directory,
        send_event=lambda payload: None,
        checkpointing=True,
    )


@contextmanager
def _at_most(timeout_s: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@final
class _Nowhere:
    """What an operator emits while it is opened is dropped."""

    def batch(self, batch: Batch) -> None:
        return None

    def side(self, tag: str, batch: Batch) -> None:
        return None

    def watermark(self, timestamp_ms: int) -> None:
        return None

    def status(self, idle: bool) -> None:
        return None


@final
class _NoTime:
    """Timers that never fire."""

    def at(self, timestamp_ms: int, callback: Callable[[int], Steps | None]) -> "_NoTime":
        return self

    def cancel(self) -> None:
        return None


@final
class _NoBackground:
    """Work that is never done."""

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        return None


@final
class _NothingToRead(SnapshotReader):
    """There is no state."""

    def read(self, handle: Any) -> bytes:
        raise AssertionError("nothing is restored")

    def fetch(self, handle: Any, path: str, *, unchanging: bool = False, again: bool = False) -> None:
        raise AssertionError("nothing is restored")
