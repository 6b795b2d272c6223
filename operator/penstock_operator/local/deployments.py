"""The processes of all revisions of all jobs on this machine: what a kubelet and its Deployments are to a cluster.

What is to run lies in a file per revision, so that an operator that is started again goes on where the one before it
was.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol, final

import msgspec

from penstock_operator.decide.facts import Deployed, Processes, Trouble
from penstock_operator.local.keeping import Keeper, KeepingSettings, Room
from penstock_operator.local.objects import remove_folder, write_whole
from penstock_operator.local.ports import free_ports, is_free
from penstock_operator.local.processes import Command

_PLAN: Final = "plan.json"


@final
@dataclass(frozen=True, slots=True, order=True)
class RevisionKey:
    """Which processes."""

    namespace: str
    job: str
    revision: str

    @property
    def path(self) -> str:
        return f"{self.namespace}/{self.job}/{self.revision}"


@final
class Plan(msgspec.Struct, frozen=True, rename="camel"):
    """What is to run of a revision."""

    job_id: str
    spec: dict[str, Any]
    taskmanagers: int
    slots: int
    """Of each TaskManager."""
    rpc_port: int
    rest_port: int
    being_removed: bool = False


class Launcher(Protocol):
    """Says how the processes of a revision are started; called at each start. May raise OSError and OperatorError."""

    async def jobmanager(self, key: RevisionKey, plan: Plan) -> Command: ...

    async def taskmanager(self, key: RevisionKey, plan: Plan, index: int) -> Command: ...


@final
@dataclass(frozen=True, slots=True)
class Machine:
    """What all processes share."""

    folder: Path
    launcher: Launcher
    room: Room
    settings: KeepingSettings
    now_ms: Callable[[], int]
    rng: Random


@final
class Deployments:
    """All of them."""

    def __init__(self, machine: Machine, changed: Callable[[RevisionKey], None]) -> None:
        """`changed` hears of every process that has started or ended. Takes up what is on disk."""
        self._machine = machine
        self._changed = changed
        self._revisions: dict[RevisionKey, _Revision] = {}
        for file in sorted(machine.folder.glob(f"*/*/*/{_PLAN}")):
            namespace, job, revision = file.parent.relative_to(machine.folder).parts
            key = RevisionKey(namespace, job, revision)
            plan = msgspec.json.decode(file.read_bytes(), type=Plan)
            self._revisions[key] = self._new(key, plan)
            if plan.being_removed:
                self.remove(key)

    def deploy(self, key: RevisionKey, job_id: str, spec: dict[str, Any], taskmanagers: int, slots: int) -> None:
        """Have these processes; as they are if they are so already."""
        present = self._revisions.get(key)
        if present is None:
            rpc_port, rest_port = free_ports(2, self._promised(), self._machine.rng)
            self._revisions[key] = self._new(key, Plan(job_id, spec, taskmanagers, slots, rpc_port, rest_port))
        elif not present.plan.being_removed:
            present.change(msgspec.structs.replace(present.plan, spec=spec, taskmanagers=taskmanagers, slots=slots))

    def remove(self, key: RevisionKey) -> None:
        """Begin to end them; `of` does not list them any more when all are gone."""
        present = self._revisions.get(key)
        if present is not None:
            present.remove(lambda: self._forget(key))

    def of(self, namespace: str, job: str) -> tuple[Deployed, ...]:
        return tuple(
            revision.deployed()
            for key, revision in sorted(self._revisions.items(), key=lambda item: item[0])
            if (key.namespace, key.job) == (namespace, job)
        )

    def rest_port(self, key: RevisionKey) -> int | None:
        present = self._revisions.get(key)
        return None if present is None else present.plan.rest_port

    def pids(self, key: RevisionKey) -> dict[str, int]:
        """Of the processes that live, by `jobmanager` and `taskmanager-N`."""
        present = self._revisions.get(key)
        return {} if present is None else present.pids()

    @property
    def keys(self) -> list[RevisionKey]:
        return sorted(self._revisions)

    def kill(self, key: RevisionKey) -> None:
        """All at once and for good, without a word."""
        present = self._revisions.pop(key, None)
        if present is not None:
            present.kill()

    async def leave(self) -> None:
        """Look after nothing any more; everything runs on."""
        await asyncio.gather(*(revision.leave() for revision in self._revisions.values()))

    def _new(self, key: RevisionKey, plan: Plan) -> "_Revision":
        return _Revision(key, plan, self._machine, lambda: self._changed(key))

    def _forget(self, key: RevisionKey) -> None:
        self._revisions.pop(key, None)
        self._changed(key)

    def _promised(self) -> frozenset[int]:
        return frozenset(
            port for revision in self._revisions.values() for port in (revision.plan.rpc_port, revision.plan.rest_port)
        )


@final
class _Revision:
    """One JobManager and its TaskManagers."""

    def __init__(self, key: RevisionKey, plan: Plan, machine: Machine, changed: Callable[[], None]) -> None:
        self._key = key
        self._machine = machine
        self._changed = changed
        self._folder = machine.folder / key.path
        self._keepers: dict[str, Keeper] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}
        self._removal: asyncio.Task[None] | None = None
        self._save(plan)
        self._match()

    def change(self, plan: Plan) -> None:
        if plan != self.plan:
            self._save(plan)
            self._match()

    def remove(self, removed: Callable[[], None]) -> None:
        if self._removal is None:
            self._save(msgspec.structs.replace(self.plan, being_removed=True))
            self._removal = asyncio.create_task(self._remove(removed), name=f"removes {self._key.path}")

    def deployed(self) -> Deployed:
        return Deployed(
            self._key.revision,
            jobmanager=self._processes("jobmanager", 1),
            taskmanagers=self._processes("taskmanager", self.plan.taskmanagers),
            being_removed=self.plan.being_removed,
        )

    def pids(self) -> dict[str, int]:
        return {name: keeper.pid for name, keeper in self._keepers.items() if keeper.pid is not None}

    def kill(self) -> None:
        for task in (self._removal, *self._stopping.values()):
            if task is not None:
                task.cancel()
        for keeper in self._keepers.values():
            keeper.kill()
        remove_folder(self._folder)

    async def leave(self) -> None:
        tasks = [task for task in (self._removal, *self._stopping.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(keeper.leave() for keeper in self._keepers.values()), return_exceptions=True)

    def _match(self) -> None:
        """As many keepers as the plan says."""
        wanted = ["jobmanager", *(f"taskmanager-{index}" for index in range(self.plan.taskmanagers))]
        for name in wanted:
            if name not in self._keepers and name not in self._stopping:
                self._keepers[name] = self._keeper(name)
        for name in [name for name in self._keepers if name not in wanted]:
            self._stopping[name] = asyncio.create_task(self._stop(name, self._keepers.pop(name)))

    async def _stop(self, name: str, keeper: Keeper) -> None:
        await keeper.stop()
        self._stopping.pop(name, None)
        self._match()  # It may be wanted again by now.
        self._changed()

    async def _remove(self, removed: Callable[[], None]) -> None:
        # TaskManagers last: they leave a JobManager that is gone without a word.
        await asyncio.gather(*self._stopping.values())
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers.values()))
        self._keepers.clear()
        remove_folder(self._folder)
        removed()

    def _keeper(self, name: str) -> Keeper:
        return Keeper(
            self._folder / f"{name}.json",
            lambda: self._command(name),
            slots=0 if name == "jobmanager" else self.plan.slots,
            room=self._machine.room,
            settings=self._machine.settings,
            now_ms=self._machine.now_ms,
            changed=self._changed,
        )

    async def _command(self, name: str) -> Command:
        launcher = self._machine.launcher
        if name != "jobmanager":
            return await launcher.taskmanager(self._key, self.plan, int(name.rpartition("-")[2]))
        if not (is_free(self.plan.rpc_port) and is_free(self.plan.rest_port)):
            self._move()
        return await launcher.jobmanager(self._key, self.plan)

    def _move(self) -> None:
        """Somebody else listens on its ports: take others, and have the TaskManagers look there."""
        rpc_port, rest_port = free_ports(2, frozenset(), self._machine.rng)
        self._save(msgspec.structs.replace(self.plan, rpc_port=rpc_port, rest_port=rest_port))
        for name in [name for name in self._keepers if name != "jobmanager"]:
            self._stopping[name] = asyncio.create_task(self._stop(name, self._keepers.pop(name)))

    def _processes(self, kind: str, wanted: int) -> Processes:
        keepers = [keeper for name, keeper in self._keepers.items() if name.startswith(kind)]
        trouble, message = _trouble(keepers, self._machine.room)
        return Processes(
            wanted=wanted,
            ready=sum(keeper.pid is not None for keeper in keepers),
            restarts=sum(keeper.record.restarts for keeper in keepers),
            trouble=trouble,
            message=message,
        )

    def _save(self, plan: Plan) -> None:
        write_whole(self._folder / _PLAN, msgspec.json.encode(plan))
        self.plan = plan


def _trouble(keepers: list[Keeper], room: Room) -> tuple[Trouble | None, str]:
    without_room = sum(keeper.no_room for keeper in keepers)
    if without_room:
        return Trouble.NO_ROOM, (
            f"{without_room} TaskManagers find no room: {room.free} of {room.slots_max} slots are free (--slots)"
        )
    crashes = next((keeper.crashes for keeper in keepers if keeper.crashes), "")
    return (Trouble.CRASHES, crashes) if crashes else (None, "")
