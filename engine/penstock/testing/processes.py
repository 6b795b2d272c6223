"""Processes of a test, as the kernel sees them: who descends from whom, and whether anyone is left."""

import os
import signal
from pathlib import Path
from typing import Final

from penstock.testing.steps import wait_until

_ZYGOTE: Final = "penstock.taskmanager.zygote"
_LISTENING: Final = "0A"
"""TCP_LISTEN, as the kernel's tables have it."""


def children_of(pid: int) -> list[int]:
    """Living children; a zombie is none."""
    return [child for child, parent in _parents().items() if parent == pid]


def descendants_of(pid: int) -> list[int]:
    """Children, their children, and so on."""
    parents = _parents()
    found, wave = [], [pid]
    while wave:
        wave = [child for child, parent in parents.items() if parent in wave]
        found += wave
    return found


def workers_of(pid: int) -> list[int]:
    """The worker processes of a TaskManager: what its zygote has forked."""
    zygotes = [child for child in children_of(pid) if _ZYGOTE in command_of(child)]
    return sorted(worker for zygote in zygotes for worker in children_of(zygote))


def command_of(pid: int) -> str:
    """The command line; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def started_with(variable: str, value: str) -> list[int]:
    """Living processes whose environment has this variable with this value, however they came to be."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if wanted in environment.split(b"\0") and _state(int(entry.name)) not in ("Z", ""):
                found.append(int(entry.name))
    return sorted(found)


def kill_and_wait(pid: int, timeout_s: float = 10.0) -> None:
    """SIGKILL, and return when the process is gone or a zombie."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_until(lambda: _state(pid) in ("Z", ""), timeout_s, lambda: f"process {pid} does not end")


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            fields = _fields(int(entry.name))
            if len(fields) > 1 and fields[0] != "Z":
                found[int(entry.name)] = int(fields[1])
    return found


def _state(pid: int) -> str:
    fields = _fields(pid)
    return fields[0] if fields else ""


def _fields(pid: int) -> list[str]:
    """/proc's `stat` from the state on: the name before it may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def listening_ports_of(pid: int) -> list[int]:
    """TCP ports on which a process listens."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _LISTENING and rest[5] in inodes:
                ports.add(int(local.rpartition(":")[2], 16))
    return sorted(ports)
