"""Makes random programs: their text, and beside it what their streams hold. The steps are in `program_steps`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final, final

from penstock.testing.program_functions import KEYS, Triple
from penstock.testing.program_streams import (
    DEALINGS,
    Arrival,
    Order,
    Stream,
    dealt,
    sorted_by_time,
    unstamped,
)

RECORDS_MAX: Final = 1_500
_PARALLELISM_MAX: Final = 4
_HEAD: Final = """# A random program, seed {seed}.

from penstock.common import Configuration, Duration, Encoder, Row, Types, WatermarkStrategy
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.connectors.file_system import FileSink
from penstock.testing.paced import PacedNumbers
from penstock.testing.program_functions import *

"""
_TAIL: Final = """
if __name__ == "__main__":
    {run}
"""
_EXTRAS: Final = (
    ".disable_chaining()",
    ".start_new_chain()",
    ".slot_sharing_group('other')",
    ".set_buffer_timeout(0)",
    ".set_buffer_timeout(-1)",
    ".set_max_parallelism(64)",
    ".name('an operator, größer')",
)

Step = Callable[["Generator"], None]


@final
@dataclass(frozen=True)
class Settings:
    """How programs are to be made."""

    steps_max: int = 9
    batch: bool = True
    """Whether some run in batch mode."""
    files: Path | None = None
    """Where checkpoints and files of sinks go; None: no sinks into files, checkpoints in memory."""
    gate: Path | None = None
    """Where the file is made that lets the job end. Then sources are paced, so that faults hit in the middle; there are
    checkpoints, and exactly-once files."""
    rescalable: bool = False
    """Whether the result shall not depend on any parallelism above 1."""


@final
@dataclass(frozen=True)
class Program:
    """A program and its leaves, which come out of it marked by their index."""

    seed: int
    text: str
    leaves: tuple[Stream, ...]
    output: Path | None
    """Where the leaves are written; None: they are collected."""


@final
class Generator:
    """Makes one program."""

    def __init__(self, seed: int, settings: Settings, steps: Sequence[Step]) -> None:
        self.seed = seed
        self.steps = steps
        self.rng = Random(seed)
        self.settings = settings
        self.lines: list[str] = []
        self.streams: list[Stream] = []
        self.unread: dict[str, Stream] = {}
        self.batch = False
        self.object_reuse = False
        self._count = 0

    def make(self) -> Program:
        """The program of this seed."""
        self._configure()
        if self.settings.gate is not None:
            self._paced_source(self.settings.gate)
        for _ in range(self.rng.randint(1, 3)):
            self._source()
        for _ in range(self.rng.randint(2, self.settings.steps_max)):
            self.rng.choice(self.steps)(self)
        leaves = tuple(self.unread.values())
        output = self._end(leaves)
        run = "env.execute()" if output else "print(*result.execute_and_collect(), sep='\\n')"
        text = _HEAD.format(seed=self.seed) + "\n".join(self.lines) + "\n" + _TAIL.format(run=run)
        return Program(self.seed, text, leaves, output)

    # Configuration, sources, end.

    def _configure(self) -> None:
        rng, settings = self.rng, self.settings
        keys: dict[str, str] = {}
        paced = settings.gate is not None
        if settings.batch and not paced and rng.random() < 0.25:
            self.batch = True
            keys["execution.runtime-mode"] = rng.choice(["BATCH", "AUTOMATIC"])
        if rng.random() < 0.3:
            self.object_reuse = True
            keys["pipeline.object-reuse"] = "true"
        if rng.random() < 0.2:
            keys["pipeline.operator-chaining.enabled"] = "false"
        timeout = rng.choice(["0 ms", "1 ms", "100 ms", None, "never"])
        if timeout == "never":
            keys["execution.buffer-timeout.enabled"] = "false"
        elif timeout is not None:
            keys["execution.buffer-timeout.interval"] = timeout
        if rng.random() < 0.3:
            keys["pipeline.max-parallelism"] = str(rng.choice([4, 5, 128, 1000]))
        if rng.random() < 0.3:
            keys["penstock.exchange.credit"] = rng.choice(["4 kb", "20 kb"])
        if rng.random() < 0.3:
            keys["penstock.batch.records-max"] = rng.choice(["1", "7"])
        if rng.random() < 0.2:
            keys["minicluster.number-of-taskmanagers"] = "2"
        if rng.random() < 0.4:
            keys["state.backend.type"] = "rocksdb"
            keys["execution.checkpointing.incremental"] = rng.choice(["true", "false"])
        if paced or (rng.random() < 0.5 and not self.batch):
            keys["execution.checkpointing.interval"] = "50 ms"
            mode = "EXACTLY_ONCE" if paced else rng.choice(["EXACTLY_ONCE", "EXACTLY_ONCE", "AT_LEAST_ONCE"])
            keys["execution.checkpointing.mode"] = mode
            keys["execution.checkpointing.externalized-checkpoint-retention"] = "RETAIN_ON_CANCELLATION"
            keys["execution.checkpointing.max-concurrent-checkpoints"] = rng.choice(["1", "3"])
            keys["restart-strategy.type"] = "fixed-delay"
            keys["restart-strategy.fixed-delay.attempts"] = "100" if paced else "0"
            keys["restart-strategy.fixed-delay.delay"] = "10 ms"
            if settings.files is not None:
                keys["execution.checkpointing.dir"] = str(settings.files / f"checkpoints-{self.seed}")
        keys["parallelism.default"] = str(rng.randint(1, _PARALLELISM_MAX))
        self.lines.append("configuration = Configuration()")
        self.lines += [f"configuration.set_string({key!r}, {value!r})" for key, value in keys.items()]
        self.lines.append("env = StreamExecutionEnvironment.get_execution_environment(configuration)")

    def _source(self) -> None:
        rng, count, keys = self.rng, self.rng.choice([0, 1, 5, 60, 200, 400]), self.rng.randint(1, 9)
        typed = rng.random() < 0.6
        parallelism = 1
        if count and rng.random() < 0.5:
            parallelism = self.parallelism()
            triples = [(n % keys, n, f"s{n % 3}") for n in range(1, count + 1)]
            code = f"env.from_sequence(1, {count}).set_parallelism({parallelism})"
            code += f".map(lambda n: (n % {keys}, n, f's{{n % 3}}'){type_of(typed)}).set_parallelism({parallelism})"
            disorder = 0
        else:
            triples = [(rng.randrange(keys), n * 10 + rng.randrange(50), rng.choice("abß")) for n in range(count)]
            code = f"env.from_collection({triples!r}{type_of(typed)})"
            disorder = 50
        order = Order.TOTAL if parallelism == 1 else Order.NONE
        self.add(code, Stream("", unstamped(triples), parallelism, order, typed, disorder))

    def _paced_source(self, gate: Path) -> None:
        count, keys, typed = self.rng.choice([30, 200, 600]), self.rng.randint(1, 9), True
        parallelism = self.parallelism()
        triples = [(n % keys, n, f"s{n % 3}") for n in range(1, count + 1)]
        source = f"PacedNumbers(1, {count + 1}, {str(gate)!r}, {count // parallelism})"
        code = f"env.from_source({source}, WatermarkStrategy.no_watermarks(), 'paced').set_parallelism({parallelism})"
        code += f".map(lambda n: (n % {keys}, n, f's{{n % 3}}'){type_of(typed)}).set_parallelism({parallelism})"
        # A subtask may be given what is left of another's numbers.
        order, disorder = (Order.TOTAL, 0) if parallelism == 1 else (Order.NONE, None)
        self.add(code, Stream("", unstamped(triples), parallelism, order, typed, disorder))

    def _end(self, leaves: tuple[Stream, ...]) -> Path | None:
        marked = [
            f"{leaf.name}.map(lambda r: ({i}, *r)).set_parallelism({leaf.parallelism})" for i, leaf in enumerate(leaves)
        ]
        together = f"{marked[0]}.union({', '.join(marked[1:])})" if marked[1:] else marked[0]
        files = self.settings.files
        if files is None or (self.settings.gate is None and self.rng.random() < 0.5):
            self.lines.append(f"result = {together}")
            return None
        output = files / f"output-{self.seed}"
        # With a sink for each, what is not connected fails and is restarted by itself.
        for result in marked if self.rng.random() < 0.4 else [together]:
            self.lines.append(
                f"{result}.map(lambda r: '%d %d %d %s' % r, Types.STRING()).set_parallelism({self.parallelism()})"
                f".sink_to(FileSink.for_row_format({str(output)!r}, Encoder.simple_string_encoder()).build())"
                f".set_parallelism({self.parallelism()})"
            )
        return output

    # What steps are made of.

    def parallelism(self) -> int:
        return self.rng.choice([1, 1, 2, 3, _PARALLELISM_MAX])

    def pick(self) -> Stream:
        """A stream to read, more often one that nobody has read."""
        unread = [stream for stream in self.unread.values() if len(stream.records) <= RECORDS_MAX]
        if unread and self.rng.random() < 0.75:
            return self.rng.choice(unread)
        few = [stream for stream in self.streams if len(stream.records) <= RECORDS_MAX]
        return self.rng.choice(few or self.streams[:1])

    def deal(self, stream: Stream) -> Arrival:
        """Deal a stream in some way to an operator of some parallelism."""
        dealing = self.rng.choice(DEALINGS) if self.rng.random() < 0.6 else ""
        parallelism = self.parallelism()
        if dealing == "forward":
            parallelism = stream.parallelism
        many = self.settings.rescalable or len(stream.records) * parallelism > RECORDS_MAX
        if dealing == "broadcast" and parallelism > 1 and many:
            dealing = "rebalance"
        self.unread.pop(stream.name, None)
        return dealt(stream, dealing, parallelism)

    def key(self, stream: Stream, parallelism: int) -> tuple[str, Stream, str]:
        """Key a stream: expression, what the operator sees, and the key's kind."""
        kind = self.rng.choice(list(KEYS))
        self.unread.pop(stream.name, None)
        arrived = dealt(stream, "hash", parallelism).stream
        declared = {"int": ", Types.LONG()", "str": ", Types.STRING()"}.get(kind, "")
        code = f"{stream.name}.key_by(Key({kind!r}){declared if self.rng.random() < 0.5 else ''})"
        return code, sorted_by_time(arrived) if self.batch else arrived, kind

    def apply(
        self, arrival: Arrival, call: str, triples: Callable[[Triple], Iterable[Triple]], **changes: Any
    ) -> Stream:
        """A step that looks at each record by itself. `disorder` is lost unless given."""
        typed = self.rng.random() < 0.6
        stream = arrival.stream
        records = tuple((out, at) for triple, at in stream.records for out in triples(triple))
        code = f"{arrival.code}.{call}{type_of(typed)}).set_parallelism({stream.parallelism})"
        return self.add(code, replace(stream, records=records, typed=typed, **{"disorder": None, **changes}))

    def add(self, code: str, stream: Stream) -> Stream:
        """Another line of the program, and the stream that it gives."""
        if self.lines[-1].startswith("s") and self.rng.random() < 0.25:
            code += self.rng.choice(_EXTRAS)
        return self.name(code, stream)

    def name(self, code: str, stream: Stream) -> Stream:
        """As `add`, for what is not an operator."""
        self._count += 1
        stream = replace(stream, name=f"s{self._count}")
        self.lines.append(f"{stream.name} = {code}")
        self.streams.append(stream)
        self.unread[stream.name] = stream
        return stream


def type_of(typed: bool) -> str:
    """The last argument of a call that declares its type, or nothing."""
    return ", TRIPLE" if typed else ""
