"""`penstock checkpoint`, `savepoint`, `stop` and `state` on a job that runs, and what they leave when it has ended."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.checkpoint.opened import open_state
from penstock.cli.main import main
from penstock.cli.state.listing import listed
from penstock.common import Configuration, Types
from penstock.datastream import StreamExecutionEnvironment
from penstock.storage import S3Settings, open_store
from penstock.testing.rest_jobs import SeenJob, running_with_rest
from penstock.testing.steps import wait_until


def seventh(number: int) -> tuple[int, int]:
    """Slowly: who asks needs the machine."""
    time.sleep(0.0002)
    return number % 7, 1


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[SeenJob]:
    configuration = Configuration()
    configuration.set_string("execution.checkpointing.dir", str(tmp_path / "checkpoints"))
    env = StreamExecutionEnvironment.get_execution_environment(configuration).set_parallelism(1)
    env.enable_checkpointing(60_000)
    pairs = env.from_sequence(0, 1 << 60).map(seventh, Types.TUPLE([Types.LONG(), Types.LONG()]))
    sums = pairs.key_by(lambda pair: pair[0], Types.LONG()).reduce(lambda one, two: (one[0], one[1] + two[1]))
    sums.uid("sums").filter(lambda pair: False).print()
    with running_with_rest(env) as seen:
        yield seen


def run(seen: SeenJob, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [command, "-m", seen.rest.address, *arguments])


def answer(seen: SeenJob, command: str, *arguments: str) -> Any:
    ended = run(seen, command, "--json", *arguments)
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def keys_in(location: str) -> dict[str, int]:
    opened = open_state(location, lambda root: open_store(root, S3Settings()))
    (operator,) = listed(opened, "sums", None, quick=False)["operators"]
    return {state["name"]: state["keys"] for state in operator["states"]}


def has_counted(seen: SeenJob) -> bool:
    (job,) = seen.rest.jobs()
    vertices = seen.rest.job(job["jid"])["vertices"]
    running = all(vertex["status"] == "RUNNING" for vertex in vertices)
    return running and any(vertex["metrics"]["read-records"] > 1_000 for vertex in vertices)


def test_a_running_job_is_asked_for_snapshots_and_stopped_with_one(seen: SeenJob, tmp_path: Path) -> None:
    wait_until(lambda: has_counted(seen), 30, lambda: f"it never counted: {seen.rest.jobs()}")
    checkpoint = answer(seen, "checkpoint")
    assert keys_in(checkpoint["location"]) == {"_reduce_state": 7}
    canonical = answer(seen, "savepoint", str(tmp_path / "savepoints"))["location"]
    native = answer(seen, "savepoint", str(tmp_path / "savepoints"), "--type", "native")["location"]
    assert keys_in(canonical) == keys_in(native) == {"_reduce_state": 7}
    assert answer(seen, "savepoint", "--dispose", native) == {"disposed": native}
    gone = run(seen, "savepoint", "--dispose", native)
    assert (gone.exit_code, "is no savepoint" in gone.stderr) == (1, True)
    nowhere = run(seen, "savepoint")
    assert (nowhere.exit_code, "execution.checkpointing.savepoint-dir" in nowhere.stderr) == (1, True)
    stopped = run(seen, "stop", "-p", str(tmp_path / "savepoints"))
    assert stopped.exit_code == 0
    location = stopped.stdout.removeprefix("Savepoint completed. Path: ").rstrip()
    assert keys_in(location) == {"_reduce_state": 7}
