"""`penstock-operator local`: the whole local world in one process, from the manifest to the last process.

Watches the manifests, has the cycle attend to every job, shows how they are, and ends as it is told: in order on the
first Ctrl-C, at once on the second.
"""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final, final

from penstock_operator.cycle.one_pass import Logic
from penstock_operator.cycle.supervised import Cycle, CycleSettings, Ended
from penstock_operator.cycle.world import JobKey, World
from penstock_operator.decide.acts import Event
from penstock_operator.errors import Unavailable
from penstock_operator.local.applying import Applier
from penstock_operator.local.deployments import Deployments, Machine, RevisionKey
from penstock_operator.local.keeping import KeepingSettings, Room
from penstock_operator.local.launching import ProcessLauncher
from penstock_operator.local.looks import Look, look
from penstock_operator.local.manifest import read_manifests
from penstock_operator.local.objects import ObjectKey, Objects
from penstock_operator.local.places import Places
from penstock_operator.local.pulses import Pulses
from penstock_operator.local.screen import Screen
from penstock_operator.local.watching import saved
from penstock_operator.local.world import LocalWorld, status_of
from penstock_operator.model.status import LifecycleState

_SHOW_EACH_S: Final = 0.25
_GONE_EACH_S: Final = 0.05
_HURRY: Final = 10.0
"""To ask a process on this machine costs next to nothing, and somebody may be watching."""
LEFT: Final = 130
"""Exit code of who was interrupted twice."""


@final
@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What the command line says."""

    manifests: tuple[Path, ...]
    slots_max: int
    until_finished: bool = False
    """End when every job has come to its end, instead of watching on."""


@final
class LocalOperator:
    """One run. `run` is its whole life."""

    def __init__(
        self,
        places: Places,
        settings: LocalSettings,
        screen: Screen,
        logic: Logic,
        seen: Callable[[World], World] = lambda world: world,
    ) -> None:
        """Within a running loop. `seen`: what stands between the cycle and the world."""
        self._places = places
        self._settings = settings
        self._screen = screen
        self._objects = Objects(places.objects, lambda: datetime.now(UTC))
        self._deployments = Deployments(
            Machine(
                folder=places.processes,
                launcher=ProcessLauncher(places, self._objects),
                room=Room(settings.slots_max),
                settings=KeepingSettings(),
                now_ms=_now_ms,
                rng=Random(),
            ),
            self._processes_changed,
        )
        self._world = LocalWorld(self._objects, self._deployments, now_ms=_now_ms, tell=self._tell)
        self._pulses = Pulses(self._world, self._news)
        self._applier = Applier(self._objects, screen.say)
        self._loop = asyncio.get_running_loop()
        self._crash: asyncio.Future[int] = self._loop.create_future()
        self._interrupted = asyncio.Event()
        self._stopping = False
        self._cycle = Cycle(
            seen(self._world), logic, settings=CycleSettings(hurry=_HURRY), crashed=self._crashed, ended=self._passed
        )
        self._objects.listen(self._object_changed)

    async def run(self) -> int:
        """The exit code. OperatorError when there is nothing to begin with."""
        wanted = read_manifests(self._settings.manifests)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._interrupted.set)
        for key, _ in self._objects.all("FlinkJob"):
            self._news(key)
        for file, manifest in wanted.items():
            self._applier.apply(file, manifest)
        self._world.look_after_orphans()
        beside = [asyncio.create_task(work) for work in (self._watch(), self._show(), self._pulses.beat())]
        over = asyncio.create_task(self._until_over())
        waits: list[asyncio.Future[Any]] = [over, self._crash, *beside]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if self._crash.done():
                self._crash.result()
            for task in beside:
                if task.done():
                    task.result()
            return over.result()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            self._screen.show(self.looks(), self._loop.time())
            await self._cycle.close()
            await self._deployments.leave()
            await self._world.close()

    # What happens.

    def _object_changed(self, key: ObjectKey) -> None:
        match key.kind:
            case "FlinkJob":
                self._news(key)
                self._world.look_after_orphans()
            case "FlinkStateSnapshot" | "Secret" | "ConfigMap":
                for job, _ in self._objects.all("FlinkJob", key.namespace):
                    self._news(job)
                self._world.look_after_orphans()
            case "ControllerRevision":
                pass

    def _processes_changed(self, key: RevisionKey) -> None:
        self._news(ObjectKey("FlinkJob", key.namespace, key.job))

    def _news(self, key: ObjectKey) -> None:
        stored = self._objects.get(key)
        uid = None if stored is None else stored.metadata.uid
        for attended in self._cycle.attended:
            if (attended.namespace, attended.name) == (key.namespace, key.name) and attended.uid != uid:
                self._cycle.gone(attended)
        if uid is not None:
            self._cycle.news(JobKey(key.namespace, key.name, uid))

    def _crashed(self, key: JobKey, error: BaseException | None) -> None:
        if not self._crash.done():
            self._crash.set_exception(error or RuntimeError(f"nobody attends to {key} any more"))

    def _passed(self, ended: Ended) -> None:
        if ended.failure not in (None, "conflict"):
            self._screen.say(f"{ended.key.name}: a pass failed and is repeated: {ended.reason or ended.failure}", "red")

    def _tell(self, key: ObjectKey, event: Event) -> None:
        moment = datetime.now(UTC)
        line = {"time": moment.isoformat(timespec="milliseconds"), "namespace": key.namespace, "name": key.name}
        line |= {"type": event.type, "reason": event.reason, "message": event.message}
        with contextlib.suppress(OSError), self._places.events.open("a") as file:  # On a full disk it is still shown.
            file.write(json.dumps(line) + "\n")
        clock = moment.astimezone().strftime("%H:%M:%S")
        self._screen.say(
            f"{clock} {key.name}: {event.reason}: {event.message}", "yellow" if event.type == "Warning" else "green"
        )

    # What goes on beside.

    async def _watch(self) -> None:
        async for file in saved(self._settings.manifests):
            if not self._stopping:
                self._applier.apply_saved(file)

    async def _show(self) -> None:
        while True:
            self._screen.show(self.looks(), self._loop.time())
            await asyncio.sleep(_SHOW_EACH_S)

    # What can be seen of it.

    def looks(self) -> list[Look]:
        """All FlinkJobs, as the screen shows them."""
        looks = []
        for key, stored in self._objects.all("FlinkJob"):
            now, before = self._pulses.of(key)
            looks.append(look(key.name, status_of(stored), now, before, _now_ms()))
        return looks

    def revision(self, name: str, namespace: str = "default") -> str:
        """The one that runs, or was the last to."""
        stored = self._objects.get(ObjectKey("FlinkJob", namespace, name))
        return "" if stored is None else status_of(stored).active_revision

    def pids(self, name: str, namespace: str = "default") -> dict[str, int]:
        """Of the running revision's processes: `jobmanager`, `taskmanager-0` and so on."""
        return self._deployments.pids(RevisionKey(namespace, name, self.revision(name, namespace)))

    # The end.

    async def _until_over(self) -> int:
        finished = asyncio.create_task(self._until_finished())
        interrupted = asyncio.create_task(self._interrupted.wait())
        await asyncio.wait([finished, interrupted], return_when=asyncio.FIRST_COMPLETED)
        code = finished.result() if finished.done() else 0
        for task in (finished, interrupted):
            task.cancel()
        self._stopping = True
        if not self._interrupted.is_set():
            self._screen.say("all jobs have come to their ends", "")
        else:
            self._screen.say("stopping as deletionPolicy says; Ctrl-C once more leaves at once", "yellow")
        self._interrupted.clear()
        return code if await self._stop() else LEFT

    async def _until_finished(self) -> int:
        """Of all jobs, if that is what is waited for."""
        ended = {LifecycleState.FINISHED, LifecycleState.FAILED}
        while True:
            states = {status_of(stored).lifecycle_state for _, stored in self._objects.all("FlinkJob")}
            if self._settings.until_finished and states <= ended:
                return int(LifecycleState.FAILED in states)
            await asyncio.sleep(_SHOW_EACH_S)

    async def _stop(self) -> bool:
        """Delete the jobs as their policies say; False when interrupted in that."""
        while not self._told_to_go() or self._objects.all("FlinkJob") or self._deployments.keys:
            if self._interrupted.is_set():
                await self._leave_at_once()
                return False
            await asyncio.sleep(_GONE_EACH_S)
        return True

    def _told_to_go(self) -> bool:
        """Whether all jobs are; again and again, should there be no room to write it down."""
        try:
            for key, _ in self._objects.all("FlinkJob"):
                self._objects.delete(key)
        except Unavailable:
            return False
        return True

    async def _leave_at_once(self) -> None:
        """Whatever the jobs have checkpointed is what they go on from when they are started again."""
        await self._cycle.close()
        for revision in self._deployments.keys:
            self._deployments.kill(revision)
        for key, _ in self._objects.all("FlinkJob"):
            self._objects.remove(key)
        self._screen.say("left at once; when started again, the jobs go on from their newest state", "yellow")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
