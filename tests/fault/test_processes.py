"""What may befall the processes of a cluster that was started by hand, without losing, doubling or leaving anything."""

import os
import signal
import time
from pathlib import Path

import pytest

from penstock.testing.by_hand import ClusterByHand
from penstock.testing.commands import Commands, Running
from penstock.testing.processes import children_of, command_of, workers_of
from penstock.testing.steps import wait_until

HEARTBEATS = {"heartbeat.interval": "200 ms", "heartbeat.timeout": "1 s"}


def started(cluster: ClusterByHand) -> tuple[Running, Running, Running]:
    """A JobManager and two TaskManagers, amid the job."""
    running = cluster.jobmanager(), cluster.taskmanager(), cluster.taskmanager()
    cluster.wait_running()
    cluster.wait_completed(2)
    return running


def family_of(taskmanager: Running) -> list[int]:
    """Its zygote and its workers."""
    pid = taskmanager.process.pid
    return [*children_of(pid), *workers_of(pid)]


def wait_gone(pids: list[int]) -> None:
    wait_until(lambda: not any(map(command_of, pids)), 10, lambda: f"alive: {[command_of(pid) for pid in pids]}")


def test_a_taskmanager_may_be_started_before_its_jobmanager_and_all_end_with_the_job(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        taskmanager = cluster.taskmanager(slots=2)
        taskmanager.says("TaskManager waits for a JobManager")
        jobmanager = cluster.jobmanager()
        cluster.wait_completed(1)
        cluster.finish(jobmanager, taskmanager)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_taskmanagers_register_at_the_successor_of_a_jobmanager_that_ended(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with ClusterByHand(tmp_path) as cluster:
        jobmanager, first, second = started(cluster)
        jobmanager.signal(number)
        assert jobmanager.wait().code == code
        successor = cluster.jobmanager()
        cluster.wait_completed(1)
        successor.says(f"restoring job={cluster.id} checkpoint=")
        cluster.finish(successor, first, second)


def test_the_job_waits_for_the_slots_of_a_taskmanager_that_was_killed(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        jobmanager, first, second = started(cluster)
        family = family_of(second)
        second.signal(signal.SIGKILL)
        second.wait()
        wait_gone(family)
        jobmanager.says(f"waiting for slots job={cluster.id} missing=1")
        third = cluster.taskmanager()
        cluster.wait_completed(1)
        cluster.finish(jobmanager, first, third)


def test_a_killed_zygote_is_replaced_with_all_its_workers(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        jobmanager, first, second = started(cluster)
        family = family_of(second)
        os.kill(family[0], signal.SIGKILL)
        wait_gone(family)
        jobmanager.says("status=RESTARTING")
        cluster.wait_running()
        cluster.wait_completed(1)
        cluster.finish(jobmanager, first, second)


def test_a_zygote_that_hangs_does_not_keep_workers_alive_that_are_to_end(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        jobmanager, first, second = started(cluster)
        family = family_of(second)
        os.kill(family[0], signal.SIGSTOP)
        jobmanager.signal(signal.SIGKILL)
        jobmanager.wait()
        wait_gone(family)
        successor = cluster.jobmanager()
        cluster.wait_completed(1)
        cluster.finish(successor, first, second)


def test_a_taskmanager_that_falls_silent_is_replaced_and_comes_back_with_new_workers(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path, HEARTBEATS) as cluster:
        jobmanager, first, second = started(cluster)
        workers = workers_of(second.process.pid)
        second.signal(signal.SIGSTOP)
        jobmanager.says("no sign of life")
        third = cluster.taskmanager()
        cluster.wait_completed(2)
        second.signal(signal.SIGCONT)
        second.says("looking for it or its successor")
        wait_gone(workers)
        cluster.wait("the TaskManager is back", lambda: len(cluster.rest.taskmanagers()) == 3)
        cluster.finish(jobmanager, first, second, third)


def test_a_jobmanager_that_falls_silent_is_left_and_found_again(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path, HEARTBEATS) as cluster:
        jobmanager, first, second = started(cluster)
        workers = workers_of(first.process.pid) + workers_of(second.process.pid)
        jobmanager.signal(signal.SIGSTOP)
        first.says("no sign of life")
        wait_gone(workers)
        jobmanager.signal(signal.SIGCONT)
        cluster.wait_completed(2)
        cluster.finish(jobmanager, first, second)


def test_a_taskmanager_whose_data_port_is_in_use_ends_with_a_sentence(tmp_path: Path) -> None:
    with ClusterByHand(tmp_path) as cluster:
        jobmanager, taskmanager = cluster.jobmanager(), cluster.taskmanager(slots=2)
        cluster.wait_completed(1)
        refused = cluster.taskmanager("--data-port", str(cluster.rpc_port)).wait()
        assert refused.code == 1
        said = refused.errors.splitlines()[-1]
        assert said.startswith(f"penstock: port {cluster.rpc_port} on 127.0.0.1 is in use: stop what uses it")
        assert "taskmanager.data.port" in refused.errors and "Traceback" not in refused.errors
        cluster.finish(jobmanager, taskmanager)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_local_run_that_is_ended_while_it_starts_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with ClusterByHand(tmp_path) as cluster:
        for pause_s in (0.4, 0.6, 0.8, 1.0):
            run = cluster.commands.start("run", *cluster.definitions(), *cluster.script())
            time.sleep(pause_s)  # Any moment will do.
            run.signal(number)
            ended = run.wait()
            assert ended.code in (-number, 128 + number)
            assert "was destroyed but it is pending" not in ended.errors
            cluster.commands.nothing_left()
        if number != signal.SIGKILL:
            cluster.check_nothing_left()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_jobmanager_that_is_ended_while_its_script_runs_takes_the_script_with_it(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with Commands(tmp_path) as commands:
        script = commands.script("slow.py", "import time\nprint('script runs', flush=True)\ntime.sleep(60)\n")
        jobmanager = commands.start("jobmanager", "--job", script, "--port", "0", "--rest-port", "0")
        jobmanager.says("script runs")
        jobmanager.signal(number)
        ended = jobmanager.wait()
        assert (ended.code, ended.errors) == (code, "penstock: interrupted\n" if number == signal.SIGINT else "")
        commands.nothing_left()
