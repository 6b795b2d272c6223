"""`penstock-operator local` and `penstock-operator validate`."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from penstock_operator.cycle.one_pass import Logic
from penstock_operator.cycle.world import World
from penstock_operator.decide.deciding import decide
from penstock_operator.decide.questions import Children
from penstock_operator.errors import OperatorError
from penstock_operator.local.manifest import Manifest, ManifestRefused, check_alone, read_manifest
from penstock_operator.local.places import Places, default_folder
from penstock_operator.local.running import LocalOperator, LocalSettings
from penstock_operator.local.screen import Screen, screen
from penstock_operator.telemetry.logs import set_up_logs

_SLOTS_PER_CORE: Final = 8
"""Workers that wait take no core, and an upgrade needs those of two revisions for a while."""

_LOGIC: Final = Logic(lambda job: frozenset({Children()}), decide)

Beside = Callable[[LocalOperator, Screen], Awaitable[None]]

_MANIFESTS: Final = click.option(
    "-f",
    "--filename",
    "manifests",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A manifest; may be given many times.",
)


@click.command()
@_MANIFESTS
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where objects, logs and process ids are kept.  [default: a folder below ~/.penstock/local]",
)
@click.option("--slots", type=click.IntRange(min=1), help="Slots that this machine has room for.  [default: 8 a core]")
@click.option("--until-finished", is_flag=True, help="End when all jobs have come to their ends.")
def local(manifests: tuple[Path, ...], state_dir: Path | None, slots: int | None, until_finished: bool) -> None:
    """Run FlinkJobs on this machine, without a cluster.

    Each job gets a JobManager and TaskManagers as processes of their own, which are started again when they die. The
    manifests are watched: every saved edit is applied as a cluster would. Paths in them are relative to where they lie,
    and no image is needed.

    Ctrl-C stops the jobs as their deletionPolicy says, by default with a savepoint. Ctrl-C once more leaves at once.
    Started again, they go on from their newest state. If this process is killed, the jobs run on; start it again.

    Exit code: 0 after Ctrl-C, and with --until-finished when no job has failed; 1 when one has, or when a manifest is
    wrong at the start; 130 after the second Ctrl-C.
    """
    settings = LocalSettings(
        manifests=tuple(dict.fromkeys(manifest.absolute() for manifest in manifests)),
        slots_max=slots or _SLOTS_PER_CORE * (os.cpu_count() or 1),
        until_finished=until_finished,
    )
    sys.exit(run_local(state_dir or default_folder(manifests), settings))


@click.command()
@_MANIFESTS
def validate(manifests: tuple[Path, ...]) -> None:
    """Say everything that is wrong with manifests. Exit code 1 if there is anything."""
    wrong = False
    right: dict[Path, Manifest] = {}
    for manifest in manifests:
        try:
            found = read_manifest(manifest)
            check_alone(manifest, found, right)
        except ManifestRefused as error:
            wrong = True
            click.echo(str(error), err=True)
        else:
            right[manifest] = found
            click.echo(f"{manifest}: {', '.join(f'{key.kind} {key.name}' for key in found)}: nothing is wrong")
    sys.exit(int(wrong))


def run_local(
    folder: Path,
    settings: LocalSettings,
    *,
    beside: Beside | None = None,
    seen: Callable[[World], World] = lambda world: world,
) -> int:
    """The exit code. `beside` runs on the same loop while it lives; `seen` stands between the cycle and the world."""
    places = Places(folder.absolute())
    console = Console(stderr=True)
    try:
        places.prepare()
        places.lock()
        with places.open_log() as log_file:
            set_up_logs("info", "text", log_file)
            logging.raiseExceptions = False  # On a full disk; what people have to know is on the screen.
            return asyncio.run(_run(places, settings, screen(console), beside, seen))
    except OperatorError as error:
        console.print(f"penstock-operator: {error}", soft_wrap=True, markup=False, highlight=False)
        return 1


async def _run(
    places: Places,
    settings: LocalSettings,
    shown: Screen,
    beside: Beside | None,
    seen: Callable[[World], World],
) -> int:
    operator = LocalOperator(places, settings, shown, _LOGIC, seen)
    with shown:
        watched = " and ".join(str(manifest) for manifest in settings.manifests)
        shown.say(f"{watched}: every saved edit is applied; Ctrl-C stops the jobs as their deletionPolicy says", "dim")
        shown.say(f"logs and processes are in {places.root}", "dim")
        running = asyncio.create_task(operator.run())
        if beside is None:
            return await running
        other = asyncio.ensure_future(beside(operator, shown))
        try:
            await asyncio.wait([running, other], return_when=asyncio.FIRST_COMPLETED)
            if other.done():
                other.result()
            return await running
        finally:
            other.cancel()
            running.cancel()
            await asyncio.gather(other, running, return_exceptions=True)
