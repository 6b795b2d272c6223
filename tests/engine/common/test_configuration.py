"""Configuration: every spelling Flink reads is read, and what is wrong is named."""

import copy
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ConfigurationError
from penstock.common.config_options import ConfigOptions
from penstock.common.configuration import Configuration
from penstock.common.configuration_files import load_configuration
from penstock.common.options import checkpointing, cluster, jobs, options, penstock, state, storage
from penstock.common.options.kinds import LIST, MAP, read_duration, read_memory, write_duration, write_memory
from penstock.common.time import Duration


@pytest.mark.parametrize(
    ("text", "millis"),
    [("10 s", 10_000), ("500ms", 500), ("1 min", 60_000), ("PT10S", 10_000), ("PT1M30.5S", 90_500), ("250", 250),
     ("2 h", 7_200_000), ("1d", 86_400_000), ("P1DT1H", 90_000_000), ("3 SECONDS", 3_000)],
)  # fmt: skip
def test_durations_are_read_in_all_of_flinks_spellings(text: str, millis: int) -> None:
    assert read_duration(text) == Duration.of_millis(millis)


@pytest.mark.parametrize("text", ["", "ten", "10 parsecs", "-5 s", "P", "PT", "1.5 s", "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=".*"):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("64mb", 64 << 20), ("1 g", 1 << 30), ("4096", 4096), ("10 kibibytes", 10 << 10), ("7 bytes", 7)]
)
def test_memory_sizes_are_read_in_all_of_flinks_spellings(text: str, size: int) -> None:
    assert read_memory(text) == size


@given(st.integers(0, 10**15))
def test_durations_and_sizes_come_back_as_they_were_written(number: int) -> None:
    assert read_duration(write_duration(Duration(number))) == Duration(number)
    assert read_memory(write_memory(number)) == number


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=5)))
def test_lists_come_back_as_they_were_written(items: list[str]) -> None:
    if not any(item[0] in "[{" for item in items):
        assert LIST.read(LIST.write(items)) == tuple(items)


def test_maps_are_read_in_flinks_and_in_yamls_way() -> None:
    assert MAP.read("a:1,b:x:y") == {"a": "1", "b": "x:y"}
    assert MAP.read("{a: 1, b: 'x'}") == {"a": "1", "b": "x"}
    assert MAP.read(MAP.write({"a": "1,2", "b": "3"})) == {"a": "1,2", "b": "3"}


def test_every_default_is_a_value_of_its_own_option() -> None:
    for option in options():
        if option.default is not None and option.kind is not MAP:
            assert option.kind.read(option.kind.write(option.default)) == option.default, option.key


@pytest.mark.parametrize(
    ("spelling", "backend"),
    [("hashmap", "hashmap"), ("filesystem", "hashmap"), ("jobmanager", "hashmap"), ("rocksdb", "rocksdb"),
     ("ROCKSDB", "rocksdb"), ("org.apache.flink.runtime.state.hashmap.HashMapStateBackend", "hashmap"),
     ("MemoryStateBackend", "hashmap"),
     ("org.apache.flink.contrib.streaming.state.EmbeddedRocksDBStateBackendFactory", "rocksdb")],
)  # fmt: skip
@pytest.mark.parametrize("key", ["state.backend", "state.backend.type"])
def test_every_name_a_backend_ever_had_still_works(key: str, spelling: str, backend: str) -> None:
    assert Configuration().set_string(key, spelling).get(state.BACKEND) == backend


@pytest.mark.parametrize(
    ("spelling", "strategy"),
    [("none", "none"), ("off", "none"), ("disable", "none"), ("fixed-delay", "fixed-delay"),
     ("fixeddelay", "fixed-delay"), ("FailureRate", "failure-rate"), ("failure-rate", "failure-rate"),
     ("exponential_delay", "exponential-delay")],
)  # fmt: skip
def test_every_name_of_a_restart_strategy_works(spelling: str, strategy: str) -> None:
    assert Configuration().set_string("restart-strategy", spelling).get(jobs.RESTART_STRATEGY) == strategy


@pytest.mark.parametrize(
    ("key", "text", "option", "value"),
    [
        ("state.checkpoints.dir", "s3://b/c", checkpointing.DIRECTORY, "s3://b/c"),
        ("state.savepoints.dir", "/s", checkpointing.SAVEPOINT_DIRECTORY, "/s"),
        ("state.checkpoint-storage", "filesystem", checkpointing.STORAGE, "filesystem"),
        ("state.backend.incremental", "true", checkpointing.INCREMENTAL, True),
        ("state.checkpoints.num-retained", "3", checkpointing.NUM_RETAINED, 3),
        ("execution.buffer-timeout", "10 ms", jobs.BUFFER_TIMEOUT_INTERVAL, Duration.of_millis(10)),
        ("execution.buffer-timeout", "-1", jobs.BUFFER_TIMEOUT_INTERVAL, Duration.of_millis(-1)),
        ("execution.checkpointing.unaligned", "true", checkpointing.UNALIGNED, True),
        ("s3.access.key", "k", storage.S3_ACCESS_KEY, "k"),
        ("rest.port", "9000", cluster.REST_BIND_PORT, (9000,)),
        ("web.port", "9000", cluster.REST_BIND_PORT, (9000,)),
        ("jobmanager.rpc.address", "jm", cluster.REST_ADDRESS, "jm"),
    ],
)
def test_old_names_and_fallbacks_stand_in_for_a_key(key: str, text: str, option: object, value: object) -> None:
    assert Configuration().set_string(key, text).get(option) == value  # type: ignore[arg-type]


def test_the_spelling_that_was_written_last_holds() -> None:
    configuration = Configuration().set_string("state.backend.type", "hashmap").set_string("state.backend", "rocksdb")
    assert configuration.get(state.BACKEND) == "rocksdb"
    assert configuration.get_string("state.backend.type", "x") == "rocksdb"
    assert configuration.set(state.BACKEND, "hashmap").get_string("state.backend", "x") == "hashmap"
    assert configuration.key_set() == {"state.backend.type"}
    assert configuration.remove_config("state.backend")
    assert not configuration.contains_key("state.backend.type")


def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Configuration().set_string("execution.checkpointing.mode", "EXACT").check()
    assert str(caught.value) == "execution.checkpointing.mode: 'EXACT' is not one of EXACTLY_ONCE, AT_LEAST_ONCE"
    with pytest.raises(
        ConfigurationError, match="taskmanager.numberOfTaskSlots: '0' is not a whole number, at least 1"
    ):
        Configuration().set(cluster.TM_SLOTS, 0)
    with pytest.raises(ConfigurationError, match=r"-Drest.port: expected key=value"):
        Configuration().put_argument("rest.port")
    with pytest.raises(ConfigurationError, match=r"rest.port: '99999' \(-Drest.port\) is not a port number"):
        Configuration().put_argument("rest.port=99999").check()


def test_secrets_are_never_shown() -> None:
    configuration = Configuration().set_string("s3.secret-key", "hunter2").set_string("my.password", "hunter2")
    configuration.set_string("penstock.security.secret", "hunter2")
    assert "hunter2" not in repr(configuration) + str(configuration)
    assert str(Configuration.from_dict({"k1": "v1", "k2": "1"})) == "{k1=v1, k2=1}"
    assert configuration.get(storage.S3_SECRET_KEY) == "hunter2"


def test_unknown_keys_of_ours_are_errors_flinks_are_reported_the_users_own_are_kept() -> None:
    configuration = Configuration.from_dict({"taskmanager.new-thing": 1, "my.own": "x", "pipeline.jars": "a.jar"})
    findings = configuration.check()
    assert findings.unknown == ("taskmanager.new-thing",)
    assert list(findings.without_effect) == ["pipeline.jars"]
    assert any("there is no JVM" in sentence for sentence in findings.sentences())
    assert configuration.get_string("my.own", "") == "x"
    with pytest.raises(ConfigurationError, match=r"penstock.batch.record-max is not a key"):
        configuration.set_string("penstock.batch.record-max", "1").check()


def test_maps_are_gathered_from_their_key_and_from_keys_below_it() -> None:
    configuration = Configuration.from_dict({"pipeline.global-job-parameters": {"a": "1"}})
    configuration.set_string("pipeline.global-job-parameters.b", "2")
    assert configuration.get(jobs.GLOBAL_JOB_PARAMETERS) == {"a": "1", "b": "2"}
    configuration.set(jobs.GLOBAL_JOB_PARAMETERS, {"c": "3"})
    assert configuration.get(jobs.GLOBAL_JOB_PARAMETERS) == {"c": "3"}


def test_it_behaves_as_pyflinks_configuration() -> None:
    configuration = Configuration()
    configuration.set_string("a", "x").set_integer("b", 3).set_boolean("c", True).set_float("d", 1.5)
    configuration.set_bytearray("e", bytearray(b"\x01"))
    assert configuration.get_integer("b", 0) == 3
    assert configuration.get_boolean("c", False) is True
    assert configuration.get_float("d", 0) == 1.5
    assert configuration.get_bytearray("e", bytearray()) == bytearray(b"\x01")
    assert configuration.get_integer("absent", 7) == 7
    other = Configuration()
    other.add_all(configuration, "p.")
    assert other.contains_key("p.a")
    assert Configuration(configuration) == configuration == copy.deepcopy(configuration)
    assert pickle.loads(pickle.dumps(configuration)) == configuration
    target: dict[str, str] = {}
    configuration.add_all_to_dict(target)
    assert target["b"] == "3"
    option = ConfigOptions.key("b").int_type().default_value(1)
    assert configuration.get(option) == 3


YAML = """\
jobmanager:
  rpc:
    address: jm
    port: 7000
state.backend.type: rocksdb   # a comment
restart-strategy: off
pipeline:
  cached-files: [a, "b;c"]
  global-job-parameters:
    input: /data
taskmanager:
  host: null
"""


def test_config_yaml_may_be_nested_or_flat(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(YAML)
    configuration = load_configuration(tmp_path)
    assert configuration.get(cluster.JM_ADDRESS) == "jm"
    assert configuration.get(cluster.JM_PORT) == 7000
    assert configuration.get(state.BACKEND) == "rocksdb"
    assert configuration.get(jobs.RESTART_STRATEGY) == "none"
    assert configuration.get(jobs.CACHED_FILES) == ("a", "b;c")
    assert configuration.get(jobs.GLOBAL_JOB_PARAMETERS) == {"input": "/data"}
    assert configuration.get(cluster.TM_HOST) is None


def test_flink_conf_yaml_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "flink-conf.yaml").write_text(
        "# head\nrest.port: 9000 # why\ns3.secret-key: a#b\n\nfs.default-scheme: s3://x:1\n"
    )
    configuration = load_configuration(tmp_path)
    assert configuration.to_dict() == {"rest.port": "9000", "s3.secret-key": "a#b", "fs.default-scheme": "s3://x:1"}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "config.yaml",
            "rest:\n  port: many\n",
            "rest.port: 'many' ({file} line 2) is not a port number from 0 to 65535",
        ),
        ("config.yaml", "a: 1\nb: [\n", "{file} line 3 is not YAML"),
        ("config.yaml", "a: &a [*a]\n", "{file} is nested in itself, or too deeply"),
        (
            "config.yaml",
            "pipeline.max-parallelism: 40000\n",
            "'40000' ({file} line 1) is not a whole number, at least 1 and at most 32768, or -1",
        ),
        ("config.yaml", "- a\n", "{file} line 1: expected `key: value`, found a list"),
        ("config.yaml", "rest.port: 1\nrest:\n  port: 2\n", "{file} sets rest.port twice, in line 1 and in line 3"),
        ("flink-conf.yaml", "rest.port=1\n", "{file} line 1: expected `key: value`, found 'rest.port=1'"),
        ("config.yaml", "penstock.batch.size: 1\n", "penstock.batch.size ({file} line 1) is not a key of Penstock's"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(file)
    assert sentence.format(file=file) in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the configuration .*absent.yaml: No such file"):
        load_configuration(tmp_path / "absent.yaml")
    with pytest.raises(ConfigurationError, match="has neither config.yaml nor flink-conf.yaml"):
        load_configuration(tmp_path)


def test_our_own_keys_have_documentation() -> None:
    assert all(option.text for option in options() if not option.no_effect)
    assert penstock.BATCH_RECORDS.default == 1_000
