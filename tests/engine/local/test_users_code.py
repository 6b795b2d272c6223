"""Programs with sources, sinks and operators of the user's own, defined in the script that runs."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

SOURCE_AND_SINK = '''
import json, os, time
from penstock.common import *
from penstock.datastream import *
from penstock.datastream.connectors.base import *
from penstock.datastream.functions import *
from penstock.datastream.operators import *
from penstock.datastream.state import *

OUT = os.environ["OUT"]


class Kill:
    """A split. Processes of ours have a class of that name in their own __main__."""

    def __init__(self, at, end):
        self.split_id, self.at, self.end = str(end), at, end


class Numbers(Source):
    def get_boundedness(self):
        return Boundedness.BOUNDED

    def create_enumerator(self, context):
        return Dealing(context, [Kill(first, first + 500) for first in (0, 500, 1000)])

    def restore_enumerator(self, context, state):
        return Dealing(context, state)

    def create_reader(self, context):
        return Reading(context)


class Dealing(SplitEnumerator):
    def __init__(self, context, splits):
        self.context, self.splits = context, list(splits)

    def handle_split_request(self, subtask_id, requester_hostname=None):
        if self.splits:
            self.context.assign_split(self.splits.pop(0), subtask_id)
        else:
            self.context.signal_no_more_splits(subtask_id)

    def add_reader(self, subtask_id):
        pass

    def add_splits_back(self, splits, subtask_id):
        self.splits.extend(splits)

    def snapshot_state(self, checkpoint_id):
        return self.splits


class Reading(SourceReader):
    def __init__(self, context):
        self.context, self.splits, self.done = context, [], False

    def start(self):
        self.context.send_split_request()

    def poll_next(self, output):
        if not self.splits:
            return InputStatus.END_OF_INPUT if self.done else InputStatus.NOTHING_AVAILABLE
        split = self.splits[0]
        output.collect(split.at)
        split.at += 1
        time.sleep(0.0005)
        if split.at == split.end:
            self.splits.pop(0)
            self.context.send_split_request()
        return InputStatus.MORE_AVAILABLE

    def add_splits(self, splits):
        self.splits += splits

    def notify_no_more_splits(self):
        self.done = True

    def snapshot_state(self, checkpoint_id):
        return self.splits


class Files(TwoPhaseCommittingSink):
    def create_writer(self, context):
        return Writing(context.get_index_of_subtask())

    def create_committer(self, context):
        return Renaming()


class Writing(PrecommittingSinkWriter):
    def __init__(self, index):
        self.index, self.values = index, []

    def write(self, element, context):
        self.values.append(element)

    def flush(self, end_of_input):
        pass

    def prepare_commit(self):
        if not self.values:
            return []
        name = f"{self.index}-{time.time_ns()}"
        with open(os.path.join(OUT, "." + name), "w") as file:
            json.dump(self.values, file)
        self.values = []
        return [name]


class Renaming(Committer):
    def commit(self, requests):
        for request in requests:
            name = request.get_committable()
            try:
                os.rename(os.path.join(OUT, "." + name), os.path.join(OUT, name + ".json"))
            except FileNotFoundError:
                request.signal_already_committed()


class Counting(OneInputStreamOperator):
    """Passes on every record with its number; the count is operator state."""

    def initialize_state(self, context):
        self.state = context.get_operator_state_store().get_list_state(ListStateDescriptor("count", Types.LONG()))
        self.count = sum(self.state.get())

    def process_element(self, record):
        self.count += 1
        if self.runtime_context.get_attempt_number() == 0 and self.count == 600:
            os.kill(os.getpid(), 9)
        self.output.collect(record.replace((record.value, self.count)))

    def snapshot_state(self, context):
        assert context.get_checkpoint_id() > 0
        self.state.update([self.count])


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1).enable_checkpointing(50)
numbers = env.from_source(Numbers(), WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
numbers.transform("count", None, Counting()).sink_to(Files())
env.execute()
'''


def ran(folder: Path, program: str, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`penstock run` of a program in a folder of its own."""
    (folder / "program.py").write_text(textwrap.dedent(program))
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli.start", "run", *flags, "program.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_users_own_source_operator_and_sink_are_exact_when_a_worker_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    flags = ("-D", "restart-strategy=fixed-delay", "-D", "restart-strategy.fixed-delay.attempts=1")
    done = ran(tmp_path, SOURCE_AND_SINK, *flags, "-D", "restart-strategy.fixed-delay.delay=10ms", OUT=str(out))
    assert done.returncode == 0, done.stderr
    assert "was lost" in done.stderr, "a worker was killed"
    written = [tuple(pair) for file in out.glob("*.json") for pair in json.loads(file.read_text())]
    assert sorted(number for number, _ in written) == list(range(1500))
    assert sorted(count for _, count in written) == list(range(1, 1501))


def test_state_too_large_for_the_jobmanager_is_named_with_its_size(tmp_path: Path) -> None:
    program = """
        import time
        from penstock.common import *
        from penstock.datastream import *
        from penstock.datastream.state import *

        class Big(KeyedProcessFunction):
            def open(self, context):
                self.picture = context.get_state(ValueStateDescriptor("picture", Types.PICKLED_BYTE_ARRAY()))

            def process_element(self, value, ctx):
                self.picture.update(bytes(5000))
                yield value

        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(1).enable_checkpointing(50)
        env.get_checkpoint_config().set_checkpoint_storage(JobManagerCheckpointStorage(max_state_size=4000))
        env.from_collection([1]).key_by(lambda value: value).process(Big()).name("Album")
        env.execute()
    """
    done = ran(tmp_path, program, "-D", "restart-strategy=none")
    assert done.returncode == 1
    assert "state 'picture' of operator 'Album' has 50" in done.stderr
    assert "at most 4000" in done.stderr


def test_a_close_that_fails_at_the_end_fails_the_job_and_doubles_nothing(tmp_path: Path) -> None:
    program = """
        from penstock.common import *
        from penstock.datastream import *
        from penstock.datastream.connectors.file_system import *

        class Leaves(MapFunction):
            def map(self, value):
                return str(value)

            def close(self):
                raise OSError("the connection was lost before the last flush")

        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(1).enable_checkpointing(50)
        sink = FileSink.for_row_format("out", Encoder.simple_string_encoder()).build()
        env.from_collection([1, 2, 3]).map(Leaves(), Types.STRING()).name("Leaves").sink_to(sink)
        env.execute()
    """
    flags = ("-D", "restart-strategy=fixed-delay", "-D", "restart-strategy.fixed-delay.attempts=1")
    storage = ("-D", f"execution.checkpointing.dir={tmp_path}/checkpoints")
    done = ran(tmp_path, program, *flags, *storage, "-D", "restart-strategy.fixed-delay.delay=1ms")
    assert done.returncode == 1
    assert "OSError: the connection was lost before the last flush" in done.stderr
    assert "'Leaves'" in done.stderr
    written = [line for file in (tmp_path / "out").rglob("part-*") for line in file.read_text().splitlines()]
    assert sorted(written) == ["1", "2", "3"]


def test_settings_that_mean_nothing_are_reported_with_the_one_that_was_meant(tmp_path: Path) -> None:
    done = ran(tmp_path, "", "-D", "checkpointing.interval=1", "-D", "execution.checkpointing.interval=5")
    assert done.returncode == 1
    assert "execution.checkpointing.interval: '5' (from -D) is not a duration" in done.stderr
    assert "at least 10 ms" in done.stderr
    program = """
        from penstock.datastream import StreamExecutionEnvironment
        env = StreamExecutionEnvironment.get_execution_environment()
        env.from_collection([1]).print()
        env.execute()
    """
    flags = ("-D", "checkpointing.interval=1 s", "-D", "state.backend.typ=rocksdb", "-D", "state.backend=filesystem")
    done = ran(tmp_path, program, *flags)
    assert done.returncode == 1
    assert "checkpointing.interval: there is no such setting; is execution.checkpointing.interval meant?" in done.stderr
    assert "state.backend.typ is not known here and has no effect; is state.backend.type meant?" in done.stderr
    assert "execution.checkpointing.dir does not say where\n  at program.py, line 5" in done.stderr


def test_an_enumerator_that_never_starts_fails_the_job_with_its_own_words(tmp_path: Path) -> None:
    broken = "    def create_enumerator(self, context):\n        raise KeyError(OUT)\n"
    program = SOURCE_AND_SINK.replace("    def create_enumerator(self, context):\n", broken, 1)
    flags = ("-D", "restart-strategy=fixed-delay", "-D", "restart-strategy.fixed-delay.attempts=2")
    done = ran(tmp_path, program, *flags, "-D", "restart-strategy.fixed-delay.delay=1ms", OUT="elsewhere")
    assert done.returncode == 1
    assert "the split enumerator of source 'numbers' failed in start: KeyError: 'elsewhere'" in done.stderr
    assert "in create_enumerator\n    raise KeyError(OUT)" in done.stderr


def test_files_and_archives_of_the_program_are_where_functions_look_for_them(tmp_path: Path) -> None:
    program = """
        import os, pathlib, zipfile
        from penstock.common import *
        from penstock.datastream import *

        pathlib.Path("here.py").write_text("def tens(x): return 10 * x")
        pathlib.Path("package").mkdir()
        pathlib.Path("package/__init__.py").write_text("from package.inner import hundreds")
        pathlib.Path("package/inner.py").write_text("def hundreds(x): return 100 * x")
        with zipfile.ZipFile("zipped.zip", "w") as file:
            file.writestr("within.py", "def thousands(x): return 1000 * x")
        with zipfile.ZipFile("model.zip", "w") as file:
            file.writestr("data/weights.txt", "heavy")

        def use(value):
            import here, package, within
            weights = [open(path + "/data/weights.txt").read() for path in ("model", "model.zip")]
            return here.tens(value) + package.hundreds(value) + within.thousands(value), weights

        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(1)
        for path in ("here.py", "package", "zipped.zip"):
            env.add_python_file(os.path.abspath(path))
        env.add_python_archive("model.zip", "model")
        env.add_python_archive("model.zip")
        env.from_collection([1]).map(use).print()

        class Named(MapFunction):
            def open(self, context):
                self.name = context.get_task_name(), context.get_task_name_with_subtasks()

            def map(self, value):
                return self.name

        env.from_collection([1]).rebalance().map(Named()).name("named").disable_chaining().print("name")
        env.execute()
    """
    done = ran(tmp_path, program)
    lines = ["(1110, ['heavy', 'heavy'])", "name> ('named', 'named (1/1)#0')"]
    assert sorted(done.stdout.splitlines()) == lines, done.stderr
