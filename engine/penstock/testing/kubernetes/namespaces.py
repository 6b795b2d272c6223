"""The place a node lives in: process, network and mount namespaces that end with the process that made them.

What runs there is out of sight for the rest of the machine: its firewall rules, mounts, kernel settings and ports are
its own. One link joins it to the machine. A number tells apart the places that exist at once, with their addresses and
folders.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, final

from penstock.testing.kubernetes import agent
from penstock.testing.processes import children_of
from penstock.testing.steps import wait_until
from penstock.testing.tools import SELDOM_COLLECTED, cache_folder

INSIDE: Final = Path("/run/node")
"""The folder as those inside see it: short enough for sockets, wherever the cache is."""
CGROUPS: Final = Path("/sys/fs/cgroup")
_SHARES: Final = 4096
"""Of the processors, for all pods together. On a machine of its own they have twice what all of its services have; here
each program of the node and each session of others weighs 1024, and leaves pods next to nothing when all are busy."""
_NUMBERS: Final = range(1, 100)
_RUN_S: Final = 60.0
_GONE_S: Final = 10.0


@final
@dataclass(frozen=True, slots=True)
class Place:
    """The names and addresses that go with a number."""

    number: int

    @property
    def folder(self) -> Path:
        return cache_folder() / "nodes" / str(self.number)

    @property
    def link(self) -> str:
        return f"penstock{self.number}"

    @property
    def cgroup(self) -> str:
        return f"penstock-{self.number}"

    @property
    def address(self) -> str:
        """Of the node, for everybody on this machine."""
        return f"10.250.{self.number}.1"

    @property
    def host_address(self) -> str:
        """Of this machine, for everybody in the node and its pods."""
        return f"10.250.{self.number}.2"

    @property
    def pods(self) -> str:
        return f"10.244.{self.number}.0/24"

    @property
    def services(self) -> str:
        return f"10.{100 + self.number}.0.0/17"

    @property
    def dns(self) -> str:
        return f"10.{100 + self.number}.0.10"


class CommandFailed(Exception):
    """What was run has ended with an error; says what, and its output."""


@final
class Namespaces:
    """One place, held from `open` until `close` or until this process ends."""

    def __init__(self, place: Place, lock: IO[bytes]) -> None:
        self.place = place
        self._lock = lock
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Logs and files; new at each opening."""
        return self.place.folder / "run"

    @property
    def kept(self) -> Path:
        """A folder that stays for the next node in this place; `INSIDE / "kept"` for those inside."""
        return self.place.folder / "kept"

    def open(self) -> None:
        """Make the namespaces, and join them to this machine."""
        if (CGROUPS / "cgroup.controllers").exists():
            raise RuntimeError("a node needs control groups of version 1; this machine has version 2")
        _clear(self.place)
        self.folder.mkdir(parents=True)
        self.kept.mkdir(exist_ok=True)
        command = ["unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--net", "--mount", "--ipc"]
        with (self.folder / "agent.log").open("wb") as log:
            # The agent keeps the number as long as it lives, for nothing of it is free before.
            self._process = subprocess.Popen(
                [*command, sys.executable, "-I", str(agent.__file__)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | SELDOM_COLLECTED,
                start_new_session=True,
                pass_fds=[self._lock.fileno()],
            )
        self._ask({"do": "status"})
        self._join()
        self.run(["sh", "-euc", _INSIDE_SCRIPT.format(namespaces=self, inside=INSIDE, place=self.place)])
        for controller in _controllers():
            (controller / self.place.cgroup).mkdir(exist_ok=True)
        (CGROUPS / "cpu" / self.place.cgroup / "cpu.shares").write_text(str(_SHARES))

    def close(self) -> None:
        """End all that runs there, and leave nothing of it."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            process.wait(_GONE_S)
            process.stdout.close()
        _clear(self.place)
        self._lock.close()

    def run(self, argv: Sequence[str], timeout_s: float = _RUN_S) -> str:
        """Run a command inside, to its end, and return what it said."""
        answer = self._ask({"do": "run", "argv": list(argv), "timeout_s": timeout_s})
        if answer["code"] != 0:
            raise CommandFailed(f"{' '.join(argv)[:300]} ended with {answer['code']}: {answer['output'].strip()}")
        output: str = answer["output"]
        return output

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Start a process inside that goes on; its log is in the folder."""
        self._ask({"do": "start", "name": name, "argv": list(argv), "log": str(INSIDE / f"{name}.log")})

    def signal(self, name: str, number: int) -> None:
        """Send a signal to what was started under this name, and wait for its end if it is one that ends."""
        self._ask({"do": "signal", "name": name, "number": int(number)})

    def ended(self) -> dict[str, int]:
        """What was started and has ended: its exit code."""
        return {name: code for name, code in self._ask({"do": "status"}).items() if code is not None}

    def log_of(self, name: str) -> str:
        """What a process said last."""
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace")[-4000:] if file.exists() else ""

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None, "not open"
        with self._asking:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the node's first process has ended:\n{self.log_of('agent')}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise CommandFailed(f"{request}: {answer['error']}")
        return answer

    def _join(self) -> None:
        assert self._process is not None
        place = self.place
        (first,) = children_of(self._process.pid)
        _ip("link", "add", place.link, "type", "veth", "peer", "name", "node0", "netns", str(first))
        _ip("address", "add", f"{place.host_address}/24", "dev", place.link)
        _ip("link", "set", place.link, "up")
        for network in (place.pods, place.services):
            _ip("route", "add", network, "via", place.address)


@contextlib.contextmanager
def new_namespaces() -> Iterator[Namespaces]:
    """A place that nobody else has, until the end of the block."""
    namespaces = Namespaces(*_free_place())
    try:
        namespaces.open()
        yield namespaces
    finally:
        namespaces.close()


# The kernel settings that a kubelet insists on are of the whole machine; it finds them set, in files of the node.
_INSIDE_SCRIPT: Final = """
mount -t tmpfs -o mode=755 run /run
mkdir -p {inside} /run/lock /run/fast /run/kernel
mount --bind {namespaces.folder} {inside}
mkdir -p {inside}/kept {inside}/pod-logs /var/lib/cni
mount --bind {namespaces.kept} {inside}/kept
mount --bind {inside}/pod-logs /var/log
mount -t tmpfs cni /var/lib/cni
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
  file=/run/kernel/$(basename ${{setting%=*}})
  echo ${{setting#*=}} >$file
  mount --bind $file /proc/sys/${{setting%=*}}
done
ip link set lo up
ip address add {place.address}/24 dev node0
ip link set node0 up
ip route add default via {place.host_address}
echo 1 >/proc/sys/net/ipv4/ip_forward
"""


def _free_place() -> tuple[Place, IO[bytes]]:
    """The first number that nobody holds, and the lock that holds it."""
    for number in _NUMBERS:
        place = Place(number)
        place.folder.mkdir(parents=True, exist_ok=True)
        lock = (place.folder / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return place, lock
    raise RuntimeError(f"{len(_NUMBERS)} nodes exist already")


def _clear(place: Place) -> None:
    """Remove what a place leaves behind: its link, its control groups, its files."""
    if Path(f"/sys/class/net/{place.link}").exists():
        with contextlib.suppress(CommandFailed):  # It goes by itself when its other end does.
            _ip("link", "delete", place.link)
    wait_until(lambda: _without_cgroups(place), _GONE_S, lambda: f"control groups of {place.cgroup} stay busy")
    shutil.rmtree(place.folder / "run", ignore_errors=True)


def _without_cgroups(place: Place) -> bool:
    """Whether they are gone; processes that were killed leave them a moment later."""
    for controller in _controllers():
        top = controller / place.cgroup
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    return not any((controller / place.cgroup).exists() for controller in _controllers())


def _controllers() -> list[Path]:
    """The hierarchies of control groups, version 1."""
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise CommandFailed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
