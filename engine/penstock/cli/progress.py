"""How a job is coming along, as values and as words. Pure: the live view and the plain lines are made of this."""

from dataclasses import dataclass
from typing import final

from penstock.cli.texts import size
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.job_master import JobMaster


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One look at a job."""

    name: str
    job: str
    state: str
    at_s: float
    """By the loop's clock."""
    elapsed_s: float
    records_in: int
    """Read by the sources since they were last started."""
    records_out: int
    """Taken by the sinks since they were last started."""
    restarts: int
    restored: int
    """How often state was restored, and the checkpoint it came from the last time."""
    restored_from: int | None
    completed: int
    failed: int
    last_checkpoint: int | None
    last_duration_ms: int
    last_bytes: int
    state_bytes: int
    failure: str
    """The last one, in a sentence; empty without."""
    checkpoint_failure: str


def look(master: JobMaster, state: str, at_s: float, now_ms: int) -> Progress:
    """Take a look. On the JobManager's loop."""
    history, lifecycle = master.history, master.lifecycle
    newest = history.latest_completed
    restore = history.latest_restore
    records_in, records_out = _records(master, master.graph)
    failures = [entry for entry in master.exceptions if lifecycle is not None]
    return Progress(
        name=master.graph.name,
        job=master.job,
        state=state,
        at_s=at_s,
        elapsed_s=(now_ms - master.started_ms) / 1000,
        records_in=records_in,
        records_out=records_out,
        restarts=0 if lifecycle is None else lifecycle.restarts,
        restored=history.counts["restored"],
        restored_from=None if restore is None else restore.checkpoint,
        completed=history.counts["completed"],
        failed=history.counts["failed"],
        last_checkpoint=None if newest is None else newest.id,
        last_duration_ms=0 if newest is None else (newest.end_ms or newest.trigger_ms) - newest.trigger_ms,
        last_bytes=0 if newest is None else newest.checkpointed_bytes,
        state_bytes=0 if newest is None else newest.state_bytes,
        failure=failures[-1].failure.message.partition("\n")[0] if failures else "",
        checkpoint_failure="" if history.latest_failed is None else history.latest_failed.failure,
    )


def changes(before: Progress | None, now: Progress) -> list[str]:
    """What has happened since, a sentence each; checkpoints that completed are not among it."""
    found = []
    job = f"job {now.name}"
    if before is None:
        found.append(f"{job} ({now.job}) {now.state}")
        before = now
    if now.failure and now.failure != before.failure:
        found.append(f"{job} failed: {now.failure}")
    if now.state != before.state:
        found.append(f"{job} {now.state} after {now.elapsed_s:.1f} s")
    if now.restored > before.restored and now.restored_from is not None:
        found.append(f"{job} restored from checkpoint {now.restored_from} (restart {now.restarts})")
    if now.failed > before.failed and now.state == "RUNNING":
        found.append(f"{job}: a checkpoint failed: {now.checkpoint_failure}")
    return found


def checkpoint_line(now: Progress) -> str:
    """The newest completed checkpoint in a line."""
    what = f"job {now.name}: checkpoint {now.last_checkpoint} completed in {now.last_duration_ms} ms"
    sizes = f"{size(now.last_bytes)} written, state {size(now.state_bytes)}"
    return f"{what}, {sizes} ({now.completed} completed, {now.failed} failed)"


def restart_line(now: Progress) -> str:
    """The newest restart and what it is for, in a line."""
    return f"job {now.name} restarts ({now.restarts}): {now.failure}"


def rate(earlier: Progress, now: Progress) -> tuple[float, float]:
    """Records a second, in and out. Counters begin anew when tasks do."""
    passed_s = now.at_s - earlier.at_s
    if passed_s <= 0:
        return 0.0, 0.0
    read, taken = now.records_in - earlier.records_in, now.records_out - earlier.records_out
    return max(0, read) / passed_s, max(0, taken) / passed_s


def count(number: float) -> str:
    """A number of records for people."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= factor:
            return f"{number / factor:.2f}{unit}"
    return f"{number:.0f}"


def _records(master: JobMaster, graph: JobGraph) -> tuple[int, int]:
    fed = {edge.target for edge in graph.edges}
    feeding = {edge.source for edge in graph.edges}
    read = taken = 0
    for subtask, metrics in master.metrics.items():
        if subtask.vertex not in fed:
            read += metrics.records_in
        if subtask.vertex not in feeding:
            taken += metrics.records_out
    return read, taken
