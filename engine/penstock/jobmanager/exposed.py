"""What a JobManager lets Prometheus see: itself, the job with its checkpoints, and the counterparts of operators."""

from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.readings import coordinator_readings, job_readings, jobmanager_readings
from penstock.jobmanager.workers import Workers
from penstock.monitoring.readings import Scoped
from penstock.rpc.figures import ProcessMetrics


def gather(master: JobMaster, workers: Workers, process: ProcessMetrics, host: str, now_ms: int) -> list[Scoped]:
    """On the loop; what it gives changes no more."""
    labels = {"host": host}
    job = labels | {"job_id": master.job, "job_name": master.graph.name}
    found = [
        Scoped(("jobmanager",), labels, jobmanager_readings(master, workers, process)),
        Scoped(("jobmanager", "job"), job, job_readings(master, now_ms)),
    ]
    for hosted in () if master.coordinators is None else master.coordinators.hosted.values():
        described = hosted.vertex.chain[hosted.operator]
        operator = job | {
            "task_id": hosted.vertex.id,
            "task_name": hosted.vertex.name,
            "operator_id": described.uid,
            "operator_name": described.name,
        }
        scope = ("jobmanager", "job", "operator", "coordinator")
        found.append(Scoped(scope, operator, coordinator_readings(hosted)))
    return found
