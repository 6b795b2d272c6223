"""Which request is answered by what: paths and methods of Flink's REST, version 1."""

from dataclasses import dataclass
from typing import Final, final

from penstock.rest import (
    absent_answers,
    accumulator_answers,
    application_answers,
    backpressure_answers,
    checkpoint_answers,
    checkpoint_subtasks,
    cluster_answers,
    exception_answers,
    inspection_answers,
    job_answers,
    keeping_answers,
    log_answers,
    metric_answers,
    rescale_answers,
    savepoint_answers,
    standby_answers,
    summary_answers,
    vertex_answers,
)
from penstock.rest.asking import Answerer


@final
@dataclass(frozen=True, slots=True)
class Route:
    """One request that is known."""

    method: str
    path: str
    """Variable parts in braces, as in the contract."""
    answer: Answerer
    status: int = 200

    @property
    def names(self) -> tuple[str, ...]:
        """What the variable parts are called, in their order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


_NO_SUBMITTING = absent_answers.switched_off("this JobManager drives the one job that it was started with")
_NO_PROFILER = absent_answers.switched_off("the profiler is switched off (rest.profiling.enabled); see flamegraph")
_JOB = "/jobs/{jobid}"
_VERTEX = "/jobs/{jobid}/vertices/{vertexid}"
_SUBTASK = "/jobs/{jobid}/vertices/{vertexid}/subtasks/{subtaskindex}"
_TASKMANAGER = "/taskmanagers/{taskmanagerid}"

ROUTES: Final = (
    # The cluster.
    Route("GET", "/config", cluster_answers.dashboard_config),
    Route("GET", "/overview", cluster_answers.overview),
    Route("DELETE", "/cluster", cluster_answers.shut_down),
    Route("GET", "/jobmanager/config", cluster_answers.jobmanager_config),
    Route("GET", "/jobmanager/environment", cluster_answers.environment),
    Route("GET", "/jobmanager/log", log_answers.jobmanager_log),
    Route("GET", "/jobmanager/logs", log_answers.jobmanager_list),
    Route("GET", "/jobmanager/logs/{filename}", log_answers.jobmanager_file),
    Route("GET", "/jobmanager/stdout", log_answers.jobmanager_stdout),
    Route("GET", "/jobmanager/thread-dump", inspection_answers.jobmanager_threads),
    # Ours: a JobManager that waits to be told from what to start; Kubernetes' probes.
    Route("GET", "/penstock/alive", standby_answers.alive),
    Route("GET", "/penstock/ready", standby_answers.ready),
    Route("GET", "/penstock/standby", standby_answers.standby),
    Route("POST", "/penstock/standby", standby_answers.start, status=202),
    Route("POST", "/penstock/preflight", standby_answers.preflight),
    Route("GET", "/penstock/summary", summary_answers.summary),
    Route("GET", "/penstock/kept", keeping_answers.kept),
    Route("PUT", "/penstock/retention", keeping_answers.keep),
    # Applications.
    Route("GET", "/applications/overview", application_answers.applications_overview),
    Route("GET", "/applications/{applicationid}", application_answers.application_details),
    Route("POST", "/applications/{applicationid}/cancel", application_answers.cancel_application, status=202),
    Route("GET", "/applications/{applicationid}/exceptions", application_answers.application_exceptions),
    Route("GET", "/applications/{applicationid}/jobmanager/config", application_answers.application_config),
    # Jobs.
    Route("GET", "/jobs", job_answers.jobs_with_states),
    Route("POST", "/jobs", _NO_SUBMITTING, status=202),
    Route("GET", "/jobs/overview", job_answers.jobs_overview),
    Route("GET", _JOB, job_answers.job_details),
    Route("PATCH", _JOB, job_answers.cancel_job, status=202),
    Route("PATCH", f"{_JOB}/clientHeartbeat", job_answers.client_heartbeat, status=202),
    Route("GET", f"{_JOB}/config", job_answers.job_config),
    Route("POST", f"{_JOB}/coordinators/{{operatorUid}}", absent_answers.coordination),
    Route("GET", f"{_JOB}/exceptions", exception_answers.job_exceptions),
    Route("GET", f"{_JOB}/execution-result", job_answers.job_result),
    Route("GET", f"{_JOB}/jobmanager/config", cluster_answers.jobmanager_config),
    Route("GET", f"{_JOB}/jobmanager/environment", cluster_answers.environment),
    Route("GET", f"{_JOB}/jobmanager/log-url", absent_answers.log_url),
    Route("GET", f"{_JOB}/plan", job_answers.job_plan),
    Route("GET", f"{_JOB}/status", job_answers.job_status),
    Route("GET", f"{_JOB}/taskmanagers/{{taskmanagerid}}/log-url", absent_answers.log_url),
    Route("GET", f"{_JOB}/yarn-cancel", absent_answers.gone),
    Route("GET", f"{_JOB}/yarn-stop", absent_answers.gone),
    # Checkpoints.
    Route("GET", f"{_JOB}/checkpoints", checkpoint_answers.statistics),
    Route("POST", f"{_JOB}/checkpoints", savepoint_answers.trigger_checkpoint, status=202),
    Route("GET", f"{_JOB}/checkpoints/{{triggerid}}", savepoint_answers.checkpoint_status),
    Route("POST", f"{_JOB}/savepoints", savepoint_answers.trigger_savepoint, status=202),
    Route("GET", f"{_JOB}/savepoints/{{triggerid}}", savepoint_answers.savepoint_status),
    Route("POST", f"{_JOB}/stop", savepoint_answers.trigger_stop, status=202),
    Route("POST", "/savepoint-disposal", savepoint_answers.trigger_disposal),
    Route("GET", "/savepoint-disposal/{triggerid}", savepoint_answers.disposal_status),
    Route("GET", f"{_JOB}/checkpoints/config", checkpoint_answers.config),
    Route("GET", f"{_JOB}/checkpoints/details/{{checkpointid}}", checkpoint_answers.details),
    Route("GET", f"{_JOB}/checkpoints/details/{{checkpointid}}/subtasks/{{vertexid}}", checkpoint_subtasks.details),
    # Rescaling.
    Route("GET", f"{_JOB}/resource-requirements", rescale_answers.requirements),
    Route("PUT", f"{_JOB}/resource-requirements", rescale_answers.require),
    Route("PATCH", f"{_JOB}/rescaling", rescale_answers.rescale),
    Route("GET", f"{_JOB}/rescaling/{{triggerid}}", rescale_answers.rescaling),
    Route("GET", f"{_JOB}/rescales/config", rescale_answers.config),
    Route("GET", f"{_JOB}/rescales/details/{{rescaleuuid}}", rescale_answers.details),
    Route("GET", f"{_JOB}/rescales/history", rescale_answers.history),
    Route("GET", f"{_JOB}/rescales/overview", rescale_answers.overview),
    Route("GET", f"{_JOB}/rescales/summary", rescale_answers.figures),
    # Vertices.
    Route("GET", _VERTEX, vertex_answers.vertex_details),
    Route("GET", f"{_VERTEX}/flamegraph", inspection_answers.flame_graph),
    Route("GET", f"{_VERTEX}/subtasktimes", vertex_answers.subtask_times),
    Route("GET", f"{_VERTEX}/taskmanagers", vertex_answers.vertex_taskmanagers),
    Route("GET", _SUBTASK, vertex_answers.subtask_details),
    Route("GET", f"{_SUBTASK}/attempts/{{attempt}}", vertex_answers.subtask_attempt),
    # Metrics.
    Route("GET", "/jobmanager/metrics", metric_answers.of_jobmanager),
    Route("GET", "/jobs/metrics", metric_answers.of_jobs),
    Route("GET", f"{_JOB}/metrics", metric_answers.of_job),
    Route("GET", f"{_VERTEX}/metrics", metric_answers.of_vertex),
    Route("GET", f"{_VERTEX}/jm-operator-metrics", metric_answers.of_coordinators),
    Route("GET", f"{_VERTEX}/watermarks", metric_answers.watermarks),
    Route("GET", f"{_VERTEX}/backpressure", backpressure_answers.back_pressure),
    Route("GET", f"{_VERTEX}/subtasks/metrics", metric_answers.of_subtasks),
    Route("GET", f"{_SUBTASK}/metrics", metric_answers.of_subtask),
    Route("GET", "/taskmanagers/metrics", metric_answers.of_taskmanagers),
    Route("GET", f"{_TASKMANAGER}/metrics", metric_answers.of_taskmanager),
    Route("GET", f"{_JOB}/accumulators", accumulator_answers.of_job),
    Route("GET", f"{_VERTEX}/accumulators", accumulator_answers.of_vertex),
    Route("GET", f"{_VERTEX}/subtasks/accumulators", accumulator_answers.of_subtasks),
    Route("GET", f"{_SUBTASK}/attempts/{{attempt}}/accumulators", accumulator_answers.of_attempt),
    # TaskManagers.
    Route("GET", "/taskmanagers", cluster_answers.taskmanagers),
    Route("GET", _TASKMANAGER, cluster_answers.taskmanager),
    Route("GET", f"{_TASKMANAGER}/log", log_answers.taskmanager_log),
    Route("GET", f"{_TASKMANAGER}/logs", log_answers.taskmanager_list),
    Route("GET", f"{_TASKMANAGER}/logs/{{filename}}", log_answers.taskmanager_file),
    Route("GET", f"{_TASKMANAGER}/stdout", log_answers.taskmanager_stdout),
    Route("GET", f"{_TASKMANAGER}/thread-dump", inspection_answers.taskmanager_threads),
    # What a cluster of one job has not.
    Route("GET", "/datasets", absent_answers.datasets),
    Route("GET", "/datasets/delete/{triggerid}", absent_answers.dataset_deletion),
    Route("DELETE", "/datasets/{datasetid}", absent_answers.delete_dataset, status=202),
    Route("GET", "/jars", _NO_SUBMITTING),
    Route("POST", "/jars/upload", _NO_SUBMITTING),
    Route("DELETE", "/jars/{jarid}", _NO_SUBMITTING),
    Route("GET", "/jars/{jarid}/plan", _NO_SUBMITTING),
    Route("POST", "/jars/{jarid}/plan", _NO_SUBMITTING),
    Route("POST", "/jars/{jarid}/run", _NO_SUBMITTING),
    Route("POST", "/jars/{jarid}/run-application", _NO_SUBMITTING, status=202),
    Route("GET", "/jobmanager/profiler", _NO_PROFILER),
    Route("POST", "/jobmanager/profiler", _NO_PROFILER),
    Route("GET", "/jobmanager/profiler/{filename}", _NO_PROFILER),
    Route("GET", f"{_TASKMANAGER}/profiler", _NO_PROFILER),
    Route("POST", f"{_TASKMANAGER}/profiler", _NO_PROFILER),
    Route("GET", f"{_TASKMANAGER}/profiler/{{filename}}", _NO_PROFILER),
)
