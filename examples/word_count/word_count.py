"""Counts the words of text files: keyed state, a checkpoint every second, one result per word at the end.

python examples/word_count/word_count.py                    the sources of Python's own standard library
python examples/word_count/word_count.py --input FOLDER     all files below a folder
python examples/word_count/word_count.py --output FOLDER    every count into files, exactly once, not the top ten
python examples/word_count/word_count.py --parallelism 4 --pause 0.01
penstock-operator local -f examples/word_count/flinkjob.yaml
"""

import argparse
import heapq
import re
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from penstock.common import Configuration, Encoder, Types, WatermarkStrategy
from penstock.datastream import (
    DataStream,
    FlatMapFunction,
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from penstock.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from penstock.datastream.state import ListStateDescriptor, ValueStateDescriptor

WORD = re.compile(r"[a-z]+")
END_OF_INPUT = 2**63 - 1
"""The watermark behind the last record of a bounded source; a timer set for it fires once, at the end."""

WORD_AND_COUNT = Types.TUPLE([Types.STRING(), Types.LONG()])


def words_of(line: str) -> list[str]:
    return WORD.findall(line.lower())


class Words(FlatMapFunction):
    """Splits lines into words, if asked slowly enough to be watched."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self.lines = 0

    def flat_map(self, value: str) -> list[str]:
        self.lines += 1
        if self.pause_s and self.lines % 1_000 == 0:
            time.sleep(self.pause_s)
        return words_of(value)


class CountWords(KeyedProcessFunction):
    """Keeps one number per word, and emits it when there are no more words."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> None:
        count = self.count.value()
        if count is None:
            ctx.timer_service().register_event_time_timer(END_OF_INPUT)
            count = 0
        self.count.update(count + 1)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[tuple[str, int]]:
        yield ctx.get_current_key(), self.count.value()


class MostFrequent(KeyedProcessFunction):
    """Of all words the ones with the highest counts."""

    def __init__(self, size: int) -> None:
        self.size = size

    def open(self, runtime_context: RuntimeContext) -> None:
        self.best = runtime_context.get_list_state(ListStateDescriptor("best", WORD_AND_COUNT))

    def process_element(self, value: tuple[str, int], ctx: KeyedProcessFunction.Context) -> None:
        ctx.timer_service().register_event_time_timer(END_OF_INPUT)
        best = heapq.nsmallest(self.size, [*self.best.get(), value], key=lambda pair: (-pair[1], pair[0]))
        self.best.update(best)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[tuple[str, int]]:
        yield from self.best.get()


def standard_library() -> list[str]:
    """Python's own modules, without its tests."""
    root = Path(sysconfig.get_paths()["stdlib"])
    skipped = {"site-packages", "test", "tests"}
    return sorted(str(path) for path in root.rglob("*.py") if skipped.isdisjoint(path.relative_to(root).parts))


def count_words(env: StreamExecutionEnvironment, paths: list[str], pause_s: float) -> DataStream:
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), *paths).build()
    lines = env.from_source(source, WatermarkStrategy.no_watermarks(), "lines", Types.STRING())
    words = lines.flat_map(Words(pause_s), Types.STRING()).name("words")
    counted = words.key_by(lambda word: word, Types.STRING()).process(CountWords(), WORD_AND_COUNT)
    return counted.name("count").uid("count")


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the words of text files.")
    parser.add_argument("--input", help="a text file, or a folder of them; default: the standard library's sources")
    parser.add_argument("--output", help="a folder for every count; default: print the most frequent words")
    parser.add_argument("--top", type=int, default=10, help="how many words to print")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds to wait after each 1,000 lines")
    parser.add_argument("--parallelism", type=int, help="default: what is configured")
    parser.add_argument(
        "--checkpoints", help="a folder or s3:// path; default: one below the folder for temporary files"
    )
    arguments = parser.parse_args()

    configuration = Configuration()
    checkpoints = arguments.checkpoints or f"{tempfile.gettempdir()}/penstock-word-count"
    configuration.set_string(
        "execution.checkpointing.dir", checkpoints
    )  # A manifest's or the command line's counts more.
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    if arguments.parallelism:
        env.set_parallelism(arguments.parallelism)
    env.enable_checkpointing(1_000)

    counts = count_words(env, [arguments.input] if arguments.input else standard_library(), arguments.pause)
    if arguments.output:
        lines = counts.map(lambda pair: f"{pair[0]} {pair[1]}", Types.STRING())
        lines.sink_to(FileSink.for_row_format(arguments.output, Encoder.simple_string_encoder()).build())
    else:
        counts.key_by(lambda pair: 0).process(MostFrequent(arguments.top), WORD_AND_COUNT).set_parallelism(
            1
        ).print().set_parallelism(1)
    env.execute("word count")


if __name__ == "__main__":
    main()
