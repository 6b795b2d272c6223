"""From a program to the job graph that an executor is given: mode, name, files, and the script's own classes."""

import sys
from pathlib import Path

from penstock.base.errors import JobDefinitionError
from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing, jobs
from penstock.datastream import packaging
from penstock.datastream.execution_mode import RuntimeExecutionMode
from penstock.datastream.program import Program
from penstock.graph.chaining import Parcel, job_graph
from penstock.graph.job_graph import JobGraph
from penstock.graph.pickling import UserCode
from penstock.graph.stream_graph import StreamGraph


def build(program: Program, job_name: str | None) -> JobGraph:
    """The job graph of what the program has not executed yet. Reads the files that travel with it."""
    graph = program.unexecuted()
    configuration = Configuration(program.configuration)
    mode = runtime_mode(graph, configuration)
    configuration.set(jobs.RUNTIME_MODE, mode.name)
    if mode is RuntimeExecutionMode.BATCH:
        configuration.set(checkpointing.INTERVAL, None)  # A batch starts over: what it gathers is no state.
    check_types(graph, configuration)
    main = sys.modules.get("__main__")
    parcel = Parcel(
        name=job_name or configuration.get(jobs.NAME) or _script_name(),
        configuration=configuration.to_dict(),
        files=packaging.files(configuration),
        python_path=packaging.python_path(configuration),
    )
    return job_graph(graph, program.settings(configuration), UserCode(main), parcel)


def runtime_mode(graph: StreamGraph, configuration: Configuration) -> RuntimeExecutionMode:
    """STREAMING or BATCH: AUTOMATIC decides by the sources."""
    unbounded = [node for node in graph.nodes.values() if node.is_source and not node.bounded]
    mode = RuntimeExecutionMode[configuration.get(jobs.RUNTIME_MODE)]
    if mode is RuntimeExecutionMode.AUTOMATIC:
        return RuntimeExecutionMode.STREAMING if unbounded else RuntimeExecutionMode.BATCH
    if mode is RuntimeExecutionMode.BATCH and unbounded:
        raise JobDefinitionError(
            f"Detected an UNBOUNDED source ('{unbounded[0].name}') with the 'execution.runtime-mode' set to 'BATCH'. "
            "This combination is not allowed, please set the 'execution.runtime-mode' to STREAMING or AUTOMATIC"
        )
    return mode


def check_types(graph: StreamGraph, configuration: Configuration) -> None:
    """With `pipeline.generic-types: false`, a stream without a declared type is refused."""
    if configuration.get(jobs.GENERIC_TYPES):
        return
    undeclared = [node for node in graph.nodes.values() if not node.is_sink and node.output_type is None]
    if undeclared:
        raise JobDefinitionError(
            f"the records of operator '{undeclared[0].name}' have no declared type, and generic types are off "
            "(pipeline.generic-types): give it an output_type"
        )


def _script_name() -> str:
    """The script's file name, for a job that nobody has named."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).stem if file else "Streaming Job"
