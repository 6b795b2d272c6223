"""Who is not of the cluster and speaks to its ports gets nowhere, and the job does not notice."""

import errno
import os
import random
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing.commands import Commands, Running
from penstock.testing.processes import listening_ports_of, workers_of

JOB = """\
import time
from pathlib import Path
from penstock.common import *
from penstock.datastream import *

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2).enable_checkpointing(200)

class Wait(MapFunction):
    def map(self, value):
        if not Path("go").exists():
            time.sleep(0.01)
        return value % 10, 1

pairs = env.from_sequence(1, 4_000).map(Wait(), Types.TUPLE([Types.LONG(), Types.LONG()]))
counts = pairs.key_by(lambda pair: pair[0], Types.LONG()).reduce(lambda left, right: (left[0], left[1] + right[1]))
counts.filter(lambda pair: pair[1] in (1, 400)).print()
env.execute("strangers")
"""
RNG = random.Random(7)
STRANGERS = {
    "nothing": b"",
    "garbage": RNG.randbytes(4096),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "largest length": b"\xff" * 64,
    "a length of 2 GB": struct.pack("<I", 2**31 - 1) + b"\0" * 1000,
    "a length of 2 GB, big-endian": struct.pack(">I", 2**31 - 1) + b"\0" * 1000,
    "pickle": b"cos\nsystem\n(S'touch pwned'\ntR.",
    "much": bytes(1 << 20),
}
# What a stranger meets who is still speaking, or says that he is done, when he has been hung up on.
HUNG_UP = {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN}


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


@pytest.fixture
def running(commands: Commands) -> Running:
    running = commands.start("run", "--rest-port", "0", commands.script("job.py", JOB))
    running.says(r"REST answers")
    running.says(r"\(\d,1\)")
    return running


def ports(running: Running) -> set[int]:
    """RPC, REST, and each worker's exchange."""
    pid = running.process.pid
    found = {port for process in (pid, *workers_of(pid)) for port in listening_ports_of(process)}
    assert len(found) >= 4
    return found


def speak(port: int, said: bytes) -> bytes:
    """Everything that is answered until the other side hangs up; it must, and soon."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as stranger:
        try:
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            while data := stranger.recv(65536):
                heard += data
        except OSError as error:
            if error.errno not in HUNG_UP:
                raise
    return heard


def test_a_job_goes_on_exactly_whatever_strangers_say_to_its_ports(commands: Commands, running: Running) -> None:
    before = ports(running)
    for port in sorted(before):
        for said in STRANGERS.values():
            heard = speak(port, said)
            assert len(heard) < len(said) + 10_000
    assert not (commands.folder / "pwned").exists()
    assert ports(running) == before
    (commands.folder / "go").touch()
    ended = running.wait()
    assert ended.code == 0, ended.errors
    assert "FAILED" not in ended.errors
    assert "RESTARTING" not in ended.errors
    counts = sorted(line.partition("> ")[2] for line in ended.output.splitlines())
    assert counts == sorted(f"({key},{count})" for key in range(10) for count in (1, 400))


def test_strangers_who_announce_much_are_given_no_memory_for_it(commands: Commands, running: Running) -> None:
    process = workers_of(running.process.pid)[0]
    (port,) = listening_ports_of(process)
    before = resident_bytes(process)
    strangers = [socket.create_connection(("127.0.0.1", port), timeout=15) for _ in range(50)]
    for stranger in strangers:
        stranger.sendall(struct.pack("<I", 2**31 - 1) + bytes(1000))
    for stranger in strangers:
        with stranger:
            assert hung_up(stranger)
    assert resident_bytes(process) - before < 50 << 20
    (commands.folder / "go").touch()
    assert running.wait().code == 0


def hung_up(stranger: socket.socket) -> bool:
    try:
        while stranger.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
