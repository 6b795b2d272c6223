"""What the engine's processes are told."""

from hypothesis import given, settings
from tests.operator.model.specs import SMALLEST, changed, spec, specs

from penstock_operator.model.forbidden import FORBIDDEN
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.validation import validate_job
from penstock_operator.render.engine import (
    Place,
    configuration,
    job_manager_argv,
    script_path,
    source_text,
    task_manager_argv,
)

PLACE = Place(
    configuration="/etc/penstock/conf",
    sources="/opt/job",
    scratch="/tmp",
    secret_file="/etc/penstock/token/token",
    bind_host="0.0.0.0",
    job_manager_host="job-r1-rpc",
    task_manager_host="10.0.0.7",
)


def test_the_smallest_job_is_told_everything_it_needs() -> None:
    assert configuration(spec(), PLACE) == {
        "cluster.services.shutdown-timeout": "20 s",
        "execution.checkpointing.create-subdir": "true",
        "execution.checkpointing.dir": "s3://bucket/checkpoints",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.interval": "10 s",
        "execution.checkpointing.num-retained": "3",
        "execution.checkpointing.savepoint-dir": "s3://bucket/savepoints",
        "execution.checkpointing.storage": "filesystem",
        "io.tmp.dirs": "/tmp",
        "jobmanager.bind-host": "0.0.0.0",
        "jobmanager.memory.process.size": "512 mb",
        "jobmanager.rpc.address": "job-r1-rpc",
        "jobmanager.rpc.port": "6123",
        "metrics.reporter.prom.port": "9249",
        "parallelism.default": "1",
        "penstock.log.level": "INFO",
        "penstock.security.secret-file": "/etc/penstock/token/token",
        "rest.address": "job-r1-rpc",
        "rest.bind-address": "0.0.0.0",
        "rest.bind-port": "8081",
        "rest.port": "8081",
        "taskmanager.cpu.cores": "1",
        "taskmanager.memory.process.size": "1 gb",
        "taskmanager.numberOfTaskSlots": "1",
    }


def test_pins_are_told_at_the_start_as_the_engine_reads_lists_and_a_dry_run_keeps_all() -> None:
    pins = ["s3://bucket/a/chk-1", "file:///it's;here/chk-2/_metadata"]
    told = configuration(spec(checkpoints__retention={"pin": pins, "dryRun": True, "count": 2}), PLACE)
    assert told["penstock.checkpoint.pinned"] == "s3://bucket/a/chk-1;'file:///it''s;here/chk-2/_metadata'"
    assert told["execution.checkpointing.num-retained"] == "1000000"


def test_requests_become_memory_and_slots() -> None:
    job = spec(
        taskManager={"slots": 4, "resources": {"requests": {"cpu": "2500m"}, "limits": {"memory": "3Gi", "cpu": 4}}},
        jobManager={"resources": {"requests": {"memory": "700M"}}},
    )
    texts = configuration(job, PLACE)
    assert texts["taskmanager.numberOfTaskSlots"] == "4"
    assert texts["taskmanager.cpu.cores"] == "2.5"
    assert texts["taskmanager.memory.process.size"] == "3 gb"
    assert texts["jobmanager.memory.process.size"] == "700000000 bytes"


def test_the_users_keys_outweigh_defaults_and_nothing_else() -> None:
    job = spec(
        flinkConfiguration={"execution.checkpointing": {"interval": "1 min"}, "env.log.level": "DEBUG", "my.key": [1]}
    )
    texts = configuration(job, PLACE)
    assert texts["execution.checkpointing.interval"] == "1 min"
    assert texts["env.log.level"] == "DEBUG" and "penstock.log.level" not in texts
    assert texts["my.key"] == "[1]"


@settings(max_examples=25)
@given(specs())
def test_whatever_the_operator_sets_is_refused_to_users(job: FlinkJobSpec) -> None:
    bare = changed(SMALLEST, "job.parallelism", job.job.parallelism)
    for key, text in configuration(job, PLACE).items():
        if key in FORBIDDEN:
            assert validate_job(changed(bare, "flinkConfiguration", {key: text}))[1]
    free = configuration(job, PLACE).keys() - FORBIDDEN.keys()
    own = {"cluster.services.shutdown-timeout", "io.tmp.dirs", "penstock.log.level", "execution.checkpointing.interval"}
    written = {key.partition(".")[0] for key in job.flink_configuration}
    assert all(key in own or key.partition(".")[0] in written for key in free)


def test_a_job_manager_waits_in_standby_with_the_last_word_on_where_state_is() -> None:
    job = spec(job__args=["--input", "-D", "x y"], checkpoints__endpoint="http://minio:9000")
    assert job_manager_argv(job, "0" * 32, "r1-00000", PLACE) == (
        "penstock", "jobmanager", "--standby", "--revision", "r1-00000", "--job-id", "0" * 32, "--job", "/opt/job.py",
        "--conf", "/etc/penstock/conf", "--host", "0.0.0.0", "--port", "6123", "--rest-port", "8081",
        "-D", "execution.checkpointing.create-subdir=true",
        "-D", "execution.checkpointing.dir=s3://bucket/checkpoints",
        "-D", "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION",
        "-D", "execution.checkpointing.storage=filesystem",
        "-D", "s3.endpoint=http://minio:9000",
        "--", "--input", "-D", "x y",
    )  # fmt: skip


def test_a_task_manager_goes_to_its_job_manager() -> None:
    assert task_manager_argv(spec(taskManager__slots=2), PLACE) == (
        "penstock", "taskmanager", "--jobmanager", "job-r1-rpc:6123", "--host", "10.0.0.7",
        "--slots", "2", "--conf", "/etc/penstock/conf",
    )  # fmt: skip


def test_a_script_lies_in_the_image_or_among_the_sources() -> None:
    def script(**job: object) -> tuple[str, str | None]:
        given = spec(job=job)
        return script_path(given, PLACE), source_text(given, {"main.py": "print()"})

    assert script(script="/opt/job.py") == ("/opt/job.py", None)
    assert script(source={"inline": "print(1)"}) == ("/opt/job/job.py", "print(1)")
    assert script(source={"configMapRef": {"name": "x", "key": "main.py"}}) == ("/opt/job/main.py", "print()")
    assert script(source={"s3": "s3://bucket/a/count.py"}) == ("/opt/job/count.py", None)
    path, text = script(module="my.job")
    assert path == "/opt/job/job.py"
    assert text is not None and 'runpy.run_module("my.job", run_name="__main__", alter_sys=True)' in text
    compile(text, path, "exec")


def test_savepoints_go_beside_the_checkpoints_where_nothing_is_said() -> None:
    assert spec().checkpoints.savepoint_root == "s3://bucket/savepoints"
    assert spec(checkpoints={"dir": "s3://bucket/x/"}).checkpoints.savepoint_root == "s3://bucket/x/savepoints"
    assert spec(checkpoints={}, job__upgradeMode="stateless").checkpoints.savepoint_root is None
