"""One kind of id, one type. Used by every layer; knows nothing of streams beyond names."""

import secrets
from dataclasses import dataclass
from typing import NewType

JobId = NewType("JobId", str)
"""32 hexadecimal digits, as Flink's."""

VertexId = NewType("VertexId", str)
"""A vertex of the job graph (one fused chain): 32 hexadecimal digits, as Flink's."""

OperatorUid = NewType("OperatorUid", str)
"""What state is found by: the user's `uid`, or a generated one that follows from the graph."""

CheckpointId = NewType("CheckpointId", int)
"""Counts up from 1 over a job's whole life; never restarts."""

Epoch = NewType("Epoch", int)
"""The number of a JobManager's reign over a job; the holder of the newest one may write."""

KeyGroup = NewType("KeyGroup", int)
"""0 <= key group < max parallelism."""

ChannelId = NewType("ChannelId", int)
"""One producer subtask to one consumer subtask over one edge, in one deployment; never reused within a job."""

TaskManagerId = NewType("TaskManagerId", str)

WorkerId = NewType("WorkerId", str)
"""`<task manager id>/<slot index>.<incarnation>`: one process."""


@dataclass(frozen=True, slots=True, order=True)
class SubtaskId:
    """One parallel instance of a vertex, over all its attempts."""

    vertex: VertexId
    index: int

    def __str__(self) -> str:
        return f"{self.vertex[:8]}#{self.index}"


@dataclass(frozen=True, slots=True, order=True)
class AttemptId:
    """One try at running a subtask."""

    subtask: SubtaskId
    attempt: int

    def __str__(self) -> str:
        return f"{self.subtask}.{self.attempt}"


def new_job_id() -> JobId:
    """A fresh random job id."""
    return JobId(secrets.token_hex(16))
