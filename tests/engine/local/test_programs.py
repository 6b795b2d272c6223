"""Whole programs on a local cluster: what a user of PyFlink sees of each call.

Each program is a script of its own, because its classes have to reach workers from `__main__`.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HEAD = """
from penstock.common import *
from penstock.datastream import *
from penstock.datastream.state import *

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
PAIR = Types.TUPLE([Types.STRING(), Types.INT()])
"""


def ran(folder: Path, program: str, *, head: str = HEAD) -> subprocess.CompletedProcess[str]:
    script = folder / "program.py"
    script.write_text(head + textwrap.dedent(program))
    return subprocess.run(
        [sys.executable, "-W", "error", script],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def output(folder: Path, program: str, *, head: str = HEAD) -> list[str]:
    done = ran(folder, program, head=head)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_declared_values_print_as_in_java_and_undeclared_ones_as_in_python(tmp_path: Path) -> None:
    program = """
        typed = env.from_collection([("a", 1)], PAIR)
        typed.print()
        typed.map(lambda pair: pair).print()
        row = Types.ROW([Types.STRING(), Types.INT(), Types.BOOLEAN()])
        typed.map(lambda pair: Row(pair[0], None, True), row).print()
        typed.map(lambda pair: None).print()
        typed.flat_map(lambda pair: [None]).print()
        typed.map(lambda pair: 1e10, Types.DOUBLE()).print("doubles")
        env.execute()
    """
    lines = ["(a,1)", "('a', 1)", "+I[a,None,True]", "None", "None", "doubles> 1.0E10"]
    assert sorted(output(tmp_path, program)) == sorted(lines)


def test_several_subtasks_print_with_their_number(tmp_path: Path) -> None:
    program = """
        env.from_collection([1]).map(str).set_parallelism(2).print().set_parallelism(2)
        env.execute()
    """
    (line,) = output(tmp_path, program)
    assert line in ("1> 1", "2> 1")


def test_aggregations_keep_the_fields_that_flinks_do(tmp_path: Path) -> None:
    program = """
        DATA = [("k", 3, "first"), ("k", 1, "second"), ("k", 1, "third")]
        keyed = env.from_collection(DATA).key_by(lambda record: record[0])
        for name in ("sum", "min", "max", "min_by", "max_by"):
            with getattr(keyed, name)(1).execute_and_collect() as results:
                print(name, list(results)[-1])
    """
    assert output(tmp_path, program) == [
        "sum ('k', 5, 'first')",
        "min ('k', 1, 'first')",
        "max ('k', 3, 'first')",
        "min_by ('k', 1, 'second')",
        "max_by ('k', 3, 'first')",
    ]


def test_state_timers_and_side_outputs_of_a_keyed_process_function(tmp_path: Path) -> None:
    program = """
        LATE = OutputTag("late", Types.STRING())

        class First(TimestampAssigner):
            def extract_timestamp(self, value, record_timestamp):
                return value[1]

        class Count(KeyedProcessFunction):
            def open(self, context):
                self.seen = context.get_map_state(MapStateDescriptor("seen", Types.LONG(), Types.LONG()))
                self.total = context.get_state(ValueStateDescriptor("total", Types.LONG()))

            def process_element(self, value, ctx):
                assert self.seen[-5] is None
                self.seen.put(value[1], 1)
                self.total.update((self.total.value() or 0) + 1)
                ctx.timer_service().register_event_time_timer(100)
                ctx.timer_service().register_event_time_timer(100)
                if value[1] < ctx.timer_service().current_watermark():
                    yield LATE, f"late {value[1]}"

            def on_timer(self, timestamp, ctx):
                yield ctx.get_current_key(), timestamp, self.total.value(), sorted(self.seen.keys())

        strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(First())
        stream = env.from_collection([("a", 1), ("b", 2), ("a", 50)]).assign_timestamps_and_watermarks(strategy)
        counted = stream.key_by(lambda pair: pair[0]).process(Count())
        counted.get_side_output(LATE).print()
        counted.print()
        env.execute()
    """
    assert sorted(output(tmp_path, program)) == ["('a', 100, 2, [1, 50])", "('b', 100, 1, [2])"]


def test_a_bounded_program_in_batch_mode_gives_one_result_per_key(tmp_path: Path) -> None:
    program = """
        env.set_runtime_mode(RuntimeExecutionMode.AUTOMATIC).set_parallelism(2)
        pairs = env.from_collection([("a", 1), ("b", 2), ("a", 3)], PAIR)
        print(sorted(pairs.key_by(lambda pair: pair[0]).sum(1).execute_and_collect(limit=10)))
    """
    assert output(tmp_path, program) == ["[('a', 4), ('b', 2)]"]


def test_without_checkpoints_after_tasks_finish_a_job_ends_all_the_same(tmp_path: Path) -> None:
    program = """
        from penstock.datastream.connectors.file_system import BucketAssigner, FileSink
        import sys
        env.enable_checkpointing(10)
        sink = FileSink.for_row_format("out", Encoder.simple_string_encoder())
        sink = sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build()
        longer = env.from_sequence(1, 20_000).map(str, Types.STRING())
        seven = longer.shuffle().filter(lambda text: text == "7")
        env.from_collection(["a"], Types.STRING()).union(seven).sink_to(sink)
        env.execute()
        print(sorted(next(Path("out").glob("part-*")).read_text().split()))
    """
    head = "import os\nfrom pathlib import Path\nos.chdir(Path(__file__).parent)\n" + HEAD
    setting = 'Configuration.from_dict({"execution.checkpointing.checkpoints-after-tasks-finish": "false"})'
    head = head.replace("get_execution_environment()", f"get_execution_environment({setting})")
    assert output(tmp_path, program, head=head) == ["['7', 'a']"]


def test_connected_broadcast_and_united_streams(tmp_path: Path) -> None:
    program = """
        RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())

        class Both(CoMapFunction):
            def map1(self, value):
                return f"one {value}"

            def map2(self, value):
                return None

        class Apply(BroadcastProcessFunction):
            def process_element(self, value, ctx):
                yield "element"

            def process_broadcast_element(self, value, ctx):
                ctx.get_broadcast_state(RULES).put(*value)
                yield f"rules {sorted(ctx.get_broadcast_state(RULES).items())}"

        ones = env.from_collection([1, 2])
        rules = env.from_collection([("r", 7)], PAIR)
        ones.connect(rules).map(Both()).print()
        ones.connect(rules.broadcast(RULES)).process(Apply()).print()
        ones.union(ones).map(lambda value: value * 10).print()
        env.execute()
    """
    expected = ["one 1", "one 2", "element", "element", "rules [('r', 7)]", "10", "10", "20", "20"]
    assert sorted(output(tmp_path, program)) == sorted(expected)


def test_classes_of_the_script_are_the_same_in_all_operators(tmp_path: Path) -> None:
    program = """
        from dataclasses import dataclass

        @dataclass
        class Point:
            x: int

        env.set_parallelism(2)
        points = env.from_collection([Point(1), Point(2)])
        moved = points.map(lambda point: Point(point.x + 1)).rebalance().filter(lambda point: isinstance(point, Point))
        with moved.execute_and_collect() as results:
            print(sorted(point.x for point in results if type(point) is Point))
    """
    assert output(tmp_path, program) == ["[2, 3]"]


def test_an_operator_of_the_users_own_lives_its_whole_life(tmp_path: Path) -> None:
    program = """
        class Life(OneInputStreamOperator):
            def open(self):
                self.output.collect(StreamRecord("open"))

            def process_element(self, record):
                self.output.collect(StreamRecord(f"element {record.value}"))

            def finish(self):
                self.output.collect(StreamRecord("finish"))

        with env.from_collection([1]).transform("life", Types.STRING(), Life()).execute_and_collect() as results:
            print(list(results))
    """
    assert output(tmp_path, program) == ["['open', 'element 1', 'finish']"]


def test_what_is_emitted_is_copied_at_emission(tmp_path: Path) -> None:
    program = """
        class Count(FlatMapFunction):
            def __init__(self):
                self.counted = {"n": 0}

            def flat_map(self, value):
                self.counted["n"] += 1
                yield self.counted

        with env.from_collection([1, 2, 3]).flat_map(Count()).execute_and_collect() as results:
            print([result["n"] for result in results])
    """
    assert output(tmp_path, program) == ["[1, 2, 3]"]


def test_all_partitionings_reach_every_record(tmp_path: Path) -> None:
    program = """
        env.set_parallelism(2)
        numbers = env.from_sequence(1, 4)
        for dealt in (numbers.shuffle(), numbers.rebalance(), numbers.rescale(), numbers.forward(), numbers.global_(),
                      numbers.partition_custom(lambda key, count: key % count, lambda value: value)):
            print(sorted(dealt.map(lambda value: value).execute_and_collect(limit=4)))
        print(sorted(numbers.broadcast().map(lambda value: value).execute_and_collect(limit=8)))
    """
    assert output(tmp_path, program) == ["[1, 2, 3, 4]"] * 6 + ["[1, 1, 2, 2, 3, 3, 4, 4]"]


def test_a_program_that_imports_pyflink_runs_unchanged(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("from pyflink.common import Row\n\ndef row(value):\n    return Row(value)\n")
    program = """
        from helper import row
        from pyflink.common import Types
        from pyflink.datastream import StreamExecutionEnvironment
        import pyflink.datastream.functions as functions

        class Double(functions.MapFunction):
            def map(self, value):
                return row(2 * value)

        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(1)
        env.from_collection([1], Types.INT()).map(Double(), Types.ROW([Types.INT()])).print()
        env.execute()
    """
    assert output(tmp_path, program, head="from penstock import pyflink_hook\npyflink_hook.install()\n") == ["+I[2]"]


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("env.from_collection([1]).map(lambda value: 1 / 0).print()\nenv.execute()", "ZeroDivisionError"),
        ("import threading\nlock = threading.Lock()\nenv.from_collection([1]).map(lambda value: lock)\nenv.execute()",
         "operator 'Map' cannot be sent to the workers: <lambda> (global lock): cannot pickle '_thread.lock' object"),
        ("env.from_collection([1])\nenv.execute()", "No operators defined in streaming topology. Cannot execute."),
        ("env.from_collection([('a', None)], PAIR)", "element 0"),
    ],
)  # fmt: skip
def test_a_wrong_program_ends_with_its_reason(tmp_path: Path, program: str, sentence: str) -> None:
    done = ran(tmp_path, program)
    assert done.returncode != 0
    assert sentence in done.stderr
