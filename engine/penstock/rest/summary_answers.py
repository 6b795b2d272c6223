"""Everything that an operator wants to know of a healthy job, in one answer: so that watching a job costs one request.

Not in Flink's REST. What it holds stands in other answers too, where people look for it.
"""

from typing import Any

from penstock.base.masking import masked
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.job_master import JobMaster
from penstock.rest.asking import Asked, Cluster
from penstock.rest.job_answers import state_of
from penstock.rest.standby_answers import shown


def summary(cluster: Cluster, asked: Asked) -> Any:
    """GET /penstock/summary: the standby (null where it is none), the job and its checkpoints (null before it began)"""
    view = None if cluster.standby is None else cluster.standby.view()
    master = cluster.master_now()
    begun = master is not None and (view is None or view.standing.state in ("STARTING", "STARTED", "ENDED"))
    return {
        "standby": None if view is None else shown(view),
        "job": _job(master) if master is not None and begun else None,
        "checkpoints": _checkpoints(master) if master is not None and begun else None,
    }


def _job(master: JobMaster) -> dict[str, Any]:
    lifecycle, journal = master.lifecycle, master.journaled
    last = master.exceptions[-1].failure.message if master.exceptions else ""
    return {
        "id": master.job,
        "state": state_of(master),
        "startTime": master.started_ms,
        "parallelism": _parallelism(master.graph),
        "bounded": all(operator.bounded for vertex in master.graph.vertices for operator in vertex.chain),
        "restarts": 0 if lifecycle is None else lifecycle.restarts,
        "failure": masked(last.strip().partition("\n")[0]) or None,
        # As soon as the journal says so: until the job has ended in its own process, another may have begun.
        "stoppedWith": None if journal is None or journal.stopped is None else journal.stopped.path,
    }


def _parallelism(graph: JobGraph) -> int:
    """Of the vertices that follow the job's; of all where none does."""
    following = [v.parallelism for v in graph.vertices if v.parallel and not v.parallelism_given]
    return max(following or [v.parallelism for v in graph.vertices])


def _checkpoints(master: JobMaster) -> dict[str, Any]:
    history, retaining = master.history, master.retaining
    last = history.latest_completed
    return {
        "completed": history.counts["completed"],
        "failed": history.counts["failed"],
        "inProgress": history.counts["in_progress"],
        "retainedMax": retaining.retained_max,
        "pinned": retaining.pinned,
        "last": None
        if last is None
        else {"id": last.id, "path": last.path, "triggerTime": last.trigger_ms, "stateSize": last.full_bytes},
    }
