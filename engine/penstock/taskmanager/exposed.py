"""What a TaskManager lets Prometheus see: itself with its workers, their tasks, and the operators in these."""

from collections.abc import Callable, Iterator

from penstock.monitoring.processes import together
from penstock.monitoring.readings import Scoped, operator_readings, process_readings, task_readings
from penstock.rpc.figures import ProcessMetrics
from penstock.taskmanager.measured import MeasuredTask, Newest
from penstock.taskmanager.supervisor import Supervisor


def gather(supervisor: Supervisor) -> Callable[[], Iterator[Scoped]]:
    """On the loop; what it gives may be called in a thread."""
    newest, process = supervisor.measured.newest(), supervisor.process
    labels = {"host": supervisor.host, "tm_id": supervisor.id}
    return lambda: exposed(newest, process, labels)


def exposed(newest: Newest, process: ProcessMetrics, labels: dict[str, str]) -> Iterator[Scoped]:
    """Everything that workers have said last."""
    processes = [process]
    for worker_process, tasks in newest.read():
        if worker_process is not None:
            processes.append(worker_process)
        for task in tasks:
            yield from _task(task, labels)
    yield Scoped(("taskmanager",), labels, process_readings(together(processes)))


def _task(task: MeasuredTask, labels: dict[str, str]) -> Iterator[Scoped]:
    described, metrics = task.described, task.metrics
    subtask, attempt = metrics.attempt.subtask, metrics.attempt.attempt
    labels = labels | {
        "job_id": described.job,
        "job_name": described.job_name,
        "task_id": subtask.vertex,
        "task_name": described.task_name,
        "task_attempt_id": f"{subtask.vertex}_{subtask.index}_{attempt}",
        "task_attempt_num": str(attempt),
        "subtask_index": str(subtask.index),
    }
    yield Scoped(("taskmanager", "job", "task"), labels, task_readings(metrics))
    for index, (names, operator) in enumerate(zip(described.operators, metrics.operators, strict=False)):
        readings = operator_readings(operator, is_source=index == 0 and not metrics.has_input)
        operator_labels = labels | {"operator_id": names.uid, "operator_name": names.name}
        yield Scoped(("taskmanager", "job", "task", "operator"), operator_labels, readings)
