"""`penstock list`, `info`, `cancel`, `version`: what is asked of a running JobManager over REST."""

import sys
import time
from typing import Any, Final

import click

from penstock.cli import ending
from penstock.cli.ending import one_sentence, say
from penstock.rest.client import RestClient, RestRefused

_RUNNING: Final = "INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "RECONCILING"

_address = click.option(
    "-m",
    "--jobmanager",
    "address",
    default="localhost:8081",
    metavar="HOST:PORT",
    show_default=True,
    help="Where the JobManager's REST answers.",
)


@click.command("list")
@_address
@click.option("-a", "--all", "every", is_flag=True, help="Ended jobs too.")
@click.option("-r", "--running", is_flag=True, help="Only jobs that run.")
def list_jobs(address: str, every: bool, running: bool) -> None:
    """List the jobs of a JobManager, one a line: when it started, its id, its name, its state.

    \b
      penstock list -m localhost:8081
    """
    with one_sentence():
        jobs = RestClient(address).jobs()
        if not every:
            jobs = [job for job in jobs if job["state"] in _RUNNING]
        if running:
            jobs = [job for job in jobs if job["state"] == "RUNNING"]
        for job in jobs:
            click.echo(f"{_time(job['start-time'])} : {job['jid']} : {job['name']} ({job['state']})")
        if not jobs:
            say("There are no jobs." if every else "There are no running jobs.")


@click.command()
@_address
@click.argument("job", required=False)
def info(address: str, job: str | None) -> None:
    """Show how a job is: its tasks, its checkpoints, its last failure. Without JOB: the only one there is.

    \b
      penstock info -m localhost:8081
    """
    with one_sentence():
        client = RestClient(address)
        jobs = [job] if job is not None else [found["jid"] for found in client.jobs()]
        for jid in jobs:
            details, checkpoints = client.job(jid), client.checkpoints(jid)
            for line in [*_job_lines(details), *_checkpoint_lines(checkpoints)]:
                click.echo(line)
            failures = client.exceptions(jid)
            if failures:
                sentence = failures[0]["stacktrace"].partition("\n")[0]
                click.echo(f"last failure {_time(failures[0]['timestamp'])}: {sentence}")


@click.command()
@_address
@click.argument("job")
def cancel(address: str, job: str) -> None:
    """Cancel the job with the id JOB. State that checkpoints keep after a cancellation stays (see
    execution.checkpointing.externalized-checkpoint-retention).

    \b
      penstock cancel 0123456789abcdef0123456789abcdef
    """
    with one_sentence():
        try:
            RestClient(address).cancel(job)
        except RestRefused as error:
            say(f"penstock: {error}")
            sys.exit(ending.FAILED)
        say(f"Cancelled job {job}.")


@click.command()
def version() -> None:
    """Say which Penstock this is."""
    from penstock.rest.cluster_answers import CONTRACT, revision

    click.echo(f"{revision()} (REST as of Flink {CONTRACT}), Python {sys.version.partition(' ')[0]}")


def _job_lines(details: dict[str, Any]) -> list[str]:
    lines = [f"{details['name']} ({details['jid']}) {details['state']} for {details['duration'] / 1000:.0f} s"]
    for vertex in details["vertices"]:
        tasks = ", ".join(f"{count} {state.lower()}" for state, count in vertex["tasks"].items() if count)
        metrics = vertex["metrics"]
        lines.append(f"  {vertex['name']}: {tasks}; {metrics['read-records']} in, {metrics['write-records']} out")
    return lines


def _checkpoint_lines(checkpoints: dict[str, Any]) -> list[str]:
    counts, latest = checkpoints["counts"], checkpoints["latest"]
    lines = [f"checkpoints: {counts['completed']} completed, {counts['failed']} failed, {counts['restored']} restored"]
    if latest["completed"] is not None:
        newest = latest["completed"]
        lines.append(
            f"  newest: {newest['id']}, {newest['state_size']} bytes in {newest['end_to_end_duration']} ms, "
            f"{newest['external_path'] or 'in memory'}"
        )
    if latest["failed"] is not None:
        lines.append(f"  last failed: {latest['failed']['id']}, {latest['failed']['failure_message']}")
    return lines


def _time(at_ms: int) -> str:
    return time.strftime("%d.%m.%Y %H:%M:%S", time.localtime(at_ms / 1000))
