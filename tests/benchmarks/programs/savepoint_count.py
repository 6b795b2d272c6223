"""A keyed count of which savepoints are taken while it runs: run by benchmarks.

The report has a line of JSON for every twentieth of a second, with the records so far, and one for each savepoint, with
when it was asked for and when it was there.

python savepoint_count.py --keys 1000000 --report FILE --savepoints 3 --into FOLDER
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from penstock.common import Types, WatermarkStrategy
from penstock.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.state import ValueStateDescriptor

SAMPLE_S = 0.05
QUIET_S = 2.0


def add(path: str, **facts: Any) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(facts) + "\n")


class Count(MapFunction):
    """Counts per key, and looks at the clock every 64 records."""

    def __init__(self, report: str) -> None:
        self.report = report

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.records = 0
        self.last = 0.0

    def map(self, value: str) -> int:
        self.records += 1
        if not self.records & 63:
            now = time.perf_counter()
            if now - self.last >= SAMPLE_S:
                self.last = now
                add(self.report, at=now, records=self.records)
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        return count


def records_in(report: Path) -> int:
    lines = report.read_text().splitlines() if report.exists() else []
    return max((json.loads(line).get("records", 0) for line in lines[-2:-1]), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Count, and take savepoints.")
    parser.add_argument("--keys", type=int, required=True)
    parser.add_argument("--report", required=True)
    parser.add_argument("--savepoints", type=int, required=True)
    parser.add_argument("--into", required=True)
    arguments = parser.parse_args()
    keys = arguments.keys

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    numbers = env.from_source(
        NumberSequenceSource(0, 10**12), WatermarkStrategy.no_watermarks(), "numbers", Types.LONG()
    )
    words = numbers.map(lambda n: "w%d" % (n if n < keys else hash((n,)) % keys), Types.STRING())  # noqa: UP031
    counted = words.key_by(lambda word: word, Types.STRING()).map(Count(arguments.report), Types.LONG())
    counted.filter(lambda count: False).print()
    client = env.execute_async("savepoint count")
    while records_in(Path(arguments.report)) < keys:
        time.sleep(SAMPLE_S)
    for _ in range(arguments.savepoints):
        time.sleep(QUIET_S)
        asked = time.perf_counter()
        client.trigger_savepoint(arguments.into, "canonical").result()
        add(arguments.report, asked=asked, there=time.perf_counter())
    client.cancel().result()


if __name__ == "__main__":
    main()
