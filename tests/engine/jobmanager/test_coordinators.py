"""What operators' coordinators send reaches the right attempt, on the right side of each checkpoint's barrier."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cloudpickle
import pytest

from penstock.base.clock import SystemClock
from penstock.base.ids import CheckpointId, OperatorUid, SubtaskId, VertexId
from penstock.common.configuration import Configuration
from penstock.graph.job_graph import ChainedOperator, JobVertex
from penstock.jobmanager.coordinators import HostedCoordinator
from penstock.operators.coordinator import CoordinatorContext, OperatorCoordinator
from penstock.testing.loops import run, turns, until

FIRST, SECOND = CheckpointId(1), CheckpointId(2)
Told = list[tuple[int | None, bytes]]
snapshot_may_end = threading.Event()


class Echo(OperatorCoordinator):
    """Sends back what it hears."""

    def start(self, context: CoordinatorContext) -> None:
        self.context = context

    def handle_event(self, subtask: int, attempt: int, event: bytes) -> None:
        self.context.send(subtask, event)

    def snapshot(self, checkpoint: CheckpointId) -> bytes:
        assert snapshot_may_end.wait(10.0)
        return b""

    def restore(self, checkpoint: CheckpointId, state: bytes | None) -> None:
        """It has no state."""


def vertex() -> JobVertex:
    operator = ChainedOperator(
        uid=OperatorUid("u"), uid_given=False, name="echo", factory=b"", parent=None, tag=None, keyed=False,
        key_type=None, coordinator=cloudpickle.dumps(Echo), bounded=True,
    )  # fmt: skip
    return JobVertex(
        id=VertexId(0), name="echo", chain=(operator,), parallelism=1, max_parallelism=1, slot_sharing_group="default"
    )


@contextmanager
def hosted(told: Told) -> Iterator[HostedCoordinator]:
    def send(subtask: SubtaskId, attempt: int | None, operator: int, event: bytes) -> None:
        told.append((attempt, event))

    def fail(error: BaseException) -> None:
        raise error

    snapshot_may_end.set()
    host = HostedCoordinator(
        vertex(), 0, configuration=Configuration(), clock=SystemClock(), send=send, fail=fail, deliver=lambda _: None
    )
    host.start(None, None)
    try:
        yield host
    finally:
        snapshot_may_end.set()
        host.close()


async def done(host: HostedCoordinator) -> None:
    """All that was asked of the coordinator has been done, and what it sent has been looked at."""
    over = asyncio.get_running_loop().create_future()
    host.call(lambda _: over.get_loop().call_soon_threadsafe(over.set_result, None))
    await over
    await turns()


def test_what_is_sent_after_a_snapshot_waits_for_the_barriers() -> None:
    async def scenario() -> None:
        told: Told = []
        with hosted(told) as host:
            host.event(0, 0, b"before")
            await host.snapshot(FIRST)
            host.event(0, 0, b"after")
            await done(host)
            assert told == [(0, b"before")]
            host.release(FIRST)
            assert told == [(0, b"before"), (0, b"after")]

    run(scenario())


def test_another_checkpoints_end_lets_nothing_go() -> None:
    async def scenario() -> None:
        told: Told = []
        with hosted(told) as host:
            await host.snapshot(FIRST)
            host.release(FIRST)
            await host.snapshot(SECOND)
            host.event(0, 0, b"behind the second")
            await done(host)
            host.release(FIRST)
            assert told == []
            host.release(SECOND)
            assert told == [(0, b"behind the second")]

    run(scenario())


def test_a_checkpoint_that_was_aborted_while_the_snapshot_was_taken_holds_nothing_for_ever() -> None:
    async def scenario() -> None:
        told: Told = []
        with hosted(told) as host:
            snapshot_may_end.clear()
            taking = asyncio.ensure_future(host.snapshot(FIRST))
            await turns()
            host.release(FIRST)  # The abort finds nothing to release yet.
            snapshot_may_end.set()
            await taking
            host.event(0, 0, b"after")
            await done(host)
            host.release(FIRST)
            await until(lambda: told == [(0, b"after")])

    run(scenario())


@pytest.mark.parametrize("held", [False, True])
def test_what_is_sent_is_for_the_attempt_that_the_coordinator_knew(held: bool) -> None:
    async def scenario() -> None:
        told: Told = []
        with hosted(told) as host:
            if held:
                await host.snapshot(FIRST)
            host.event(0, 0, b"to the first")
            host.subtask_ready(0, 1)
            host.event(0, 1, b"to the second")
            await done(host)
            host.release(FIRST)
            assert told == [(0, b"to the first"), (1, b"to the second")]

    run(scenario())
