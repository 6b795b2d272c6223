"""Flink's REST contract as tests hold our answers against it: which fields an answer must have, and of which types."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, final

_MAY_BE_ABSENT: Final = {
    "JobDetailsInfo.stream-graph": "Flink leaves it out for jobs of one stage too",
    "Input.caching": "only plans of Flink's old batch API have it",
    "Input.local_strategy": "only plans of Flink's old batch API have it",
    "Node.inputs": "sources have none",
    "TaskManagerInfo.jmxPort": "there is no JVM",
    "CompletedCheckpointStatistics.savepointFormat": "only savepoints have one",
    "FailedCheckpointStatistics.savepointFormat": "only savepoints have one",
    "PendingCheckpointStatistics.savepointFormat": "only savepoints have one",
    "VertexFlameGraph.data": "the first samples are being taken",
    "JobExecutionResultResponseBody.job-execution-result": "the job runs",
    "JobResult.failure-cause": "the job has not failed",
    "SerializedThrowable.serialized-throwable": "it would be an object of Java's",
    "SubtaskExecutionAttemptDetailsInfo.other-concurrent-attempts": "only speculative execution has them",
    "Metric.value": "lists of names have none",
    "AggregatedMetricsResponseBody.min": "lists of names have none",
    "AggregatedMetricsResponseBody.max": "lists of names have none",
    "AggregatedMetricsResponseBody.avg": "lists of names have none",
    "AggregatedMetricsResponseBody.sum": "lists of names have none",
    "AggregatedMetricsResponseBody.skew": "lists of names have none",
    "RootExceptionInfo.endpoint": "the TaskManager may be gone, or none was concerned",
    "RootExceptionInfo.taskManagerId": "none may be concerned",
    "RootExceptionInfo.taskName": "none may be concerned",
}
_MAY_BE_NULL: Final = {
    *(f"LatestCheckpoints.{which}" for which in ("completed", "savepoint", "failed", "restored")),
    *(f"LatestRescales.{which}" for which in ("completed", "failed", "ignored")),
}
_CHECKPOINTS: Final = {
    "COMPLETED": "CompletedCheckpointStatistics",
    "FAILED": "FailedCheckpointStatistics",
    "IN_PROGRESS": "PendingCheckpointStatistics",
}


@final
class RestContract:
    """The contract, an OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def complaints(self, method: str, path: str, status: int, answer: Any) -> Iterator[str]:
        """Every way in which an answer is not what the contract says of this status."""
        responses = self._document["paths"][path][method.lower()]["responses"]
        if status >= 400:
            errors = answer.get("errors") if isinstance(answer, dict) else None
            if not errors or not all(isinstance(error, str) and error for error in errors):
                yield f"{path}: {answer!r} has no list of errors"
        elif str(status) not in responses:
            yield f"{path}: status {status} is none of {sorted(responses)}"
        elif (content := responses[str(status)].get("content")) is not None:
            yield from self._complaints(answer, content["application/json"]["schema"], path)

    def _complaints(self, value: Any, schema: Mapping[str, Any], where: str, name: str = "") -> Iterator[str]:
        """Every way in which the value does not fit the schema."""
        if value is None and schema.get("nullable"):
            return
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name == "CheckpointStatistics":
                name = _CHECKPOINTS[value["status"]]
            elif name == "SubtaskCheckpointStatistics":
                name = ("Completed" if value["status"] == "completed" else "Pending") + name
            yield from self._complaints(value, self._document["components"]["schemas"][name], where, name)
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{where}: {value!r} is not one of {schema['enum']}"
        match schema.get("type"):
            case "object" if not isinstance(value, dict):
                yield f"{where}: {value!r} is not an object"
            case "object":
                for field, part in schema.get("properties", {}).items():
                    path = f"{name}.{field}"
                    if field not in value:
                        if path not in _MAY_BE_ABSENT:
                            yield f"{where}: {path} is missing"
                    elif value[field] is not None or path not in _MAY_BE_NULL:
                        yield from self._complaints(value[field], part, f"{where}.{field}", name)
                for key, item in value.items() if "additionalProperties" in schema else ():
                    yield from self._complaints(item, schema["additionalProperties"], f"{where}.{key}")
            case "array" if not isinstance(value, list):
                yield f"{where}: {value!r} is not an array"
            case "array":
                for number, item in enumerate(value):
                    yield from self._complaints(item, schema["items"], f"{where}[{number}]", name)
            case "string" if not isinstance(value, str):
                yield f"{where}: {value!r} is not a string"
            case "string" if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
                yield f"{where}: {value!r} does not match {schema['pattern']}"
            case "integer" if not isinstance(value, int) or isinstance(value, bool):
                yield f"{where}: {value!r} is not an integer"
            case "number" if not isinstance(value, int | float) and value != "NaN":
                yield f"{where}: {value!r} is not a number"
            case "boolean" if not isinstance(value, bool):
                yield f"{where}: {value!r} is not a boolean"
