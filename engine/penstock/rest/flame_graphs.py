"""Flame graphs: where the tasks of a vertex spend their time, from stacks sampled on their workers for a few seconds.

The first request begins the sampling and is told to wait; later ones get what was found, until it is too old, and even
then until something newer is there. So asking often costs nothing, and few vertices are sampled at a time.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from penstock.base.ids import AttemptId, SubtaskId
from penstock.rpc.inspection import SampledStack

ENDED: Final[Mapping[str, Any]] = {"endTimestamp": -1}
SWITCHED_OFF: Final[Mapping[str, Any]] = {"endTimestamp": -2}
WAITING: Final[Mapping[str, Any]] = {"endTimestamp": -3}
"""Flink's answers where there is no graph."""
TYPES: Final = ("FULL", "ON_CPU", "OFF_CPU")
_RUNNING_MAX: Final = 8
_STEP: Final = "penstock.taskmanager.task.Task._step:"
_OTHER_TASK: Final = "(waits while another task of the same worker runs)"


@final
@dataclass(frozen=True, slots=True)
class Sampled:
    """What was seen of one subtask."""

    attempt: AttemptId
    stacks: tuple[SampledStack, ...]
    """All of its worker's, of other tasks too."""


Sampler = Callable[[], Coroutine[Any, Any, list[Sampled]]]
Key = tuple[str, SubtaskId | None]
"""A vertex, and one of its subtasks or all."""


@final
@dataclass(slots=True)
class _Known:
    sampled: list[Sampled] | None = None
    at_ms: int = 0
    asked_s: float = 0.0
    taken_s: float = 0.0
    task: "asyncio.Task[None] | None" = None


@final
@dataclass(slots=True)
class FlameGraphs:
    """Samples by vertex."""

    _known: dict[Key, _Known] = field(default_factory=dict)

    def graph(
        self,
        key: Key,
        kind: str,
        sample: Sampler,
        *,
        now_s: float,
        clock_ms: Callable[[], int],
        refresh_s: float,
        kept_s: float,
    ) -> Mapping[str, Any]:
        """The newest graph of this kind; begins to sample where there is none or it is old."""
        for other in [other for other, each in self._known.items() if now_s - each.asked_s > kept_s]:
            del self._known[other]
        known = self._known.setdefault(key, _Known())
        known.asked_s = now_s
        running = sum(each.task is not None for each in self._known.values())
        old = known.sampled is None or now_s - known.taken_s > refresh_s
        if old and known.task is None and running < _RUNNING_MAX:
            known.task = asyncio.get_running_loop().create_task(_take(known, sample, clock_ms))
        if known.sampled is None:
            return WAITING
        return {"endTimestamp": known.at_ms, "data": tree(known.sampled, kind)}


async def _take(known: _Known, sample: Sampler, clock_ms: Callable[[], int]) -> None:
    try:
        known.sampled = await sample()
        known.at_ms, known.taken_s = clock_ms(), asyncio.get_running_loop().time()
    finally:
        known.task = None


def tree(sampled: Iterable[Sampled], kind: str) -> dict[str, Any]:
    """Stacks laid over each other, in the form that flame graphs are drawn from. Pure."""
    root: dict[str, Any] = {"name": "root", "value": 0, "children": {}}
    for subtask in sampled:
        for stack in subtask.stacks:
            on_cpu, frames = _of(subtask.attempt, stack)
            if kind == "FULL" or on_cpu == (kind == "ON_CPU"):
                _add(root, frames, stack.count)
    return _listed(root)


def _of(attempt: AttemptId, stack: SampledStack) -> tuple[bool, tuple[str, ...]]:
    """What the stack means for this attempt."""
    if stack.attempt is None:
        return stack.on_cpu, stack.frames  # Between steps the worker's loop serves all its tasks.
    if stack.attempt != attempt:
        return False, (_OTHER_TASK,)
    # What leads to a step is the same for all.
    begin = next((at for at, frame in enumerate(stack.frames) if frame.startswith(_STEP)), 0)
    return stack.on_cpu, stack.frames[begin:]


def _add(node: dict[str, Any], frames: tuple[str, ...], count: int) -> None:
    node["value"] += count
    for frame in frames:
        node = node["children"].setdefault(frame, {"name": frame, "value": 0, "children": {}})
        node["value"] += count


def _listed(node: dict[str, Any]) -> dict[str, Any]:
    children = [_listed(child) for child in node["children"].values()]
    return {"name": node["name"], "value": node["value"], "children": children}
