"""`penstock check`: whether a job can start from a checkpoint or savepoint, found out with nothing running."""

import sys
from pathlib import Path

import click

from penstock.base.errors import PenstockError
from penstock.cli import ending
from penstock.cli.configuring import cluster_configuration, conf_option, definitions_option, flags
from penstock.cli.ending import interruptible, one_sentence, say
from penstock.cli.starting import unclaimed_option


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--against", "address", required=True, metavar="STATE", help="Checkpoint or savepoint: folder or URI.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output; see below.")
@unclaimed_option
@click.option("--read", "read_all", is_flag=True, help="Read every file and compare its checksum.")
@click.option("--no-open", is_flag=True, help="Do not open the job's functions: types of state are not compared.")
@click.option("-p", "--parallelism", type=click.IntRange(min=1), metavar="N", help="Default parallelism.")
@definitions_option
@conf_option
@click.argument("script", metavar="JOB.py")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def check(
    address: str,
    as_json: bool,
    allow_unclaimed: bool,
    read_all: bool,
    no_open: bool,
    parallelism: int | None,
    definitions: tuple[str, ...],
    conf: str | None,
    script: str,
    arguments: tuple[str, ...],
) -> None:
    """Check whether JOB.py can start from a checkpoint or savepoint. Starts nothing and changes nothing.

    \b
      penstock check --against /savepoints/savepoint-0123ab-4567cdef89ab job.py
      penstock check --json -n --against s3://bucket/checkpoints/JOB_ID/chk-7 job.py --input book.txt

    The script runs in a process of its own, up to where it would execute its job. The functions of the job, but no
    source or sink, are then opened there on empty state, to learn which states they ask for; each may take 20 s.
    Options stand before JOB.py; what follows it is the job's own.

    Exit code: 0 when the job can start, 1 when it cannot or when that could not be found out, 2 for a wrong command
    line.

    \b
    Fields of the JSON object:
      outcome       "compatible", "incompatible", or "error": it could not be found out
      error         null, or why
      retriable     whether asking again may help: the store did not answer
      job           null, or {"name", "script", "fingerprint", "backend"}
      state         null, or {"path", "kind": "checkpoint" | "savepoint", "job", "job-name", "checkpoint",
                    "triggered", "bytes", "fingerprint"}
      refusals      how many findings make the start impossible
      findings      a list, refusals first, of
                    {"severity": "refusal" | "note", "kind", "message", "uid", "operator", "state", "old", "new"}
      kind is one of
        state-without-operator  operator-without-state  state-not-asked-for  new-state
        migration  incompatible-type  incompatible-key-type  types-unknown
        max-parallelism  backend  missing-file  damaged-file  store (said by a JobManager in standby only)
      old and new are what the state has and the program asks for, as text: types, numbers, backends
    """
    with one_sentence():
        from penstock.cli.checking import CheckOrder, answer_of, json_of, lines_of
        from penstock.jobmanager.preflight import not_found_out

        interruptible()
        try:
            order = CheckOrder(
                script=Path(script),
                arguments=arguments,
                address=address,
                cluster=cluster_configuration(conf),
                flags=flags(definitions),
                parallelism=parallelism,
                allow_unclaimed=allow_unclaimed,
                read_all=read_all,
                rehearse=not no_open,
            )
            answer = answer_of(order)
        except PenstockError as error:
            if not as_json:
                raise
            answer = not_found_out(error)
        if as_json:
            click.echo(json_of(answer))
        else:
            for line in lines_of(answer):
                click.echo(line)
    if answer.outcome != "compatible":
        if not as_json:
            say(f"penstock: {script} cannot start from {address}")
        sys.exit(ending.FAILED)
