"""`penstock-operator run` and `penstock-operator release`: the operator in a cluster, and its end."""

import asyncio
import logging
import os
import socket
import uuid

import click

from penstock_operator.cycle.one_pass import Logic
from penstock_operator.decide.deciding import decide
from penstock_operator.decide.questions import questions
from penstock_operator.handlers.releasing import release_all
from penstock_operator.handlers.running import ClusterOperator, Counts, RunSettings

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

namespaces_option = click.option(
    "--namespace", "namespaces", multiple=True, help="Look after FlinkJobs in this namespace only; may be repeated."
)
lease_option = click.option(
    "--lease", default="penstock-operator", show_default=True, help="Name of the Lease by which one replica leads."
)
own_namespace_option = click.option(
    "--own-namespace", envvar="POD_NAMESPACE", default="default", show_default=True, help="Where that Lease is."
)


@click.command()
@namespaces_option
@lease_option
@own_namespace_option
@click.option("--identity", envvar="POD_NAME", help="Under which the Lease is held; the pod's name.")
@click.option("--health-port", default=8080, show_default=True, help="Serves /livez and /readyz.")
@click.option("--metrics-port", default=9249, show_default=True, help="Serves Prometheus.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def run(
    namespaces: tuple[str, ...],
    lease: str,
    own_namespace: str,
    identity: str | None,
    health_port: int,
    metrics_port: int,
    log_level: str,
) -> None:
    """Look after the FlinkJobs of a cluster, from within it or with a kubeconfig."""
    set_up_logs(log_level)
    settings = RunSettings(
        namespaces=namespaces,
        lease_namespace=own_namespace,
        lease_name=lease,
        identity=identity or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        health_port=health_port,
        metrics_port=metrics_port,
    )
    asyncio.run(_run(settings))
    # Threads that wait for a store must not hold up the end.
    logging.shutdown()
    os._exit(0)


@click.command()
@namespaces_option
@lease_option
@own_namespace_option
@click.option("--deployment", help="The operator's own, which is stopped first.")
def release(namespaces: tuple[str, ...], lease: str, own_namespace: str, deployment: str | None) -> None:
    """Stop the operator and take its finalizers off all objects, so that they can be deleted without it.

    Jobs run on, and an operator that is installed later goes on with them.
    """
    set_up_logs("info")
    asyncio.run(release_all(namespaces, own_namespace=own_namespace, lease=lease, deployment=deployment))


def set_up_logs(level: str) -> None:
    logging.basicConfig(level=level.upper(), format=LOG_FORMAT, force=True)
    logging.getLogger("kopf.objects").setLevel("WARNING")  # Otherwise a line for every event.
    logging.getLogger("kopf.activities").setLevel("WARNING")


async def _run(settings: RunSettings) -> None:
    counts = Counts(request=lambda verb, resource, status: None, ended=lambda ended: None)
    await ClusterOperator(settings, Logic(questions, decide), counts).run()
