"""`penstock-operator run` and `penstock-operator release`: the operator in a cluster, and its end."""

import asyncio
import logging
import os
import resource
import time
from dataclasses import replace
from typing import Any

import click
import uvloop

from penstock_operator.cycle.one_pass import Logic
from penstock_operator.decide.acts import Decision
from penstock_operator.decide.deciding import decide
from penstock_operator.decide.questions import questions
from penstock_operator.errors import InvalidValue
from penstock_operator.handlers.releasing import release_all
from penstock_operator.handlers.running import ClusterOperator
from penstock_operator.settings import Settings
from penstock_operator.telemetry.logs import set_up_logs
from penstock_operator.telemetry.metrics import Metrics

namespaces_option = click.option(
    "--namespace", "namespaces", multiple=True, help="Look after FlinkJobs in this namespace only; may be repeated."
)
lease_option = click.option("--lease", "lease_name", help="Name of the Lease by which one replica leads.")
own_namespace_option = click.option("--own-namespace", "lease_namespace", help="Where that Lease is.")


@click.command()
@namespaces_option
@lease_option
@own_namespace_option
@click.option("--identity", help="Under which the Lease is held; in a pod, its name.")
@click.option("--health-port", type=int, help="Serves /livez and /readyz; 8080 unless given.")
@click.option("--metrics-port", type=int, help="Serves Prometheus; 9249 unless given.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["json", "text"]))
def run(namespaces: tuple[str, ...], **given: Any) -> None:
    """Look after the FlinkJobs of a cluster, from within it or with a kubeconfig.

    Every option can be given as PENSTOCK_OPERATOR_... in the environment too.
    """
    settings = loaded({**given, "namespaces": namespaces or None})
    set_up_logs(settings.log_level, settings.log_format)
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))  # A connection to each job stays open.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings))
    # Threads that wait for a store must not hold up the end.
    logging.shutdown()
    os._exit(0)


@click.command()
@namespaces_option
@lease_option
@own_namespace_option
@click.option("--deployment", help="The operator's own, which is stopped first.")
def release(namespaces: tuple[str, ...], deployment: str | None, **given: Any) -> None:
    """Stop the operator and take its finalizers off all objects, so that they can be deleted without it.

    Jobs run on, and an operator that is installed later goes on with them.
    """
    settings = loaded({**given, "namespaces": namespaces or None})
    set_up_logs(settings.log_level, settings.log_format)
    asyncio.run(
        release_all(
            settings.namespaces,
            own_namespace=settings.lease_namespace,
            lease=settings.lease_name,
            deployment=deployment,
        )
    )


def loaded(given: dict[str, Any]) -> Settings:
    try:
        return Settings.load(os.environ, given)
    except InvalidValue as error:
        raise click.UsageError(str(error)) from error


async def _run(settings: Settings) -> None:
    logic = Logic(questions, lambda seen: no_later_than(settings.steady_interval_s, decide(seen)))
    await ClusterOperator(settings, logic, Metrics(now=time.time)).run()


def no_later_than(seconds: float, decision: Decision) -> Decision:
    """Who wants to hear of a job's end sooner looks more often."""
    return replace(decision, look_again_s=min(decision.look_again_s, seconds))
