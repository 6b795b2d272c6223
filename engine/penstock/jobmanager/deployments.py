"""Turns 'these attempts on those workers' into deployments: channels laid out, state given back. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import final

from penstock.base.ids import AttemptId, ChannelId, CheckpointId, SubtaskId, WorkerId
from penstock.exchange.wiring import consumers_of
from penstock.graph.job_graph import JobGraph
from penstock.rpc.messages import (
    InputChannelSpec,
    OperatorRestore,
    OutputChannelSpec,
    OutputSpec,
    TaskDeployment,
)


@final
class Deployer:
    """Numbers channels; no number is ever used twice, so that frames of an old deployment find nobody."""

    def __init__(self, graph: JobGraph, first_channel: int) -> None:
        self._graph = graph
        self._next = first_channel

    def reshape(self, graph: JobGraph) -> None:
        """The job's graph is this one now."""
        self._graph = graph

    def deploy(
        self,
        attempts: Mapping[AttemptId, WorkerId],
        address: Callable[[WorkerId], tuple[str, int]],
        restored: CheckpointId | None,
        restore: Callable[[SubtaskId], tuple[OperatorRestore, ...]],
        finished: Iterable[SubtaskId],
        *,
        commit_only: bool = False,
    ) -> dict[WorkerId, list[TaskDeployment]]:
        """The deployments of one region, by worker."""
        finished = frozenset(finished)
        where = {attempt.subtask: worker for attempt, worker in attempts.items()}
        inputs: dict[SubtaskId, list[InputChannelSpec]] = {subtask: [] for subtask in where}
        outputs: dict[SubtaskId, list[OutputSpec]] = {subtask: [] for subtask in where}
        for edge in self._graph.edges:
            producers = self._graph.vertex(edge.source).parallelism
            consumers = self._graph.vertex(edge.target).parallelism
            for i in range(producers):
                producer = SubtaskId(edge.source, i)
                if producer not in where:
                    continue
                specs: list[OutputChannelSpec] = []
                for j in consumers_of(edge.exchange, i, producers, consumers):
                    consumer = SubtaskId(edge.target, j)
                    worker = where[consumer]
                    host, port = address(worker)
                    channel = ChannelId(self._next)
                    self._next += 1
                    specs.append(OutputChannelSpec(channel, j, worker, host, port))
                    local = worker == where[producer]
                    inputs[consumer].append(InputChannelSpec(channel, edge.id, edge.port, i, local))
                outputs[producer].append(OutputSpec(edge.id, tuple(specs)))
        found: dict[WorkerId, list[TaskDeployment]] = {}
        for attempt, worker in attempts.items():
            subtask = attempt.subtask
            found.setdefault(worker, []).append(
                TaskDeployment(
                    attempt,
                    tuple(inputs[subtask]),
                    tuple(outputs[subtask]),
                    restored,
                    restore(subtask) if restored is not None else (),
                    subtask in finished,
                    commit_only,
                )
            )
        return found
