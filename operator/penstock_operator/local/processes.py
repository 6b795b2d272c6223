"""Processes that outlive whoever started them: in a session of their own, known by pid and the moment of their start.

A pid alone says nothing: the kernel gives it to others in time, and after the machine was started anew. Used by
`keeping`; never decides whether a process should live.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import msgspec

_MARK: Final = "PENSTOCK_LOCAL_PROCESS"
_START_FIELD: Final = 19
"""Of /proc/PID/stat, counted from the state on."""


@final
class Identity(msgspec.Struct, frozen=True):
    """Which process, for as long as the machine runs and after."""

    pid: int
    started: int
    """In ticks since the machine was started."""
    boot: str

    @property
    def alive(self) -> bool:
        return self.boot == _boot() and _started(self.pid) == self.started


@final
@dataclass(frozen=True, slots=True)
class Command:
    """What to start."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    """Over this process's own; what is empty is left out."""
    folder: Path
    log_file: Path


def start(command: Command, mark: str) -> Identity:
    """Start it under a mark by which `find` knows it. OSError if it cannot be."""
    environment = {**os.environ, **command.environment, _MARK: mark}
    command.log_file.parent.mkdir(parents=True, exist_ok=True)
    with command.log_file.open("ab") as log_file:
        process = subprocess.Popen(
            list(command.argv),
            env={name: value for name, value in environment.items() if value},
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
            start_new_session=True,
        )
    started = _started(process.pid)
    process.returncode = 0  # It is waited for by pid, perhaps by another process than this one.
    return Identity(process.pid, -1 if started is None else started, _boot())


def find(mark: str) -> Identity | None:
    """The living process that was started under this mark, by whoever has died before he could write its pid down."""
    wanted = f"{_MARK}={mark}".encode()
    found: list[Identity] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        pid = int(entry.name)
        if wanted in environment and (started := _started(pid)) is not None:
            found.append(Identity(pid, started, _boot()))
    # Its children have the mark too, and are younger.
    return min(found, key=lambda identity: (identity.started, identity.pid), default=None)


async def ended(identity: Identity) -> int | None:
    """Wait until it has ended; its exit code (minus the signal), None where another process has started it."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    try:
        if _started(identity.pid) not in (None, identity.started):
            return None  # Another process has its pid by now.
        await _readable(descriptor)
    finally:
        os.close(descriptor)
    code = _reap(identity.pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(identity.pid, signal.SIGKILL)  # What it may have left of its session.
    return code


def send(identity: Identity, number: signal.Signals) -> None:
    """A signal, if it still lives."""
    if identity.alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity.pid, number)


def last_lines(log_file: Path, most: int = 4096) -> list[str]:
    """What it has written last."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []


def _reap(pid: int) -> int | None:
    """Of a process that has ended."""
    try:
        waited, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if waited else None


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)


def _started(pid: int) -> int | None:
    """None for a process that is gone, or dead and not waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[_START_FIELD])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
