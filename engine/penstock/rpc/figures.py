"""What is measured, as it travels: of tasks, of operators, of users' functions, of processes. Values only.

Made by workers and TaskManagers, kept by TaskManagers for Prometheus and by the JobManager for REST. What a figure is
called is no business of this module: see `penstock.monitoring`. Fields are only ever added, at the end.
"""

from typing import Literal, final

import msgspec

from penstock.base.ids import AttemptId, OperatorUid
from penstock.records.batch import MIN_TIMESTAMP


class _Figures(msgspec.Struct, frozen=True):
    """Common encoding: fields by place."""


@final
class OperatorNames(_Figures, frozen=True, array_like=True):
    """What people call an operator."""

    uid: OperatorUid
    name: str


@final
class UserMetric(_Figures, frozen=True, array_like=True):
    """What a metric of a user's function says; see `penstock.common.metrics.MetricReading`."""

    name: str
    logical: str
    kind: Literal["counter", "gauge", "meter", "distribution"]
    values: dict[str, int | float]
    variables: dict[str, str] = {}


@final
class KeyedMetrics(_Figures, frozen=True, array_like=True):
    """Keyed state of one operator's subtask. Skews are the greatest key group over the mean one; 0: not known yet."""

    bytes: int = 0
    keys: int = 0
    key_groups: int = 0
    keys_skew: float = 0.0
    keys_skewed_group: int = -1
    """The key group that has the most keys."""
    records_skew: float = 0.0
    records_skewed_group: int = -1
    """The key group that lately got the most records."""
    native: dict[str, dict[str, int]] = {}
    """What a database under it says of itself: by state, then by name; of the whole under the empty name."""
    state_as_variable: bool = False
    """Whether that is told with the state's name as a variable."""


@final
class OperatorMetrics(_Figures, frozen=True, array_like=True):
    """One operator of a task's chain."""

    records_in: int = 0
    records_out: int = 0
    records_in_per_s: float = 0.0
    records_out_per_s: float = 0.0
    watermark_in: int = MIN_TIMESTAMP
    watermark_out: int = MIN_TIMESTAMP
    snapshot_bytes: int = 0
    """Size of what its newest snapshot refers to."""
    keyed: KeyedMetrics | None = None
    user: tuple[UserMetric, ...] = ()
    input_watermarks: tuple[int, ...] = ()
    """Of each input, where it has several."""


@final
class TaskMetrics(_Figures, frozen=True, array_like=True):
    """Counters of one attempt since it began, rates over the last seconds, and gauges."""

    attempt: AttemptId
    records_in: int = 0
    records_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    batches_in: int = 0
    batches_out: int = 0
    busy_ms: int = 0
    backpressured_ms: int = 0
    idle_ms: int = 0
    waited_ms: int = 0
    """With something to do, while its slot's other tasks ran."""
    watermark: int = MIN_TIMESTAMP
    watermark_out: int = MIN_TIMESTAMP
    state_bytes: int = 0
    alignment_ns: int = 0
    """How long the last alignment took, or the one that is under way has taken so far."""
    start_delay_ns: int = 0
    """From the last checkpoint's beginning to its first barrier here."""
    is_backpressured: bool = False
    records_in_per_s: float = 0.0
    records_out_per_s: float = 0.0
    bytes_in_per_s: float = 0.0
    bytes_out_per_s: float = 0.0
    busy_ms_per_s: float = 0.0
    backpressured_ms_per_s: float = 0.0
    idle_ms_per_s: float = 0.0
    waited_ms_per_s: float = 0.0
    has_input: bool = True
    """Whether it is fed by other tasks: a source has neither an input watermark nor an alignment."""
    operators: tuple[OperatorMetrics, ...] = ()
    """By index in the chain."""


@final
class ProcessMetrics(_Figures, frozen=True, array_like=True):
    """One process: what it takes of its machine."""

    cpu_s: float = 0.0
    cpu_load: float = 0.0
    """Share of the machine that it lately took: 1 is all of its cores."""
    rss_bytes: int = 0
    threads: int = 0
    open_files: int = 0
    gc_collections: int = 0
    gc_ms: int = 0
