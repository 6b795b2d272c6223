"""Answers about log files: the JobManager's own, and those of TaskManagers, which are asked for them piece by piece."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from penstock.base.log_files import LogPlace, NoSuchLog, list_logs, read_log
from penstock.common.log_places import jobmanager_logs
from penstock.jobmanager.workers import TaskManager
from penstock.rest.asking import Asked, Cluster, Content, Refused
from penstock.rpc.inspection import ListLogs, LogPiece, Logs, ReadLog

_PIECE_BYTES: Final = 256 * 1024
_TEXT: Final = "text/plain"
_NO_LOGS: Final = "there are no log files: env.log.dir is not set"

Read = Callable[[str, int], Awaitable[bytes]]
"""Gives the piece of a file that begins at an offset; empty behind its end."""


async def jobmanager_list(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobmanager/logs"""
    place = _place(cluster)
    files = await _in_thread(list_logs, None if place is None else place.folder)
    return {"logs": [{"name": file.name, "size": file.size, "mtime": file.modified_ms} for file in files]}


async def jobmanager_log(cluster: Cluster, asked: Asked) -> Content:
    """GET /jobmanager/log"""
    place = _place(cluster)
    return await _content(_own(cluster), None if place is None else place.log.name)


async def jobmanager_stdout(cluster: Cluster, asked: Asked) -> Content:
    """GET /jobmanager/stdout"""
    place = _place(cluster)
    return await _content(_own(cluster), None if place is None else place.out.name)


async def jobmanager_file(cluster: Cluster, asked: Asked) -> Content:
    """GET /jobmanager/logs/:filename"""
    return await _content(_own(cluster), asked.path["filename"])


async def taskmanager_list(cluster: Cluster, asked: Asked) -> Any:
    """GET /taskmanagers/:taskmanagerid/logs"""
    logs = await cluster.question(cluster.taskmanager(asked), ListLogs(), Logs)
    return {"logs": [{"name": name, "size": size, "mtime": at_ms} for name, size, at_ms in logs.files]}


async def taskmanager_log(cluster: Cluster, asked: Asked) -> Content:
    """GET /taskmanagers/:taskmanagerid/log"""
    manager = cluster.taskmanager(asked)
    return await _content(_remote(cluster, manager), (await cluster.question(manager, ListLogs(), Logs)).log)


async def taskmanager_stdout(cluster: Cluster, asked: Asked) -> Content:
    """GET /taskmanagers/:taskmanagerid/stdout"""
    manager = cluster.taskmanager(asked)
    return await _content(_remote(cluster, manager), (await cluster.question(manager, ListLogs(), Logs)).out)


async def taskmanager_file(cluster: Cluster, asked: Asked) -> Content:
    """GET /taskmanagers/:taskmanagerid/logs/:filename"""
    return await _content(_remote(cluster, cluster.taskmanager(asked)), asked.path["filename"])


def _place(cluster: Cluster) -> LogPlace | None:
    return jobmanager_logs(cluster.configuration, cluster.job_id)


def _own(cluster: Cluster) -> Read:
    place = _place(cluster)

    async def read(name: str, offset: int) -> bytes:
        try:
            folder = None if place is None else place.folder
            return bytes(await _in_thread(read_log, folder, name, offset, _PIECE_BYTES))
        except NoSuchLog as error:
            raise Refused(404, str(error)) from error

    return read


def _remote(cluster: Cluster, manager: TaskManager) -> Read:
    async def read(name: str, offset: int) -> bytes:
        return (await cluster.question(manager, ReadLog(name, offset, _PIECE_BYTES), LogPiece)).data

    return read


async def _content(read: Read, name: str | None) -> Content:
    if not name:
        raise Refused(404, _NO_LOGS)
    first = await read(name, 0)

    async def pieces() -> AsyncIterator[bytes]:
        offset, piece = 0, first
        while piece:
            yield piece
            offset += len(piece)
            # A short piece was the last: else a file that grows as fast as it is read would have no end.
            piece = await read(name, offset) if len(piece) == _PIECE_BYTES else b""

    return Content(_TEXT, pieces())


async def _in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)
