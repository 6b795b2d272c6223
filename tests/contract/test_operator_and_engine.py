"""What the operator says to the engine, which neither of them imports of the other: keys, values, command lines."""

from pathlib import Path

import pytest
from tests.operator.model.specs import spec
from tests.operator.render.test_engine import PLACE

from penstock.cli.configuring import flags
from penstock.cli.fetch import fetch
from penstock.cli.processes import jobmanager, taskmanager
from penstock.common.configuration import Configuration
from penstock.common.configuration_files import load_configuration
from penstock.common.options import find
from penstock.jobmanager.settings import job_settings
from penstock_operator.model.forbidden import FORBIDDEN
from penstock_operator.render.engine import CONFIG_FILE, config_yaml, configuration, job_manager_argv, task_manager_argv
from penstock_operator.render.names import Owner
from penstock_operator.render.pods import task_manager_pod

EVERYTHING = spec(
    job__maxParallelism=64,
    job__parallelism=3,
    taskManager={"slots": 2, "resources": {"requests": {"cpu": "1500m", "memory": "2G"}}},
    checkpoints__endpoint="http://minio:9000",
    checkpoints__retention={"pin": ["s3://bucket/chk-1", 'file:///it\'s;"here"/chk-2']},
    flinkConfiguration={
        "execution": {"checkpointing": {"interval": "3 s", "tolerable-failed-checkpoints": 3}},
        "metrics.reporter.prom.scope.variables.excludes": ["a", "b;c"],
        "penstock.log.levels": {"botocore": "INFO", "my_job.parsing": "DEBUG"},
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 5,
        "my.text": 'with "quotes", ümlauts: # and\nlines',
    },
)


def test_the_engine_reads_what_the_operator_writes_as_it_was_meant(tmp_path: Path) -> None:
    texts = configuration(EVERYTHING, PLACE)
    (tmp_path / CONFIG_FILE).write_text(config_yaml(texts), "utf-8")
    found = load_configuration(tmp_path)
    assert found.to_dict() == texts
    known = {key: option for key in texts if (option := find(key)) is not None}
    assert [key for key, option in known.items() if option.no_effect] == []
    assert {key for key in texts.keys() - known.keys() if not key.startswith("penstock.log.levels.")} == {"my.text"}
    assert found.get(find("penstock.log.levels")) == {"botocore": "INFO", "my_job.parsing": "DEBUG"}  # type: ignore[arg-type]
    excluded = find("metrics.reporter.prom.scope.variables.excludes")
    assert excluded is not None and found.get(excluded) == ("a", "b;c")
    assert job_settings(found).pinned == EVERYTHING.checkpoints.retention.pin


@pytest.mark.parametrize("key", sorted(FORBIDDEN))
def test_a_key_is_refused_under_all_names_that_the_engine_knows(key: str) -> None:
    option = find(key)
    assert option is not None or key == "penstock.jobmanager.revision"
    if option is not None:
        assert {option.key, *option.aliases} <= FORBIDDEN.keys()


def test_the_engine_takes_the_command_lines() -> None:
    job = spec(job__args=["--input", "-D", "x y", "--", ""])
    argv = job_manager_argv(job, "0" * 32, "r1-00000", PLACE)
    taken = jobmanager.make_context("jobmanager", list(argv[2:])).params
    assert taken["standby"] and taken["revision"] == "r1-00000" and taken["job_id"] == "0" * 32
    assert taken["arguments"] == job.job.args
    assert flags(taken["definitions"]).to_dict().items() <= configuration(job, PLACE).items()
    taken = taskmanager.make_context("taskmanager", list(task_manager_argv(job, PLACE)[2:])).params
    assert (taken["address"], taken["slots"]) == ("job-r1-rpc:6123", 1)


def test_the_engine_fetches_scripts_as_pods_ask_for_them() -> None:
    job = spec(job={"source": {"s3": "s3://bucket/code/count.py"}})
    pod = task_manager_pod(Owner("default", "job", "uid"), "r1-00000", job)["spec"]
    (init,) = pod["initContainers"]
    assert init["command"] == ["penstock"] and init["args"][0] == "fetch"
    taken = fetch.make_context("fetch", list(init["args"][1:])).params
    assert (taken["uri"], str(taken["file"])) == ("s3://bucket/code/count.py", "/opt/job/count.py")


def test_addresses_and_ids_are_the_operators_alone() -> None:
    """Whatever falls back to one of these keys is set as well, so that no old value comes through."""
    engine = Configuration.from_dict(configuration(EVERYTHING, PLACE))
    for key in ("jobmanager.rpc.port", "rest.port", "rest.bind-port", "taskmanager.numberOfTaskSlots"):
        assert engine.contains_key(key)
