"""Which worker runs which subtasks. Pure.

A slot is one worker process. Vertices of one slot sharing group share slots: slot k of the group runs
subtask k of each of its vertices, so a group needs as many slots as its widest vertex.
"""

from collections.abc import Iterable, Mapping
from typing import final

import msgspec

from penstock.base.ids import SubtaskId, WorkerId
from penstock.graph.job_graph import JobGraph


@final
class SlotKey(msgspec.Struct, frozen=True, order=True):
    """One logical slot that the job needs."""

    group: str
    index: int


@final
class Placed(msgspec.Struct, frozen=True):
    """Every slot has its worker."""

    workers: Mapping[SlotKey, WorkerId]


@final
class Missing(msgspec.Struct, frozen=True):
    """There are too few workers."""

    needed: int
    missing: int


def required_slots(graph: JobGraph) -> list[SlotKey]:
    """All slots of a job, in a stable order."""
    widths: dict[str, int] = {}
    for vertex in graph.vertices:
        widths[vertex.slot_sharing_group] = max(widths.get(vertex.slot_sharing_group, 0), vertex.parallelism)
    return [SlotKey(group, index) for group, width in widths.items() for index in range(width)]


def slots_of(graph: JobGraph) -> dict[SubtaskId, SlotKey]:
    """The slot of each subtask."""
    return {
        SubtaskId(vertex.id, index): SlotKey(vertex.slot_sharing_group, index)
        for vertex in graph.vertices
        for index in range(vertex.parallelism)
    }


def place(
    required: Iterable[SlotKey], current: Mapping[SlotKey, WorkerId], alive: Iterable[WorkerId]
) -> Placed | Missing:
    """Keep what stands, give the rest to free workers in the order they came."""
    required = list(required)
    alive = list(alive)
    living = set(alive)
    kept = {key: worker for key, worker in current.items() if worker in living}
    taken = set(kept.values())
    free = [worker for worker in alive if worker not in taken]
    open_slots = [key for key in required if key not in kept]
    if len(free) < len(open_slots):
        return Missing(needed=len(required), missing=len(open_slots) - len(free))
    return Placed({**kept, **dict(zip(open_slots, free, strict=False))})
