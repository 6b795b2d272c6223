"""Answers about what went wrong: the history of failures, newest first."""

import re
from typing import Any, Final

from penstock.base.masking import masked
from penstock.jobmanager.job import ExceptionEntry
from penstock.jobmanager.job_master import JobMaster
from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rest.executions import place

JOB_FAILED: Final = "penstock.base.errors.JobFailed"
"""The class of failures that no exception brought about."""
_SHOWN_DEFAULT: Final = 20
_EXCEPTION_LINE: Final = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)


def job_exceptions(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/exceptions"""
    master = cluster.job(asked)
    shown_max = asked.number("maxExceptions", _SHOWN_DEFAULT)
    wanted = _label_filter(asked)
    entries = [exception_info(cluster, master, entry) for entry in reversed(master.exceptions)]
    entries = [entry for entry in entries if wanted.items() <= entry["failureLabels"].items()]
    return {"exceptionHistory": {"entries": entries[:shown_max], "truncated": len(entries) > shown_max}}


def exception_info(cluster: Cluster, master: JobMaster, entry: ExceptionEntry) -> dict[str, Any]:
    """One failure."""
    failure = entry.failure
    text = "\n".join(part for part in (failure.message, failure.traceback) if part)
    found: dict[str, Any] = {
        "exceptionName": _exception_name(failure.traceback) or failure.type or JOB_FAILED,
        "stacktrace": masked(text),
        "timestamp": entry.at_ms,
        "failureLabels": {},
        "concurrentExceptions": [],
    }
    if failure.subtask is not None:
        vertex = master.graph.vertex(failure.subtask.vertex)
        found["taskName"] = f"{vertex.name} ({failure.subtask.index + 1}/{vertex.parallelism})"
    if failure.worker is not None:
        found["taskManagerId"], found["endpoint"] = place(cluster, failure.worker)
    return found


def _label_filter(asked: Asked) -> dict[str, str]:
    """`failureLabelFilter=key:value,key:value`; nothing here gives failures labels, so any filter finds none."""
    text = asked.query.get("failureLabelFilter")
    wanted: dict[str, str] = {}
    for pair in () if not text else text.split(","):
        key, colon, value = pair.partition(":")
        if not colon or not key or not value:
            raise Refused(400, f"the query parameter failureLabelFilter is KEY:VALUE[,KEY:VALUE...]; found {pair!r}")
        wanted[key] = value
    return wanted


def _exception_name(traceback: str) -> str:
    names = _EXCEPTION_LINE.findall(traceback)
    return names[-1] if names else ""
