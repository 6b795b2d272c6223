"""A node leaves nothing behind, whether it is ended in order or its process is killed."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.testing.kubernetes.namespaces import CGROUPS, CommandFailed, Namespaces, Place, new_namespaces
from penstock.testing.processes import started_with
from penstock.testing.steps import wait_until

MARK = "PENSTOCK_NODE_TEST"
SETTINGS = [Path("/proc/sys") / name for name in ("vm/overcommit_memory", "kernel/panic", "net/ipv4/ip_forward")]
HOLD = """
import signal
from penstock.testing.kubernetes.namespaces import new_namespaces
with new_namespaces() as node:
    node.start("server", ["sleep", "1000"])
    node.run(["mkdir", *(f"{controller}/{node.place.cgroup}/pods" for controller in CONTROLLERS)])
    print(node.place.number, flush=True)
    signal.pause()
"""


@pytest.fixture(autouse=True)
def on_this_machine(request: pytest.FixtureRequest) -> None:
    """Where a cluster elsewhere is tested, this machine need not be one that can be a node."""
    if request.config.getoption("--elsewhere"):
        pytest.skip("is about nodes on this machine")


def left_of(place: Place) -> list[str]:
    """What of a place is to be seen on this machine."""
    groups = [str(path) for path in CGROUPS.glob(f"*/{place.cgroup}")]
    link = Path("/sys/class/net") / place.link
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(place.folder) in line]
    return [*groups, *([str(link)] if link.exists() else []), *mounts]


def test_what_runs_in_a_node_changes_nothing_outside() -> None:
    before = [setting.read_text() for setting in SETTINGS]

    with new_namespaces() as node:
        assert node.run(["cat", "/proc/sys/vm/overcommit_memory"]) == "1\n"
        node.run(["iptables", "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP"])
        assert [setting.read_text() for setting in SETTINGS] == before

    assert left_of(node.place) == []
    assert [setting.read_text() for setting in SETTINGS] == before


def test_two_nodes_at_once_have_places_of_their_own() -> None:
    with new_namespaces() as one, new_namespaces() as other:
        assert one.place != other.place
        assert one.run(["ip", "-brief", "address", "show", "node0"]).split()[2] == f"{one.place.address}/24"


def test_a_command_that_fails_says_what_it_said(node: Namespaces) -> None:
    with pytest.raises(CommandFailed, match="ended with 7: no such thing"):
        node.run(["sh", "-c", "echo no such thing; exit 7"])


def test_a_process_that_is_stopped_has_ended(node: Namespaces) -> None:
    node.start("server", ["sleep", "1000"])
    assert node.ended() == {}

    node.signal("server", signal.SIGTERM)

    assert node.ended() == {"server": -signal.SIGTERM}


def test_a_node_ends_with_its_process_and_the_next_one_clears_up(tmp_path: Path) -> None:
    controllers = [str(path) for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]
    environment = {**os.environ, MARK: str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    program = f"CONTROLLERS = {controllers}\n{HOLD}"
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        place = Place(int(process.stdout.readline()))
        process.kill()

    wait_until(lambda: not started_with(MARK, str(tmp_path)), 10, lambda: f"{started_with(MARK, str(tmp_path))} live")
    with contextlib.ExitStack() as nodes:
        while nodes.enter_context(new_namespaces()).place != place:
            pass
    assert left_of(place) == []


@pytest.fixture
def node():
    """Namespaces without a cluster in them."""
    with new_namespaces() as node:
        yield node
