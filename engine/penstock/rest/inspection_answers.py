"""Answers that look into processes: what their threads do, and where the tasks of a vertex spend their time."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from penstock.base.errors import PenstockError
from penstock.base.ids import SubtaskId, WorkerId
from penstock.base.masking import masked
from penstock.base.stacks import dump_threads
from penstock.common.options import cluster as options
from penstock.graph.job_graph import JobVertex
from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rest.executions import Attempt, aggregate_state, attempts_of, counts_of
from penstock.rest.flame_graphs import ENDED, SWITCHED_OFF, TYPES, Sampled
from penstock.rpc.inspection import DumpThreads, SampleStacks, StackSamples, ThreadDump

_TERMINAL: Final = ("FINISHED", "CANCELED", "FAILED")
_MARGIN_S: Final = 15.0


def jobmanager_threads(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobmanager/thread-dump"""
    return _threads(dump_threads("jobmanager"))


async def taskmanager_threads(cluster: Cluster, asked: Asked) -> Any:
    """GET /taskmanagers/:taskmanagerid/thread-dump: those of the TaskManager and of its workers"""
    return _threads((await cluster.question(cluster.taskmanager(asked), DumpThreads(), ThreadDump)).threads)


def flame_graph(cluster: Cluster, asked: Asked) -> Mapping[str, Any]:
    """GET /jobs/:jobid/vertices/:vertexid/flamegraph"""
    master, vertex = cluster.vertex(asked)
    kind = asked.choice("type", TYPES, "FULL")
    subtask = _subtask(asked, vertex)
    get = cluster.configuration.get
    if not get(options.FLAME_ENABLED):
        return SWITCHED_OFF
    attempts = attempts_of(master, vertex)
    if aggregate_state(counts_of(attempt.state for attempt in attempts)) in _TERMINAL:
        return ENDED
    wanted = [attempt for attempt in attempts if subtask is None or attempt.subtask == subtask]
    return cluster.flame_graphs.graph(
        (vertex.id, subtask),
        kind,
        lambda: _sample(cluster, wanted),
        now_s=cluster.loop_time(),
        clock_ms=cluster.clock.now_ms,
        refresh_s=get(options.FLAME_REFRESH).to_seconds(),
        kept_s=get(options.FLAME_CLEAN_UP).to_seconds(),
    )


def _subtask(asked: Asked, vertex: JobVertex) -> SubtaskId | None:
    if "subtaskindex" not in asked.query:
        return None
    index = asked.number("subtaskindex", 0)
    if index >= vertex.parallelism:
        raise Refused(404, f"{vertex.name} has no subtask {index}: its parallelism is {vertex.parallelism}")
    return SubtaskId(vertex.id, index)


async def _sample(cluster: Cluster, attempts: list[Attempt]) -> list[Sampled]:
    assigned = [(attempt.id, attempt.worker) for attempt in attempts if attempt.worker is not None]
    found = await asyncio.gather(*(_sample_worker(cluster, worker) for _, worker in assigned))
    answered = zip(assigned, found, strict=True)
    return [Sampled(attempt, answer.stacks) for (attempt, _), answer in answered if answer is not None]


async def _sample_worker(cluster: Cluster, worker: WorkerId) -> StackSamples | None:
    """None if the worker has gone meanwhile."""
    get, manager = cluster.configuration.get, cluster.workers.home(worker)
    if manager is None:
        return None
    samples, interval_s = get(options.FLAME_SAMPLES), get(options.FLAME_DELAY).to_seconds()
    question = SampleStacks(worker, samples, interval_s, get(options.FLAME_DEPTH))
    try:
        answer = await manager.connection.request(question, samples * interval_s * 3 + _MARGIN_S)
    except PenstockError:
        return None
    assert isinstance(answer, StackSamples), "stacks were asked for"
    return answer


def _threads(threads: tuple[tuple[str, str], ...]) -> Any:
    return {"threadInfos": [{"threadName": name, "stringifiedThreadInfo": masked(text)} for name, text in threads]}
