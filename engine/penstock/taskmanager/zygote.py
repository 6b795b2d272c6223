"""The process that workers are forked from: it has imported everything and has no loop, thread or database.

Started by a TaskManager as `python -m penstock.taskmanager.zygote`; reads commands from standard input, writes what
happens to a pipe. A fork from here takes milliseconds, where starting an interpreter and importing takes half a
second. It dies with its TaskManager, and its workers die with it, whatever they are doing: the kernel sees to it
(PR_SET_PDEATHSIG).
"""

import contextlib
import ctypes
import gc
import importlib
import os
import select
import signal
import sys
from types import ModuleType
from typing import Final, final

import msgspec

from penstock import pyflink_hook
from penstock.base.pipes import read_message, write_message

DUMP_SIGNAL: Final = signal.SIGUSR2
"""Workers write their stacks when they get it."""
_PR_SET_PDEATHSIG: Final = 1


@final
class Fork(msgspec.Struct, frozen=True, tag=True):
    """Fork a worker."""

    worker: str
    socket: str
    """Path of the TaskManager's unix socket that the worker connects to."""
    directory: str
    host: str
    """The address at which others reach the data port."""
    bind_host: str
    data_port: int


@final
class Kill(msgspec.Struct, frozen=True, tag=True):
    """SIGKILL a worker."""

    pid: int


@final
class ShowStacks(msgspec.Struct, frozen=True, tag=True):
    """Have a worker write its stacks to its file."""

    pid: int


@final
class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first command: what all workers share."""

    token: bytes
    configuration: dict[str, str]
    python_path: tuple[str, ...]
    environment: dict[str, str]
    """The TaskManager's own, of now: the zygote may have been started before a script set something."""
    directory: str
    """The TaskManager's working directory."""


Command = Fork | Kill | ShowStacks | Begin


@final
class Forked(msgspec.Struct, frozen=True, tag=True):
    """A worker runs."""

    worker: str
    pid: int


@final
class Exited(msgspec.Struct, frozen=True, tag=True):
    """A worker has ended; `status` as of os.waitstatus_to_exitcode: negative is a signal."""

    worker: str
    pid: int
    status: int


Report = Forked | Exited


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end now if it already has."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _import_common() -> None:
    """Import what all workers need, so that every fork shares it."""
    import penstock.taskmanager.worker  # noqa: F401

    # What users' classes are made of. By name, because it lies above this layer.
    importlib.import_module("penstock.datastream")


def _import_chosen(configuration: dict[str, str]) -> None:
    """Import what these workers need besides, so that every fork shares it."""
    backend = configuration.get("state.backend.type", "")
    if "rocksdb" in backend:
        import rocksdict  # noqa: F401
    if configuration.get("execution.checkpointing.dir", "").startswith("s3"):
        from penstock.storage.s3_client import load_descriptions

        load_descriptions()


def _run_worker(fork: Fork, begin: Begin, parent: int) -> None:
    """In the child: become a worker; never returns."""
    status = 1
    try:
        die_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        # The script's classes are put there; they may have the names of ours.
        sys.modules["__main__"] = ModuleType("__main__")
        from penstock.taskmanager.worker import run_worker

        status = run_worker(fork, begin)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            print(end="", flush=True)
            sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Serve commands until standard input ends."""
    parent = int(sys.argv[1])
    reports = int(sys.argv[2])
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    commands = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    gc.disable()  # What is imported is no garbage; workers look for some when it suits them.
    _import_common()  # While the TaskManager is still on its way.
    begin = read_message(commands, Command)
    if begin is None:
        return  # It was not needed.
    assert isinstance(begin, Begin), "Begin comes first"
    os.environ.clear()
    os.environ.update(begin.environment | {"PYTHONUNBUFFERED": "1"})
    os.chdir(begin.directory)
    sys.path[:0] = [entry for entry in begin.python_path if entry not in sys.path]
    pyflink_hook.install()
    _import_chosen(begin.configuration)
    gc.freeze()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    children: dict[int, str] = {}
    me = os.getpid()
    while True:
        ready, _, _ = select.select([commands, wake_read], [], [])
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            _reap(children, reports)
        if commands in ready:
            command: Command | None = read_message(commands, Command)
            match command:
                case None:
                    _end(children)
                    return
                case Fork():
                    pid = os.fork()
                    if pid == 0:
                        for fd in (commands, reports, wake_read, wake_write):
                            os.close(fd)
                        _run_worker(command, begin, me)
                    children[pid] = command.worker
                    write_message(reports, Forked(command.worker, pid))
                case Kill(pid):
                    if pid in children:
                        os.kill(pid, signal.SIGKILL)
                case ShowStacks(pid):
                    if pid in children:
                        os.kill(pid, DUMP_SIGNAL)
                case Begin():
                    raise AssertionError("Begin comes once")


def _reap(children: dict[int, str], reports: int) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        worker = children.pop(pid, None)
        if worker is not None:
            with contextlib.suppress(BrokenPipeError):
                write_message(reports, Exited(worker, pid, os.waitstatus_to_exitcode(status)))


def _end(children: dict[int, str]) -> None:
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in list(children):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
