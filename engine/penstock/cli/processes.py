"""`penstock jobmanager` and `penstock taskmanager`: a cluster that is started by hand or in containers."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NoReturn

import click
import uvloop

from penstock.base.errors import ConfigurationError
from penstock.cli import ending
from penstock.cli.configuring import PORT, cluster_configuration, flags
from penstock.cli.ending import interruptible, leave_soon, one_sentence, say
from penstock.cli.starting import Starting, starting
from penstock.common.configuration import Configuration
from penstock.common.options import cluster
from penstock.common.options import penstock as own
from penstock.local.secret import take_secret

_SECRET_HELP = """\
    The processes of a cluster share a secret and prove it to each other. It is taken from the environment variable
    PENSTOCK_SECRET, from penstock.security.secret, from the file named by penstock.security.secret-file, or else from
    ~/.penstock/secret, which is made on first use; so on one machine there is nothing to do."""


@click.command(
    context_settings={"allow_interspersed_args": False},
    help=f"""Drive one job: a JobManager for TaskManagers to join.

    \b
    On this machine, with two TaskManagers:
      penstock jobmanager --job word_count.py -D execution.checkpointing.dir=/tmp/checkpoints
      penstock taskmanager --slots 1
      penstock taskmanager --slots 1
    \b
    Go on with a job after its JobManager has died: start it again with the same id.
      penstock jobmanager --job word_count.py --job-id 0123456789abcdef0123456789abcdef ...

    With --standby it loads the job, has its TaskManagers ready, and waits to be told over REST from what to start:
    GET and POST /v1/penstock/standby. So the next revision of a job stands by while the one before it still runs; all
    revisions are given the same job id and checkpoint folder. A restarted one goes on by itself if the job is its
    revision's, and REST answers until it is told to stop, whatever becomes of the job.

    The script runs in a process of its own, only to say what the job is. Settings come from --conf (config.yaml or
    flink-conf.yaml), then from the script, then from -D, the later over the earlier.

    ARGUMENTS are the script's own; put -- before them if they begin with a dash.

    Exit code: 0 when the job has FINISHED or was CANCELED on request, 1 when it FAILED or could not start, 3 when
    another JobManager has taken it over, 143 after SIGTERM and 130 after Ctrl-C. Both signals leave the job as it is:
    nothing is cancelled, and a JobManager with the same job id goes on from the newest checkpoint.

{_SECRET_HELP}""",
)
@click.option("--job", "script", required=True, metavar="SCRIPT", help="The Python file that describes the job.")
@click.option("--job-id", metavar="HEX", help="32 hexadecimal digits; a job goes on under the id that it had.")
@click.option("--standby", is_flag=True, help="Load and check the job, then wait to be told to start it.")
@click.option("--revision", metavar="NAME", help="In standby: this version of the job, by its name in the journal.")
@starting
@click.option("--host", metavar="HOST", help="Address to listen on for TaskManagers.  [default: localhost]")
@click.option("--port", type=PORT, metavar="PORT", help="Port for TaskManagers; 0: any.  [default: 6123]")
@click.option("--rest-port", type=PORT, metavar="PORT", help="Port of the REST interface; 0: any.  [default: 8081]")
@click.option("-D", "definitions", multiple=True, metavar="KEY=VALUE", help="A setting; may be given many times.")
@click.option("--conf", metavar="DIR", help="Folder of config.yaml.  [default: $PENSTOCK_CONF_DIR or $FLINK_CONF_DIR]")
@click.option("--linger", type=float, default=0.0, metavar="S", help="Answer REST for so long after the job's end.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def jobmanager(
    script: str,
    job_id: str | None,
    standby: bool,
    revision: str | None,
    start: Starting,
    host: str | None,
    port: int | None,
    rest_port: int | None,
    definitions: tuple[str, ...],
    conf: str | None,
    linger: float,
    arguments: tuple[str, ...],
) -> None:
    with one_sentence():
        configuration = cluster_configuration(conf)
        given = start.over(flags(definitions))
        if job_id is not None:
            given.set(own.JOB_ID, job_id)
        if standby:
            given.set(own.STANDBY, True)
        if revision is not None:
            given.set(own.REVISION, revision)
        if host is not None:
            given.set(cluster.JM_BIND_HOST, host)
            given.set(cluster.REST_BIND_ADDRESS, given.get(cluster.REST_BIND_ADDRESS) or host)
        if port is not None:
            given.set(cluster.JM_PORT, port).remove_config(cluster.JM_BIND_PORT.key)
        if rest_port is not None:
            given.set(cluster.REST_BIND_PORT, (rest_port,))
        configuration.add_all(given)
        secret = take_secret(configuration)
        given.remove_config(own.SECRET.key)
        if configuration.get(own.STANDBY):
            code = _stand_by(Path(script), arguments, configuration, given, secret)
        else:
            code = _drive(Path(script), arguments, configuration, given, secret, linger)
    sys.exit(code)


@click.command(
    help=f"""Offer this machine's slots to a JobManager: a TaskManager, with one worker process per slot.

    \b
    Join the JobManager of this machine with two slots:
      penstock taskmanager --slots 2
    \b
    Join one elsewhere:
      penstock taskmanager --jobmanager jobs.example.com:6123 --slots 4

    It may be started before the JobManager, and waits for it; when the JobManager dies it waits for the successor, both
    for up to taskmanager.registration.timeout (5 minutes). It ends when the job does, and then its exit code is 0.

{_SECRET_HELP}"""
)
@click.option("--jobmanager", "address", metavar="HOST:PORT", help="Where to register.  [default: localhost:6123]")
@click.option("--slots", type=click.IntRange(min=1), metavar="N", help="Worker processes to offer.  [default: 1]")
@click.option("--host", metavar="HOST", help="Address under which others reach this machine.")
@click.option("--data-port", type=PORT, metavar="PORT", help="First port for records, one per slot; 0: any.")
@click.option("-D", "definitions", multiple=True, metavar="KEY=VALUE", help="A setting; may be given many times.")
@click.option("--conf", metavar="DIR", help="Folder of config.yaml.  [default: $PENSTOCK_CONF_DIR or $FLINK_CONF_DIR]")
def taskmanager(
    address: str | None,
    slots: int | None,
    host: str | None,
    data_port: int | None,
    definitions: tuple[str, ...],
    conf: str | None,
) -> None:
    with one_sentence():
        configuration = cluster_configuration(conf).add_all(flags(definitions))
        if address is not None:
            name, port = _endpoint(address)
            configuration.set(cluster.JM_ADDRESS, name).set(cluster.JM_PORT, port)
        if slots is not None:
            configuration.set(cluster.TM_SLOTS, slots)
        if host is not None:
            configuration.set(cluster.TM_HOST, host)
        if data_port is not None:
            configuration.set(cluster.TM_DATA_PORT, data_port)
        secret = take_secret(configuration)
        endpoint = configuration.get(cluster.JM_ADDRESS) or "localhost", configuration.get(cluster.JM_PORT)
        code = _serve(endpoint, configuration, secret)
    sys.exit(code)


def _drive(
    script: Path,
    arguments: tuple[str, ...],
    configuration: Configuration,
    given: Configuration,
    secret: bytes,
    linger_s: float,
) -> int:
    """Have the script say what the job is, then drive it; the exit code."""
    from penstock.base.errors import LeadershipLost
    from penstock.base.logs import configure_logging
    from penstock.common.job_status import JobStatus
    from penstock.jobmanager.settings import job_id
    from penstock.local.cluster import failure_of
    from penstock.local.jobmanager import JobManager, JobManagerOrder, Suspended
    from penstock.local.script_child import ScriptRefused, job_of_script, refuse_collecting

    interruptible()
    configure_logging(configuration.to_dict(), process="jobmanager")
    job = job_id(configuration)
    try:
        graph, settings = job_of_script(script, arguments, configuration)
    except ScriptRefused as error:
        say((error.report or f"penstock: {error}").rstrip())
        return ending.FAILED
    refuse_collecting(graph)
    whole = Configuration(configuration).add_all(settings).add_all(given)
    order = JobManagerOrder(
        job=job, graph=graph, cluster=configuration, configuration=whole, secret=secret, linger_s=linger_s
    )

    def deposed(reason: str) -> NoReturn:
        _end_deposed(job, reason)

    async def drive() -> int:
        outcome = await JobManager(order, say, deposed).run()
        if isinstance(outcome, Suspended):
            say(
                f"JobManager stops on {outcome.by.name}; job {job} is left as it is: "
                "start a JobManager with the same --job-id to go on with it"
            )
            return 128 + outcome.by
        say(f"job {graph.name} ({job}) {outcome.status.name} after {outcome.runtime_ms / 1000:.1f} s")
        if outcome.status is JobStatus.FAILED:
            say(f"penstock: {failure_of(outcome)}")
            return ending.FAILED
        return 0

    try:
        return _run(drive())
    except LeadershipLost as error:
        deposed(str(error))


def _stand_by(
    script: Path, arguments: tuple[str, ...], configuration: Configuration, given: Configuration, secret: bytes
) -> int:
    """Wait to be told, and drive the job then; the exit code."""
    from penstock.base.logs import configure_logging
    from penstock.jobmanager.settings import job_id
    from penstock.local.jobmanager import Suspended
    from penstock.local.standby import Standby, StandbyOrder

    interruptible()
    configure_logging(configuration.to_dict(), process="jobmanager")
    revision = configuration.get(own.REVISION)
    if not revision or configuration.get(own.JOB_ID) is None:
        raise ConfigurationError(
            f"a JobManager in standby needs --revision ({own.REVISION.key}) and --job-id ({own.JOB_ID.key}): the job's "
            "journal tells by them whose the job is"
        )
    job = job_id(configuration)
    order = StandbyOrder(
        job=job,
        revision=revision,
        script=script,
        arguments=arguments,
        cluster=configuration,
        given=given,
        secret=secret,
    )

    async def stand_by() -> int:
        outcome = await Standby(order, say, lambda reason: _end_deposed(job, reason)).run()
        if isinstance(outcome, Suspended):
            say(f"JobManager stops on {outcome.by.name}; job {job} is left as it is")
            return 128 + outcome.by
        say(f"the cluster of job {job} was ended; the job is {outcome.name}")
        return 0

    return _run(stand_by())


def _end_deposed(job: str, reason: str) -> NoReturn:
    say(f"penstock: another JobManager leads job {job}: {reason}")
    sys.stderr.flush()
    os._exit(ending.DEPOSED)


def _serve(jobmanager: tuple[str, int], configuration: Configuration, secret: bytes) -> int:
    from penstock.base.logs import configure_logging
    from penstock.local.taskmanager import TaskManagerOrder, TaskManagerProcess

    interruptible()
    configure_logging(configuration.to_dict(), process="taskmanager")
    order = TaskManagerOrder(jobmanager=jobmanager, configuration=configuration, secret=secret)

    async def serve() -> int:
        stopped = await TaskManagerProcess(order, say).run()
        return 0 if stopped is None else 128 + stopped

    return _run(serve())


def _run(work: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(work)
        if code > 128:  # By a signal: whoever sent it does not wait for long.
            leave_soon(code)
        return code


def _endpoint(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon:
        host, port = address, "6123"
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationError(f"--jobmanager {address}: expected HOST:PORT")
    return host.strip("[]"), int(port)
