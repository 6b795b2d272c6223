"""What the engine's processes are told for one revision of a job: configuration and command lines, in both worlds.

A world says where things are (`Place`): addresses, ports, folders. Everything else follows from the spec. What the
operator sets itself goes onto the JobManager's command line too, where it outweighs what the script sets; so a script
that names another checkpoint folder still writes where the operator looks. Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from penstock_operator.model.configuration import flattened
from penstock_operator.model.resources import for_job_manager, for_task_manager
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.values import write_memory

CONFIG_FILE: Final = "config.yaml"
CHECKPOINT_INTERVAL: Final = "10 s"
"""Where neither spec nor script says one, and there is a place for checkpoints: state is never only in memory."""
_SHUTDOWN: Final = "20 s"
STOP_GRACE_S: Final = 45
"""What a process may take to end once it was told: longer than the engine gives itself."""
_LAST_WORD: Final = (
    "execution.checkpointing.create-subdir",
    "execution.checkpointing.dir",
    "execution.checkpointing.externalized-checkpoint-retention",
    "execution.checkpointing.storage",
    "s3.endpoint",
)
"""Keys with which a script might hide the job's state from the operator.

None of them follows from a field that is heeded without an upgrade: the command line is a pod's, and may not change.
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the processes of one revision are, and how they find each other."""

    program: tuple[str, ...] = ("penstock",)
    """What is run; its first argument is `jobmanager` or `taskmanager`."""
    configuration: str
    """Folder of config.yaml."""
    sources: str
    """Folder of the script where it comes with the spec."""
    scratch: str
    """Folder for files that need not outlive a process."""
    secret_file: str
    """Holds the token that the processes prove to each other."""
    bind_host: str
    """Address to listen on."""
    job_manager_host: str
    """Where TaskManagers and the operator reach the JobManager."""
    task_manager_host: str
    """Where others reach a TaskManager."""
    rpc_port: int = 6123
    rest_port: int = 8081
    metrics_port: int = 9249
    """0: any."""


def configuration(spec: FlinkJobSpec, place: Place) -> dict[str, str]:
    """For config.yaml of both processes: defaults of ours, then the user's keys, then what the operator sets."""
    return dict(sorted({**_defaults(spec, place), **flattened(spec.flink_configuration), **_set(spec, place)}.items()))


def config_yaml(texts: Mapping[str, str]) -> str:
    """The file: flat keys, each value a text in quotes, so that nothing is read as anything else."""
    lines = [
        f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items()
    ]
    return "\n".join(["# Written by the operator for one revision of the job; changes are not read.", *lines, ""])


def job_manager_argv(spec: FlinkJobSpec, job_id: str, revision: str, place: Place) -> tuple[str, ...]:
    """The command line of a JobManager, which waits to be told from what to start."""
    texts = configuration(spec, place)
    last_word = [part for key in _LAST_WORD if key in texts for part in ("-D", f"{key}={texts[key]}")]
    return (
        *place.program,
        "jobmanager",
        *("--standby", "--revision", revision, "--job-id", job_id),
        *("--job", script_path(spec, place)),
        *("--conf", place.configuration, "--host", place.bind_host),
        *("--port", str(place.rpc_port), "--rest-port", str(place.rest_port)),
        *last_word,
        "--",
        *spec.job.args,
    )


def task_manager_argv(spec: FlinkJobSpec, place: Place) -> tuple[str, ...]:
    """The command line of each TaskManager."""
    return (
        *place.program,
        "taskmanager",
        *("--jobmanager", f"{place.job_manager_host}:{place.rpc_port}", "--host", place.task_manager_host),
        *("--slots", str(spec.task_manager.slots), "--conf", place.configuration),
    )


def script_path(spec: FlinkJobSpec, place: Place) -> str:
    """Where the script lies: where the spec says, or among the sources under the name that it has."""
    if spec.job.script is not None:
        return spec.job.script
    return f"{place.sources.rstrip('/')}/{source_name(spec)}"


def source_name(spec: FlinkJobSpec) -> str:
    """The script's file name where it comes with the spec; it stands in the tracebacks that users read."""
    source = spec.job.source
    if source is not None and source.config_map_ref is not None:
        return source.config_map_ref.key
    if source is not None and source.s3 is not None:
        return source.s3.rpartition("/")[2]
    return "job.py"


def source_text(spec: FlinkJobSpec, config_map: Mapping[str, str] | None) -> str | None:
    """The script itself where it comes with the spec; None where it is in the image, or fetched.

    `config_map` is the data of the one that the spec refers to: it is copied into the revision, so that what is changed
    there later reaches a job only through an upgrade.
    """
    job = spec.job
    if job.module is not None:
        return _MODULE.format(module=job.module)
    if job.source is None or job.source.s3 is not None:
        return None
    if job.source.inline is not None:
        return job.source.inline
    assert job.source.config_map_ref is not None and config_map is not None, "validation has seen both"
    return config_map[job.source.config_map_ref.key]


_MODULE: Final = '''"""Runs the module {module} of the image, as `python -m {module}` does."""

import runpy

runpy.run_module("{module}", run_name="__main__", alter_sys=True)
'''


def _defaults(spec: FlinkJobSpec, place: Place) -> dict[str, str]:
    found = {"cluster.services.shutdown-timeout": _SHUTDOWN}
    users = flattened(spec.flink_configuration)
    if not users.keys() & {"io.tmp.dirs", "taskmanager.tmp.dirs"}:
        found["io.tmp.dirs"] = place.scratch
    if not users.keys() & {"penstock.log.level", "env.log.level"}:
        found["penstock.log.level"] = "INFO"
    if spec.checkpoints.dir is not None:
        found["execution.checkpointing.interval"] = CHECKPOINT_INTERVAL
    return found


def _set(spec: FlinkJobSpec, place: Place) -> dict[str, str]:
    worker = for_task_manager(spec)
    found = {
        "jobmanager.bind-host": place.bind_host,
        "jobmanager.memory.process.size": write_memory(for_job_manager(spec).memory_bytes),
        "jobmanager.rpc.address": place.job_manager_host,
        "jobmanager.rpc.port": str(place.rpc_port),
        "metrics.reporter.prom.port": str(place.metrics_port),
        "parallelism.default": str(spec.job.parallelism),
        "penstock.security.secret-file": place.secret_file,
        "rest.address": place.job_manager_host,
        "rest.bind-address": place.bind_host,
        "rest.bind-port": str(place.rest_port),
        "rest.port": str(place.rest_port),
        "taskmanager.cpu.cores": f"{worker.millicores / 1000:g}",
        "taskmanager.memory.process.size": write_memory(worker.memory_bytes),
        "taskmanager.numberOfTaskSlots": str(spec.task_manager.slots),
    }
    if spec.job.max_parallelism is not None:
        found["pipeline.max-parallelism"] = str(spec.job.max_parallelism)
    return found | _places(spec)


def _places(spec: FlinkJobSpec) -> dict[str, str]:
    checkpoints = spec.checkpoints
    found = {} if checkpoints.endpoint is None else {"s3.endpoint": checkpoints.endpoint}
    if checkpoints.dir is not None:
        found |= {
            "execution.checkpointing.create-subdir": "true",
            "execution.checkpointing.dir": checkpoints.dir,
            # Whoever cancels the job over REST, or finds it failed, still has its state.
            "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            "execution.checkpointing.num-retained": str(checkpoints.retention.count_in_effect),
            "execution.checkpointing.storage": "filesystem",
        }
    if checkpoints.retention.pin:
        found["penstock.checkpoint.pinned"] = ";".join(_quoted(pin) for pin in checkpoints.retention.pin)
    target = checkpoints.savepoint_root
    return found if target is None else found | {"execution.checkpointing.savepoint-dir": target}


def _quoted(text: str) -> str:
    """As one item of a list in Flink's configuration."""
    return "'" + text.replace("'", "''") + "'" if any(char in text for char in ";'\"") else text
