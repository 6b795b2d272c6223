"""Keeps one process running, as a kubelet keeps a container: started, started again with back-off, adopted, stopped.

What it knows lies in a file, written before the process is started and after: an operator that was killed finds its
processes again, also the one that it was just starting.
"""

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import msgspec

from penstock_operator.errors import OperatorError, Unavailable
from penstock_operator.local.objects import write_whole
from penstock_operator.local.processes import Command, Identity, ended, find, last_lines, send, start


@final
@dataclass(frozen=True, slots=True)
class KeepingSettings:
    """How processes are started again and stopped."""

    backoff_first_s: float = 0.5
    """After the second end in a row; the first is followed by a start at once."""
    backoff_max_s: float = 30.0
    healthy_s: float = 30.0
    """One that ran for so long begins with no back-off when it ends."""
    grace_s: float = 10.0
    """From SIGTERM to SIGKILL."""


CRASHES_TOLD: Final = 3
"""So many ends in a row are trouble, and not a restart."""


@final
class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One process, on disk."""

    mark: str = ""
    identity: Identity | None = None
    begun_ms: int = 0
    restarts: int = 0
    ends_in_a_row: int = 0
    last_end: str = ""


@final
class Room:
    """How many slots there are on this machine, and who has them."""

    def __init__(self, slots_max: int) -> None:
        self.slots_max = slots_max
        self._taken: dict[str, int] = {}
        self._freed = asyncio.Event()

    @property
    def free(self) -> int:
        return self.slots_max - sum(self._taken.values())

    def take(self, who: str, slots: int, *, runs: bool) -> bool:
        """Whether there is room; there is for what runs already."""
        if who not in self._taken and slots > self.free and not runs:
            return False
        self._taken[who] = slots
        return True

    def give_back(self, who: str) -> None:
        if self._taken.pop(who, None) is not None:
            self._freed.set()
            self._freed = asyncio.Event()

    async def freed(self) -> None:
        """Until somebody gives something back."""
        await self._freed.wait()


@final
class Keeper:
    """One process. `changed` is called whenever it has started, ended or found no room."""

    def __init__(
        self,
        file: Path,
        command: Callable[[], Awaitable[Command]],
        *,
        slots: int,
        room: Room,
        settings: KeepingSettings,
        now_ms: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self._file = file
        self._command = command
        self._slots = slots
        self._room = room
        self._settings = settings
        self._now_ms = now_ms
        self._changed = changed
        self._log_file: Path | None = None
        self.record = _read(file)
        self.no_room = False
        self._task = asyncio.create_task(self._keep(), name=f"keeps {file}")

    @property
    def pid(self) -> int | None:
        identity = self.record.identity
        return identity.pid if identity is not None and identity.alive else None

    @property
    def crashes(self) -> str:
        """Empty unless it ends again and again; then how."""
        recovered = self.pid is not None and self._has_been_up_long()
        if self.record.ends_in_a_row < CRASHES_TOLD or recovered:
            return ""
        lines = [] if self._log_file is None else last_lines(self._log_file)
        said = f"; the last line of {self._log_file}: {lines[-1]}" if lines else ""
        return f"{self.record.last_end}, {self.record.ends_in_a_row} times in a row{said}"

    async def stop(self) -> None:
        """End the process, in order if it lets itself be, and forget it."""
        await self.leave()
        identity = self.record.identity or (find(self.record.mark) if self.record.mark else None)
        if identity is not None:
            await _terminate(identity, self._settings.grace_s)
        self._room.give_back(str(self._file))
        self._file.unlink(missing_ok=True)
        self.record = Record()

    async def leave(self) -> None:
        """Look after it no more; it runs on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def kill(self) -> None:
        """At once and for good, without waiting."""
        self._task.cancel()
        if self.record.identity is not None:
            send(self.record.identity, signal.SIGKILL)
        self._file.unlink(missing_ok=True)

    async def _keep(self) -> None:
        identity = self._adopted()
        while True:
            if identity is None:
                await self._back_off()
                await self._find_room()
                identity = await self._begin()
            else:
                self._room.take(str(self._file), self._slots, runs=True)
            self._changed()
            if identity is not None:
                code = await ended(identity)
                self._note_end("it ended" if code is None else _sentence(code))
                self._changed()
            identity = None

    def _adopted(self) -> Identity | None:
        record = self.record
        if record.identity is None:
            found = find(record.mark) if record.mark else None
            if found is not None:
                self._note(msgspec.structs.replace(record, identity=found))
            return found
        if record.identity.alive:
            return record.identity
        self._note_end("it ended while nobody looked after it")
        return None

    async def _begin(self) -> Identity | None:
        record = msgspec.structs.replace(self.record, mark=secrets.token_hex(16), identity=None)
        try:
            self._write(record)  # By its mark it is found, whatever becomes of us.
            command = await self._command()
            self._log_file = command.log_file
            identity = start(command, record.mark)
        except (OSError, OperatorError) as error:
            self._note_end(f"it cannot be started: {error}")
            return None
        self._note(msgspec.structs.replace(record, identity=identity, begun_ms=self._now_ms()))
        return identity

    def _has_been_up_long(self) -> bool:
        return self._now_ms() - self.record.begun_ms >= self._settings.healthy_s * 1_000

    def _note_end(self, sentence: str) -> None:
        record = self.record
        healthy = record.identity is not None and self._has_been_up_long()
        self._note(
            msgspec.structs.replace(
                record,
                mark="",
                identity=None,
                restarts=record.restarts + 1,
                ends_in_a_row=1 if healthy else record.ends_in_a_row + 1,
                last_end=sentence,
            )
        )

    async def _back_off(self) -> None:
        times = self.record.ends_in_a_row
        if times > 1:
            settings = self._settings
            await asyncio.sleep(min(settings.backoff_max_s, settings.backoff_first_s * 2 ** min(times - 2, 16)))

    async def _find_room(self) -> None:
        while not self._room.take(str(self._file), self._slots, runs=False):
            if not self.no_room:
                self.no_room = True
                self._changed()
            await self._room.freed()
        self.no_room = False

    def _note(self, record: Record) -> None:
        """A full disk is no reason to look after it no more: the mark on disk leads to it, or to its end."""
        with contextlib.suppress(Unavailable):
            self._write(record)

    def _write(self, record: Record) -> None:
        self.record = record
        write_whole(self._file, msgspec.json.encode(record))


async def _terminate(identity: Identity, grace_s: float) -> None:
    send(identity, signal.SIGTERM)
    try:
        async with asyncio.timeout(grace_s):
            await ended(identity)
    except TimeoutError:
        send(identity, signal.SIGKILL)
        await ended(identity)


def _sentence(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    return f"it was killed by {signal.Signals(-code).name}"


def _read(file: Path) -> Record:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return Record()
