"""A process that runs a script's job on a local cluster under a given job id, and writes down what it sees of it.

Fault tests start it (`penstock.testing.cluster`), kill it, and start its successor with the same job id and checkpoint
folder. Run as `host_start.py JOB_ID VIEW_FILE SCRIPT [ARGUMENTS]`; the configuration comes in PENSTOCK_CONFIGURATION.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, final

import msgspec

from penstock.base.errors import LeadershipLost
from penstock.base.ids import JobId
from penstock.base.logs import configure_logging
from penstock.common.job_status import JobStatus
from penstock.datastream.execution import given_configuration
from penstock.datastream.script import job_of
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.operations import OperationKind, SavepointRequest
from penstock.jobmanager.rescale_history import RescaleHistory
from penstock.local.cluster import LocalCluster
from penstock.records.batch import SavepointFormat, StopMode

AskKind = OperationKind | Literal["cancel"]
_PERIOD_S: Final = 0.02
RESCALE: Final = "rescale"
"""A file beside the view: the parallelism that the job is to have."""
DEPOSED: Final = 3
"""Exit code of a JobManager that was succeeded."""
FAILED: Final = 1


@final
class CheckpointView(msgspec.Struct, frozen=True):
    id: int
    status: str
    failure: str
    trigger_ms: int
    end_ms: int | None
    is_savepoint: bool = False


@final
class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a test asks of the job: a file with this in it, in the folder beside the view."""

    id: str
    kind: AskKind = "savepoint"
    path: str | None = None
    """Where the savepoint goes, or which one is to be disposed of."""
    format: SavepointFormat = "native"
    stop: StopMode | None = None


@final
class OperationView(msgspec.Struct, frozen=True):
    """What has become of it."""

    kind: str
    completed: bool
    location: str | None
    failure: str | None


@final
class View(msgspec.Struct, frozen=True):
    """What one JobManager knows of its job."""

    pid: int
    status: str = ""
    restarts: int = 0
    attempts: dict[str, int] = {}
    """By `<vertex name> (<subtask>)`."""
    tasks: dict[str, str] = {}
    """Their states."""
    checkpoints: tuple[CheckpointView, ...] = ()
    exceptions: tuple[str, ...] = ()
    failed_at_ms: tuple[int, ...] = ()
    """When each of the exceptions came."""
    running_since_ms: int = 0
    restored: int | None = None
    """The checkpoint of the latest restore."""
    parallelism: dict[str, int] = {}
    """By vertex name."""
    rescales: tuple[str, ...] = ()
    """How each attempt to rescale the job has ended, and why; empty while it has not."""
    operations: dict[str, OperationView] = {}
    """What was asked, by id."""

    @property
    def completed(self) -> list[int]:
        found = (c for c in self.checkpoints if not c.is_savepoint)
        return [checkpoint.id for checkpoint in found if checkpoint.status == "COMPLETED"]

    @property
    def failed(self) -> list[CheckpointView]:
        return [checkpoint for checkpoint in self.checkpoints if checkpoint.status == "FAILED"]


def main() -> None:
    job, view_file, script = JobId(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    configuration = given_configuration()
    configure_logging(configuration.to_dict(), process=f"jobmanager {os.getpid()}")
    graph, configuration = job_of(script, sys.argv[4:], configuration)
    cluster = LocalCluster(graph, configuration, job=job)

    asks = asks_beside(view_file)
    asks.mkdir(exist_ok=True)
    asked: set[Path] = set()

    async def watch(master: JobMaster) -> None:
        while True:
            _rescale(view_file.parent / RESCALE, master)
            # What was asked of a predecessor is not asked again.
            for file in set(asks.glob("*.json")) - asked:
                asked.add(file)
                if master.status is JobStatus.RUNNING or asked_anytime(file):
                    ask(master, msgspec.json.decode(file.read_bytes(), type=Ask))
                else:
                    asked.discard(file)
            _write(view_file, view_of(master))
            await asyncio.sleep(_PERIOD_S)

    cluster.watch = watch
    try:
        cluster.start()
        result = cluster.wait()
    except LeadershipLost as error:
        print(f"deposed: {error}", file=sys.stderr)
        sys.exit(DEPOSED)
    if cluster.master is not None:
        _write(view_file, view_of(cluster.master))
    assert result is not None, "nobody stops it"
    if result.failure is not None:
        print(f"job failed: {result.failure.message}", file=sys.stderr)
    sys.exit(0 if result.status is JobStatus.FINISHED else FAILED)


def asks_beside(view_file: Path) -> Path:
    """The folder in which a test asks."""
    return view_file.with_suffix(".asks")


def asked_anytime(file: Path) -> bool:
    """Whether the job need not run for it."""
    return msgspec.json.decode(file.read_bytes(), type=Ask).kind == "savepoint-disposal"


def ask(master: JobMaster, asked: Ask) -> None:
    """Pass it on."""
    match asked.kind:
        case "savepoint":
            request = SavepointRequest(trigger_id=asked.id, directory=asked.path, format=asked.format, stop=asked.stop)
            master.savepoint(request)
        case "checkpoint":
            master.take_checkpoint(asked.id)
        case "savepoint-disposal":
            assert asked.path is not None, "a path says which savepoint"
            master.dispose(asked.path, asked.id)
        case "cancel":
            master.cancel()
        case "rescaling":
            raise AssertionError("asked over REST")


def view_of(master: JobMaster) -> View:
    """What the master knows now."""
    lifecycle = master.lifecycle
    restore = master.history.latest_restore
    names = {vertex.id: vertex.name for vertex in master.graph.vertices}
    executions = {} if lifecycle is None else lifecycle.executions
    tasks = {f"{names[s.vertex]} ({s.index})": execution for s, execution in executions.items()}
    return View(
        os.getpid(),
        status=master.status.name,
        restarts=0 if lifecycle is None else lifecycle.restarts,
        attempts={task: execution.attempt for task, execution in tasks.items()},
        tasks={task: execution.status.name for task, execution in tasks.items()},
        checkpoints=tuple(
            CheckpointView(r.id, r.status, r.failure, r.trigger_ms, r.end_ms, r.savepoint is not None)
            for r in master.history.records.values()
        ),
        exceptions=tuple(entry.failure.message for entry in master.exceptions),
        failed_at_ms=tuple(entry.at_ms for entry in master.exceptions),
        running_since_ms=master.status_ms.get(JobStatus.RUNNING, 0),
        restored=None if restore is None else restore.checkpoint,
        parallelism={vertex.name: vertex.parallelism for vertex in master.graph.vertices},
        rescales=() if master.rescaler is None else tuple(_outcomes(master.rescaler.history)),
        operations={
            operation.trigger_id: OperationView(
                operation.kind,
                operation.is_completed,
                operation.location,
                None if operation.failure is None else operation.failure.message,
            )
            for operation in master.operations.all()
        },
    )


def _outcomes(history: RescaleHistory) -> Iterator[str]:
    for record in history.records:
        yield "" if record.end is None else f"{record.end.value} {record.reason}".strip()


def _rescale(file: Path, master: JobMaster) -> None:
    """Do what the test has written there."""
    if file.exists() and master.rescaler is not None:
        parallelism = int(file.read_text())
        file.unlink()
        master.rescaler.scale_to(parallelism)


def _write(file: Path, view: View) -> None:
    draft = file.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(view))
    draft.replace(file)
