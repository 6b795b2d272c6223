"""The same count in Bytewax: numbers to words, keyed, one count per key, discarded. Run in Bytewax's own environment.

python keyed_count_bytewax.py --records 5000000 [--keys 10000] [--uniform] [--batch 1000]
"""

import argparse
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import TestingSource, run_main


class Nowhere(StatelessSinkPartition[Any]):
    def write_batch(self, items: list[Any]) -> None:
        pass


class Discard(DynamicSink[Any]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> Nowhere:
        return Nowhere()


def counted(count: int | None, word: str) -> tuple[int, int]:
    count = (count or 0) + 1
    return count, count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--uniform", action="store_true")
    parser.add_argument("--batch", type=int, default=1_000)
    arguments = parser.parse_args()
    keys = arguments.keys

    flow = Dataflow("keyed_count")
    numbers = op.input("numbers", flow, TestingSource(range(arguments.records), batch_size=arguments.batch))
    if arguments.uniform:
        words = op.map("words", numbers, lambda n: "w%d" % (hash((n,)) % keys))  # noqa: UP031
    else:
        words = op.map("words", numbers, lambda n: "w%d" % (n % keys))  # noqa: UP031
    keyed = op.key_on("keyed", words, lambda word: word)
    op.output("discard", op.stateful_map("count", keyed, counted), Discard())
    run_main(flow)


if __name__ == "__main__":
    main()
