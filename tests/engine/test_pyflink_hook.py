"""Programs that import pyflink run on penstock's own modules."""

import importlib
import sys
import warnings
from collections.abc import Iterator

import pytest

from penstock import pyflink_hook


@pytest.fixture(autouse=True)
def hook() -> Iterator[None]:
    finders = sys.meta_path[:]
    assert pyflink_hook.install()
    yield
    sys.meta_path[:] = finders
    for name in ("table", "datastream", "datastream.data_stream", "datastream.functions", "datastream.connectors"):
        vars(importlib.import_module(f"penstock.{name}")).pop("__getattr__", None)
    for name in [name for name in sys.modules if name == "pyflink" or name.startswith("pyflink.")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name", ["", ".common", ".common.typeinfo", ".datastream", ".datastream.functions", ".datastream.state", ".metrics"]
)
def test_modules_are_the_very_same_objects(name: str) -> None:
    assert importlib.import_module(f"pyflink{name}") is importlib.import_module(f"penstock{name}")


def test_all_forms_of_import_work() -> None:
    import pyflink.datastream.functions as functions  # type: ignore[import-not-found]
    from pyflink.common import Types  # type: ignore[import-not-found]
    from pyflink.datastream import MapFunction  # type: ignore[import-not-found]

    from penstock.common import Types as OurTypes
    from penstock.datastream import MapFunction as OurMapFunction

    assert Types is OurTypes
    assert functions.MapFunction is MapFunction is OurMapFunction


def test_programs_that_ask_for_the_version_are_told_whose_api_this_is() -> None:
    import pyflink.version

    assert pyflink.version.__version__ == "2.3.0"


def test_a_module_keeps_its_own_name_and_spec() -> None:
    module = importlib.import_module("pyflink.common.time")
    assert module.__name__ == "penstock.common.time"
    assert module.__spec__ is not None
    assert module.__spec__.name == "penstock.common.time"


def test_the_table_api_is_refused_in_a_sentence() -> None:
    with pytest.raises(ImportError, match="Table API and SQL are not part of Penstock"):
        importlib.import_module("pyflink.table.expressions")
    with pytest.raises(ImportError, match="pyflink.table.StreamTableEnvironment: the Table API"):
        from pyflink.table import StreamTableEnvironment  # type: ignore[import-not-found]  # noqa: F401


def test_column_types_of_the_table_api_are_there() -> None:
    from pyflink.table import DataTypes  # type: ignore[import-not-found]

    assert DataTypes.BIGINT() is not None


def test_a_module_without_counterpart_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="pyflink.datastream.conectors has no counterpart"):
        importlib.import_module("pyflink.datastream.conectors")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("datastream.connectors.cassandra", "no such connector here: write a Source or a Sink in Python"),
        ("datastream.formats.avro", "no such format here: files are read and written as text"),
        ("dataset", "DataSet API was given up by Flink"),
        ("util.java_utils", "no JVM here"),
    ],
)
def test_a_module_that_is_javas_says_what_to_do_instead(name: str, said: str) -> None:
    with pytest.raises(ImportError, match=f"pyflink.{name}: .*{said}"):
        importlib.import_module(f"pyflink.{name}")


def test_the_java_gateway_can_be_imported_and_refuses_to_be_used() -> None:
    gateway = importlib.import_module("pyflink.java_gateway")
    with pytest.raises(RuntimeError, match="no Java gateway"):
        gateway.get_gateway()


def test_jars_are_ignored_aloud() -> None:
    from penstock.datastream import StreamExecutionEnvironment

    environment = StreamExecutionEnvironment.get_execution_environment()
    with pytest.warns(UserWarning, match="kafka.jar: ignored, for there is no JVM"):
        environment.add_jars("file:///kafka.jar")


def test_java_handles_say_what_to_do_instead() -> None:
    from penstock.datastream import StreamExecutionEnvironment

    environment = StreamExecutionEnvironment.get_execution_environment()
    with pytest.raises(AttributeError, match="there is no JVM here"):
        _ = environment._j_stream_execution_environment
    with warnings.catch_warnings(), pytest.raises(AttributeError, match="no attribute 'jump'"):
        _ = environment.jump


def test_installing_twice_is_installing_once() -> None:
    before = len(sys.meta_path)
    assert pyflink_hook.install()
    assert len(sys.meta_path) == before


@pytest.mark.parametrize(
    ("module", "name", "said"),
    [
        ("pyflink.datastream", "ProcessWindowFunction", "windows do not exist here yet"),
        ("pyflink.datastream.functions", "WindowFunction", "windows do not exist here yet"),
        ("pyflink.datastream.data_stream", "WindowedStream", "windows do not exist here yet"),
        ("pyflink.datastream.async_retry_strategies", "NoRetryStrategy", "asynchronous I/O does not exist here yet"),
        ("pyflink.datastream", "AsyncDataStream", "asynchronous I/O does not exist here yet"),
        ("pyflink.datastream.connectors", "FlinkKafkaConsumer", "no connector for Kafka here yet"),
        ("pyflink.datastream.connectors", "JdbcSink", "no such connector here"),
        ("pyflink.datastream.connectors.kafka", "KafkaSource", "no connector for Kafka here yet"),
    ],
)
def test_names_that_come_later_say_so(module: str, name: str, said: str) -> None:
    with pytest.raises(ImportError, match=said):
        exec(f"from {module} import {name}")


def test_files_are_imported_from_where_older_programs_have_them() -> None:
    from pyflink.datastream.connectors import FileSink, NumberSequenceSource, StreamingFileSink

    assert StreamingFileSink is FileSink
    assert NumberSequenceSource is not None
