"""Union list state at the end of a job: all subtasks of an operator leave with one checkpoint, or none does. Pure.

What a subtask has in a union list belongs to every subtask. One that has ended takes no part in checkpoints any more,
so its elements would be missing from those that come after. Flink's rule: such a checkpoint is given up, and those that
come before, so that the quick subtasks wait for the slow ones.
"""

from collections.abc import Iterable, Sequence

from penstock.base.ids import OperatorUid
from penstock.checkpoint.handles import OperatorSnapshot, TaskSnapshot
from penstock.checkpoint.plan import TaskShape


def torn_union(tasks: Sequence[TaskSnapshot], ended: Iterable[TaskShape], *, is_savepoint: bool) -> str | None:
    """Why this checkpoint must not complete, if it must not. No task ends with a savepoint, unless all do."""
    gone = {uid for shape in ended for uid in shape.operators}
    leaving: dict[OperatorUid, set[bool]] = {}
    unions: dict[OperatorUid, str] = {}
    for task in tasks:
        for operator in task.operators:
            leaving.setdefault(operator.uid, set()).add(task.finished or task.data_ended)
            state = _union_of(operator)
            if state is not None:
                unions[operator.uid] = f"operator {operator.name or operator.uid} has union state {state!r}"
    for uid, named in sorted(unions.items()):
        if uid in gone:
            return f"{named}, and some of its subtasks have ended"
        if len(leaving[uid]) > 1 and not is_savepoint:
            return f"{named}, and only some of its subtasks have had all their data: those wait for the others"
    return None


def _union_of(operator: OperatorSnapshot) -> str | None:
    """The name of a union list that the subtask has, whatever is in it."""
    return next((info.name for info in operator.states if info.kind == "union"), None)
