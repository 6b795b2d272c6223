"""`penstock run`: a job on a cluster of its own on this machine, which starts and ends with it."""

import sys
from pathlib import Path

import click

from penstock.base.scripts import check_script
from penstock.cli.configuring import PORT, cluster_configuration, flags
from penstock.cli.ending import one_sentence
from penstock.cli.starting import Starting, starting


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("-d", "--detached", is_flag=True, help="Start the job, print its id and its REST address, and return.")
@click.option("-p", "--parallelism", type=click.IntRange(min=1), metavar="N", help="Default parallelism.")
@starting
@click.option("-D", "definitions", multiple=True, metavar="KEY=VALUE", help="A setting; may be given many times.")
@click.option("--conf", metavar="DIR", help="Folder of config.yaml.  [default: $PENSTOCK_CONF_DIR or $FLINK_CONF_DIR]")
@click.option("--rest-port", type=PORT, metavar="PORT", help="Serve REST on this port; 0: any.  [default: no REST]")
@click.option("--no-live", is_flag=True, help="Plain lines instead of the live view.")
@click.option("-q", "--quiet", is_flag=True, help="Neither: only the job's own output, and failures.")
@click.option("-py", "--python", "python", metavar="JOB.py", help="The script, as the flink command has it.")
@click.argument("script", metavar="JOB.py", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def run(
    detached: bool,
    parallelism: int | None,
    start: Starting,
    definitions: tuple[str, ...],
    conf: str | None,
    rest_port: int | None,
    no_live: bool,
    quiet: bool,
    python: str | None,
    script: str | None,
    arguments: tuple[str, ...],
) -> None:
    """Run the job that JOB.py describes on this machine, and wait for its end; `python JOB.py` does the same.

    \b
      penstock run word_count.py
      penstock run -p 4 -D execution.checkpointing.interval=10s word_count.py --input book.txt
      penstock run -d --rest-port 8081 word_count.py
      penstock run -s /savepoints/savepoint-0123ab-4567cdef89ab -n --pyFiles helpers.zip word_count.py

    Options stand before JOB.py; what follows it is the job's own. Programs that import pyflink run as they are.
    What the job prints goes to standard output, all else to standard error: a live view on a terminal, elsewhere a line
    whenever something changes.

    Settings come from --conf (config.yaml or flink-conf.yaml), then from the program, then from -D, the later over the
    earlier.

    Exit code: 0 when the job has ended well, 1 when it failed or was cancelled elsewhere, 130 after Ctrl-C, which
    cancels the job.
    """
    if python is not None:
        script, arguments = python, arguments if script is None else (script, *arguments)
    if script is None:
        raise click.UsageError("Missing argument 'JOB.py'.")
    with one_sentence():
        given = start.over(flags(definitions))
        check_script(Path(script))
        from penstock.taskmanager.zygote_process import ZygoteProcess

        zygote = None if detached else ZygoteProcess()
        from penstock.cli.running import RunOrder, run_here

        order = RunOrder(
            script=Path(script),
            arguments=arguments,
            cluster=cluster_configuration(conf),
            flags=given,
            parallelism=parallelism,
            rest_port=rest_port,
            detached=detached,
            zygote=zygote,
            view="quiet" if quiet else "plain" if no_live or detached else "auto",
        )
        code = run_here(order)
    sys.exit(code)
