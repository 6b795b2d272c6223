"""Answers about the cluster: what it is, its TaskManagers, its settings; and the request to end it."""

import os
import platform
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from penstock.base.ids import WorkerId
from penstock.common.job_status import JobStatus
from penstock.common.options import cluster as options
from penstock.jobmanager.readings import taskmanager_process
from penstock.jobmanager.workers import TaskManager
from penstock.rest.asking import Asked, Cluster
from penstock.version import __version__ as contract

_BYTES_PER_MB: Final = 1 << 20
_ENDED: Final = {
    "jobs-finished": JobStatus.FINISHED,
    "jobs-cancelled": JobStatus.CANCELED,
    "jobs-failed": JobStatus.FAILED,
}


def revision() -> str:
    """Which Penstock this is."""
    try:
        return f"penstock {version('penstock')}"
    except PackageNotFoundError:
        return "penstock, run from its sources"


def dashboard_config(cluster: Cluster, asked: Asked) -> Any:
    """GET /config"""
    get, zone = cluster.configuration.get, time.localtime()
    return {
        "refresh-interval": round(get(options.WEB_REFRESH).to_seconds() * 1000),
        "timezone-name": zone.tm_zone,
        "timezone-offset": zone.tm_gmtoff * 1000,
        "flink-version": contract,
        "flink-revision": revision(),
        "features": {
            "web-submit": False,
            "web-cancel": get(options.WEB_CANCEL),
            "web-rescale": True,
            "web-history": False,
        },
    }


def overview(cluster: Cluster, asked: Asked) -> Any:
    """GET /overview"""
    workers, status = cluster.workers, cluster.master.status
    return {
        "taskmanagers": len(workers.taskmanagers),
        "slots-total": workers.slots,
        "slots-available": sum(_free_slots(cluster, manager) for manager in workers.taskmanagers.values()),
        "taskmanagers-blocked": 0,
        "slots-free-and-blocked": 0,
        "jobs-running": 0 if status.is_globally_terminal_state() else 1,
        "flink-version": contract,
        "flink-commit": revision(),
    } | {field: int(status is ended) for field, ended in _ENDED.items()}


def taskmanagers(cluster: Cluster, asked: Asked) -> Any:
    """GET /taskmanagers"""
    return {"taskmanagers": [_taskmanager(cluster, manager) for manager in cluster.workers.taskmanagers.values()]}


def taskmanager(cluster: Cluster, asked: Asked) -> Any:
    """GET /taskmanagers/:taskmanagerid"""
    manager = cluster.taskmanager(asked)
    slots = [
        {"resource": _resource(manager, 1), "jobId": cluster.master.job, "assignedTasks": _tasks_on(cluster, [worker])}
        for worker in _used(cluster, manager)
    ]
    return _taskmanager(cluster, manager) | {"allocatedSlots": slots, "metrics": _metrics(manager)}


def _metrics(manager: TaskManager) -> dict[str, Any]:
    process = taskmanager_process(manager)
    return _NO_METRICS | {
        "heapUsed": process.rss_bytes,
        "heapCommitted": process.rss_bytes,
        "heapMax": manager.registration.memory_bytes,
        "garbageCollectors": [{"name": "All", "count": process.gc_collections, "time": process.gc_ms}],
    }


def jobmanager_config(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobmanager/config and /jobs/:jobid/jobmanager/config, without secrets"""
    if "jobid" in asked.path:
        cluster.job(asked)
    return [{"key": key, "value": value} for key, value in cluster.configuration.redacted().items()]


def environment(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobmanager/environment and /jobs/:jobid/jobmanager/environment: the interpreter in place of the JVM"""
    if "jobid" in asked.path:
        cluster.job(asked)
    # Nothing of the command line: there may be secrets among the settings.
    options = [f"-X {name}" if on is True else f"-X {name}={on}" for name, on in sys._xoptions.items()]
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    return {
        "jvm": {"version": interpreter, "arch": platform.machine(), "options": options},
        "classpath": [entry or os.getcwd() for entry in sys.path],
    }


def shut_down(cluster: Cluster, asked: Asked) -> Any:
    """DELETE /cluster"""
    cluster.shut_down()
    return {}


_NO_METRICS: Final[dict[str, Any]] = dict.fromkeys(
    (
        "heapUsed", "heapCommitted", "heapMax", "nonHeapUsed", "nonHeapCommitted", "nonHeapMax",
        "directCount", "directUsed", "directMax", "mappedCount", "mappedUsed", "mappedMax",
        "nettyShuffleMemorySegmentsAvailable", "nettyShuffleMemorySegmentsUsed", "nettyShuffleMemorySegmentsTotal",
        "nettyShuffleMemoryAvailable", "nettyShuffleMemoryUsed", "nettyShuffleMemoryTotal",
    ),
    0,
) | {"garbageCollectors": []}  # fmt: skip
"""A JVM's figures, which there are none of."""
_NO_MEMORY_AREAS: Final = dict.fromkeys(
    (
        "frameworkHeap", "taskHeap", "frameworkOffHeap", "taskOffHeap", "networkMemory", "managedMemory",
        "jvmMetaspace", "jvmOverhead", "totalFlinkMemory",
    ),
    0,
)  # fmt: skip


def _taskmanager(cluster: Cluster, manager: TaskManager) -> dict[str, Any]:
    registration, free = manager.registration, _free_slots(cluster, manager)
    silent_s = cluster.loop_time() - manager.connection.heard_at
    ports = [worker.data_port for worker in manager.workers.values()]
    return {
        "id": manager.id,
        "path": f"penstock://{manager.connection.peer}/{manager.id}",
        "dataPort": min(ports, default=-1),
        "jmxPort": -1,
        "timeSinceLastHeartbeat": cluster.clock.now_ms() - max(0, round(silent_s * 1000)),
        "slotsNumber": registration.slots,
        "freeSlots": free,
        "assignedTasks": _tasks_on(cluster, manager.workers),
        "totalResource": _resource(manager, registration.slots),
        "freeResource": _resource(manager, free),
        "hardware": {
            "cpuCores": round(registration.cpu_cores),
            "physicalMemory": registration.memory_bytes,
            "freeMemory": 0,
            "managedMemory": 0,
        },
        "memoryConfiguration": _NO_MEMORY_AREAS | {"totalProcessMemory": registration.memory_bytes},
        "blocked": False,
    }


def _resource(manager: TaskManager, slots: int) -> dict[str, Any]:
    share = slots / manager.registration.slots
    return {
        "cpuCores": round(manager.registration.cpu_cores * share, 3),
        "taskHeapMemory": int(manager.registration.memory_bytes * share) // _BYTES_PER_MB,
        "taskOffHeapMemory": 0,
        "managedMemory": 0,
        "networkMemory": 0,
        "extendedResources": {},
    }


def _used(cluster: Cluster, manager: TaskManager) -> list[WorkerId]:
    lifecycle = cluster.master.lifecycle
    if lifecycle is None or lifecycle.status.is_globally_terminal_state():
        return []
    return [worker for worker in lifecycle.slots.values() if worker in manager.workers]


def _free_slots(cluster: Cluster, manager: TaskManager) -> int:
    return manager.registration.slots - len(_used(cluster, manager))


def _tasks_on(cluster: Cluster, workers: Iterable[WorkerId]) -> int:
    lifecycle = cluster.master.lifecycle
    if lifecycle is None:
        return 0
    here = set(workers)
    return sum(1 for e in lifecycle.executions.values() if e.worker in here and not e.status.is_terminal)
