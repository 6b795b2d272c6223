"""Which tasks take part in a checkpoint, when some have already ended. Pure.

Barriers start at running tasks that no running task sends to: the sources, and later those whose inputs have all ended.
"""

from collections.abc import Iterable, Mapping
from typing import final

import msgspec

from penstock.base.ids import OperatorUid, SubtaskId


@final
class TaskShape(msgspec.Struct, frozen=True):
    """What the coordinator needs to know of a task."""

    subtask: SubtaskId
    operators: tuple[OperatorUid, ...]
    parallelism: int
    max_parallelism: int
    upstream: frozenset[SubtaskId]
    """Tasks that send to it. Consumers of the same producers should share one set."""
    name: str = ""
    """What people know it by."""

    def __str__(self) -> str:
        return f"{self.name} ({self.subtask.index + 1}/{self.parallelism})" if self.name else str(self.subtask)


@final
class Plan(msgspec.Struct, frozen=True):
    """Who does what in one checkpoint."""

    trigger: frozenset[SubtaskId]
    """Asked by the coordinator itself."""

    running: frozenset[SubtaskId]
    """All that have to acknowledge."""

    ended: tuple[TaskShape, ...]
    """Recorded as finished."""


def plan_for(tasks: Mapping[SubtaskId, TaskShape], ended: Iterable[SubtaskId]) -> Plan:
    gone = frozenset(ended)
    running = frozenset(tasks) - gone
    fed: dict[frozenset[SubtaskId], bool] = {}
    trigger = []
    for subtask in running:
        upstream = tasks[subtask].upstream
        if upstream not in fed:
            fed[upstream] = not running.isdisjoint(upstream)
        if not fed[upstream]:
            trigger.append(subtask)
    return Plan(frozenset(trigger), running, tuple(tasks[subtask] for subtask in sorted(gone)))
