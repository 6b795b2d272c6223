"""A TaskManager that says that it leaves is gone at once, whatever becomes of its connection."""

import asyncio

from penstock.base.clock import SystemClock
from penstock.base.ids import JobId, TaskManagerId, WorkerId
from penstock.common.configuration import Configuration
from penstock.common.settings import HeartbeatSettings
from penstock.jobmanager.server import TaskManagerServer
from penstock.rpc.connection import RpcConnection
from penstock.rpc.endpoints import connect
from penstock.rpc.messages import Leaving, RegisterTaskManager, TaskManagerMessage, WorkerReady

NAME, WORKER = TaskManagerId("tm"), WorkerId("tm/0.1")


def test_the_workers_of_a_taskmanager_that_leaves_are_lost_at_once_and_do_not_come_back() -> None:
    asyncio.run(leave())


async def leave() -> None:
    changed = asyncio.Event()
    server = TaskManagerServer(
        JobId("0" * 32),
        b"secret",
        heartbeat=HeartbeatSettings.of(Configuration()),
        clock=SystemClock(),
        changed=changed.set,
        on_worker=lambda worker, message: None,
    )
    await server.listen("127.0.0.1", 0)
    ready = WorkerReady(WORKER, 0, 1, "127.0.0.1", 1)
    async with asyncio.timeout(10):
        taskmanager: RpcConnection[TaskManagerMessage] = await connect(
            TaskManagerMessage, "127.0.0.1", server.port, b"secret", lambda message: None
        )
        taskmanager.send(RegisterTaskManager(NAME, "127.0.0.1", 1, 1, 1.0, 1))
        taskmanager.send(ready)
        await changed.wait()
        assert server.workers.alive == (WORKER,)
        changed.clear()
        taskmanager.send(Leaving("it was stopped by SIGTERM"))
        taskmanager.send(ready)
        await changed.wait()
        assert (server.workers.alive, taskmanager.is_open) == ((), True)
        assert server.workers.fates[WORKER].endswith("it was stopped by SIGTERM")
        taskmanager.close()
        await server.close("the test is over")
    assert server.workers.alive == ()
